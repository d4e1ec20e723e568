"""Figures of `weight-universality`: the variance of the log norm against 1/n, one curve for each ensemble."""

from __future__ import annotations

import numpy as np

from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.phrases import differ
from limitbench.studies.weight_universality.cells import column, variance

_ENSEMBLES = ("gaussian", "uniform", "rademacher", "orthogonal")
_LIMITS = {"linear": 2.0, "relu": 5.0}


def drawn(evidence: Evidence) -> list[StudyFigure]:
    """One figure for each of linear and ReLU MLPs that the run has."""
    return [figure for network in _LIMITS if (figure := _variance(evidence, network)) is not None]


def _against_gaussian(series: list[Series]) -> str:
    """How far each ensemble is from Gaussian weights at the largest width of both, in standard errors."""
    ends = {s.label: (float(s.y[0]), float(s.se[0])) for s in series if s.se is not None}
    gaussian = ends.pop("gaussian", None)
    if gaussian is None or not ends:
        return ""
    return f" From Gaussian weights: {'; '.join(f'{name} {differ(gaussian, at)}' for name, at in ends.items())}."


def _variance(evidence: Evidence, network: str) -> StudyFigure | None:
    series, words = [], []
    for weights in _ENSEMBLES:
        cells = list(reversed(column(evidence, network, weights)))
        if not cells:
            continue
        x = np.array([1 / float(c.parameters["width"]) for c in cells])
        y, se = np.array([variance(c) for c in cells]).T
        series.append(Series(weights, x, y, se=se))
        words.append(f"{weights} {y[0]:.2f} ± {se[0]:.2f}")
    if not series:
        return None
    ends = np.array([0.0, max(float(s.x.max()) for s in series)])
    limits = [(f"limit {_LIMITS[network]:g}", _LIMITS[network])]
    if network == "relu":
        limits.append(("orthogonal limit 3", 3.0))
    lines = tuple(Series(label, ends, np.full(2, value), "reference") for label, value in limits)
    return StudyFigure(
        f"variance-{network}",
        f"Variance of the log norm, {network} MLPs at d = n",
        "1/n",
        "Var ln V_d/V_0",
        (*lines, *series),
        "In theory independent entries share the limit for Gaussian weights and orthogonal matrices take 2 d/n off it. "
        f"At the largest width: {', '.join(words)}.{_against_gaussian(series)}",
    )
