"""The collapse of ln(chi_0/chi_L) in sigma_w^2 L: recurrences of any depth against the integral I(kappa)."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, value_claim
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.mean_field_resnet.cells import FULL, columns_of
from limitbench.studies.mean_field_resnet.extrapolation import extrapolate
from limitbench.studies.mean_field_resnet.verdicts import relative_claim
from limitbench.theories.mean_field.edge import edge_integral, edge_recurrence, edge_square_root

_KAPPAS = (1.0, 4.0, 16.0, 64.0)
_DEEP, _SHALLOW = 10_000, 30
#: sigma_v^2, sigma_a^2 and sigma_b^2 where a run has none.
_DEFAULTS = (1.0, 0.25, 0.25)


class Variances(TypedDict):
    """What I(kappa) depends on beside kappa."""

    sigma_v2: float
    sigma_a2: float
    sigma_b2: float


def collapse_claims(evidence: Evidence) -> list[Claim]:
    """sigma_w^2 L is the variable; A sqrt L is not the function."""
    limits = [edge_integral(kappa) for kappa in _KAPPAS]
    where = "tanh, sigma_v^2 = 1, sigma_a^2 = sigma_b^2 = 1/4"
    points = [(i, edge_recurrence(k, _DEEP)) for k, i in zip(_KAPPAS, limits, strict=True)]
    limit, found = max(points, key=lambda pair: abs(pair[1] / pair[0] - 1))
    shown = ", ".join(f"{f:.4g} ({i:.4g})" for i, f in points)
    poor = [edge_square_root(k) / i - 1 for k, i in zip(_KAPPAS, limits, strict=True)]
    return [
        relative_claim(
            evidence,
            [],
            limit,
            found,
            0.0,
            bound=0.01,
            name="collapse-in-sigma-w2-depth",
            text=f"ln(chi_0/chi_L) at sigma_w^2 L = kappa is I(kappa) for deep networks: the abstract's std x "
            f"sqrt(depth) ({where}; recurrences of "
            f"{_DEEP:,} blocks (I) at kappa = 1, 4, 16, 64: {shown}; the worst, to 1 %).",
        ),
        value_claim(
            evidence,
            [],
            0.25,
            abs(poor[0]),
            0.0,
            relation="at least",
            name="square-root-law-poor-at-the-edge",
            text=f"A sqrt L, the law at fixed sigma_w^2, misses I(kappa) there ({where}; at kappa = 1, 4, 16, 64 by "
            f"{', '.join(f'{100 * p:+.0f} %' for p in poor)}; relative error at kappa = 1).",
        ),
    ]


def collapse_figure(evidence: Evidence) -> StudyFigure:
    """I(kappa), recurrences at two depths, A sqrt L, and the run's networks."""
    columns = columns_of(evidence, "tanh", FULL)
    v, a, b = _DEFAULTS
    if columns is not None:
        v, a, b = (float(columns.parameters[name]) for name in ("sigma_v2", "sigma_a2", "sigma_b2"))
    given: Variances = {"sigma_v2": v, "sigma_a2": a, "sigma_b2": b}
    kappas = np.geomspace(0.25, 256.0, 41)
    blocks = _SHALLOW if columns is None else columns.depth
    shallow = np.array([edge_recurrence(float(k), blocks, **given) for k in kappas])
    deep = np.array([edge_recurrence(float(k), _DEEP // 10, **given) for k in kappas])
    limit = np.array([edge_integral(float(k), **given) for k in kappas])
    root = np.array([edge_square_root(float(k), sigma_v2=v, sigma_a2=a) for k in kappas])
    series = [
        Series(f"recurrences, L = {blocks}", kappas, shallow, "theory"),
        Series(f"recurrences, L = {_DEEP // 10}", kappas, deep, "theory"),
        Series("I(σ_w² L)", kappas, limit, "theory"),
        Series("A √L", kappas, root, "reference"),
    ]
    words = ""
    fit = None if columns is None else extrapolate(columns, "log_chi")
    if columns is not None and fit is not None and columns.index(1) is not None and fit.value[0] > 0:
        kappa = columns.depth * float(columns.parameters["sigma_w2"])
        y = float(columns.logs("log_chi")[0]) + math.log(fit.value[0])
        se = float(fit.se[0] / fit.value[0])
        series.append(Series(f"networks, L = {columns.depth}", np.array([kappa]), np.array([y]), se=np.array([se])))
        words = f" Networks at infinite width, σ_w² L = {kappa:.3g}: {y:.3f} ± {se:.3f}."
    at = int(np.argmin(np.abs(kappas - 16)))
    return StudyFigure(
        "collapse",
        "Gradient explosion as a function of σ_w² L",
        "σ_w² L",
        "ln(χ₀/χ_L)",
        tuple(series),
        f"Full residual tanh, σ_v² = {v:g}, σ_a² = {a:g}, σ_b² = {b:g}. At σ_w² L = 16: {shallow[at]:.3f} with "
        f"{blocks} blocks, {deep[at]:.3f} with "
        f"{_DEEP // 10}, {limit[at]:.3f} in the limit; A √L says {root[at]:.3f}.{words}",
        x_log=True,
        y_log=True,
    )
