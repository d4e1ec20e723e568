"""Ledger and figures of `norm-variance`: slopes of the variance, and the one line that each architecture lies on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.numerics.interlayer import Interlayer
from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.measured import Measured, variance
from limitbench.studies.norm_variance.families import FAMILIES, RESIDUAL_WEIGHT, constant, time
from limitbench.studies.phrases import last_point

#: Slopes are fitted up to this sum of inverse widths, from this width on.
LONGEST, NARROWEST = 0.25, 64
#: Networks in a cell from which on its D is told from the margin.
_SHARP = 8192
_RELU, _ALTERNATING = "relu", "relu-alternating"


@dataclass(frozen=True)
class Slope:
    """Var ln V_d/V_0 = slope (1 + k/n) sum_l 1/n_l, fitted to one architecture over widths at one depth.

    The correction k depends on the depth where layers are correlated, so cells of other depths take no part. For
    residual networks the sum over finitely many lags is brought to infinite depth by the theory's own ratio.
    """

    value: float
    se: float
    k: float
    cells: Sequence[CellEvidence]

    @property
    def depth(self) -> int:
        """Depth of the networks."""
        return int(self.cells[0].parameters["depth"])


def fit_slope(evidence: Evidence, network: str) -> Slope | None:
    """At the depth with the most widths of at least 64 and sums up to 1/4, the deepest of several.

    None with fewer than three widths.
    """
    depths: dict[int, list[CellEvidence]] = {}
    for cell in evidence.where(network=network):
        if time(cell.parameters) <= LONGEST + 1e-9 and float(cell.parameters["width"]) >= NARROWEST:
            depths.setdefault(int(cell.parameters["depth"]), []).append(cell)
    cells = max(depths.values(), key=lambda row: (len(row), row[0].parameters["depth"]), default=[])
    if len(cells) < 3:
        return None
    found = [variance(cell) for cell in cells]
    scale = np.array([constant(network) / (finite_constant(cell) * time(cell.parameters)) for cell in cells])
    slope, se = (scale * np.array([getattr(m, name) for m in found]) for name in ("value", "se"))
    widths = np.array([cell.parameters["width"] for cell in cells], dtype=float)
    design = np.stack([np.ones(len(cells)), 1 / widths], axis=1) / se[:, None]
    covariance = np.linalg.inv(design.T @ design)
    a, ak = covariance @ design.T @ (slope / se)
    return Slope(float(a), float(covariance[0, 0] ** 0.5), float(ak / a), cells)


def finite_constant(cell: CellEvidence) -> float:
    """The constant of the cell's architecture at its depth: that of infinite depth but for vanilla ResNets."""
    network = str(cell.parameters["network"])
    if not FAMILIES[network].residual:
        return constant(network)
    depth = int(cell.parameters["depth"])
    return Interlayer(RESIDUAL_WEIGHT, depth, FAMILIES[network].balanced).variance_rate


def claims(evidence: Evidence) -> list[Claim]:
    """Slopes of all architectures, infinite width's failure, where log-Gaussian and exact laws hold."""
    slopes = {network: fit_slope(evidence, network) for network in FAMILIES}
    found = []
    for network, slope in slopes.items():
        predicted = constant(network)
        name = f"slope-{network}"
        text = f"{network}: the slope of Var ln V_d/V_0 in sum 1/n_l"
        text += ", brought to infinite depth" if network == "resnet" else ""
        if slope is None:
            found.append(missing(name, text + ".", predicted, "three widths from 64 on with sums up to 1/4"))
            continue
        text += f" (depth {slope.depth}, sums up to 1/4; correction 1 + k/n with k = {slope.k:.1f})."
        found.append(
            value_claim(
                evidence,
                slope.cells,
                predicted,
                slope.value,
                slope.se,
                name=name,
                text=text,
                resolution=predicted / 4,
                distance=slope.cells[-1].score("distance", "log_norm", "log-gaussian"),
            )
        )
    found.append(_one_line(evidence, slopes[_RELU], slopes[_ALTERNATING]))
    return [*found, *_scores(evidence)]


def _one_line(evidence: Evidence, equal: Slope | None, unequal: Slope | None) -> Claim:
    name, text = "unequal-widths-on-one-line", "Widths n, 3n, n, ... and equal widths have one slope in sum 1/n_l "
    text += "(difference of the slopes of relu-alternating and relu)."
    if equal is None or unequal is None:
        return missing(name, text, 0.0, "relu and relu-alternating at three widths")
    cells = [*equal.cells, *unequal.cells]
    se = math.hypot(equal.se, unequal.se)
    return value_claim(evidence, cells, 0.0, unequal.value - equal.value, se, name=name, text=text, resolution=1.5)


def _scores(evidence: Evidence) -> list[Claim]:
    """Verdicts that theories hold are asked of cells with networks enough to give one."""
    counts = evidence.tree["run"]["n_samples"]
    sharp = [cell for cell in evidence.cells if int(counts.isel(cell.at)) >= _SHARP]
    mlps = [cell for cell in sharp if not FAMILIES[str(cell.parameters["network"])].residual]
    wide = [cell for cell in sharp if float(cell.parameters["width"]) >= 256]
    vanilla = [cell for cell in wide if cell.parameters["network"] == "resnet"]
    return [
        worst_score_claim(
            evidence,
            evidence.cells,
            "log_norm",
            "infinite-width",
            expected="fails",
            name="infinite-width-fails-everywhere",
            text="Infinite width (no fluctuation) fails for every architecture, width and depth (smallest D).",
        ),
        worst_score_claim(
            evidence,
            mlps,
            "log_norm",
            "finite-width",
            expected="holds",
            name="exact-law-holds",
            text=f"The exact finite-size law holds for all MLPs (ReLU from width 32 on; cells of {_SHARP:,} networks).",
        ),
        worst_score_claim(
            evidence,
            [cell for cell in wide if cell not in vanilla],
            "log_norm",
            "log-gaussian",
            expected="holds",
            name="log-gaussian-holds-wide",
            text="The log-Gaussian law holds from width 256 on for every architecture but vanilla ResNets.",
        ),
        worst_score_claim(
            evidence,
            vanilla,
            "log_norm",
            "log-gaussian-finite-depth",
            expected="holds",
            name="finite-depth-holds-wide-resnet",
            text="For vanilla ResNets it holds from width 256 on with sums over the layers that there are.",
        ),
        worst_score_claim(
            evidence,
            [cell for cell in evidence.where(network="resnet") if _narrow_and_deep(cell)],
            "log_norm",
            "log-gaussian-finite-depth",
            expected="fails",
            name="finite-depth-fails-narrow-resnet",
            text="At width 16 and d >= n a vanilla ResNet is far from log-Gaussian, finite-depth sums or not.",
        ),
    ]


def _narrow_and_deep(cell: CellEvidence) -> bool:
    width, depth = float(cell.parameters["width"]), float(cell.parameters["depth"])
    return width <= 16 and depth >= width


def figures(evidence: Evidence) -> list[StudyFigure]:
    """Variance against the sum of inverse widths; and the same over its line, against width."""
    if not evidence.cells:
        return []
    return [figure for figure in (_one_figure(evidence), _corrections(evidence)) if figure is not None]


def _present(evidence: Evidence) -> dict[str, list[CellEvidence]]:
    found = {network: evidence.where(network=network) for network in FAMILIES}
    return {network: cells for network, cells in found.items() if cells}


def _series(label: str, x: Sequence[float], measured: Sequence[Measured]) -> Series:
    """Cells in which two networks or more are alive; none may be, where ReLU layers are narrow and many."""
    points = sorted((a, m.value, m.se) for a, m in zip(x, measured, strict=True) if math.isfinite(m.value))[:60]
    at, y, se = np.array(points).reshape(-1, 3).T
    return Series(label, at, y, se=se)


def _one_figure(evidence: Evidence) -> StudyFigure | None:
    present = _present(evidence)
    drawn = [
        _series(network, [time(c.parameters) for c in cells], [variance(c) for c in cells])
        for network, cells in present.items()
    ]
    series = [s for s in drawn if len(s.x)]
    if not series:
        return None
    ends = np.array([min(s.x[0] for s in series), max(s.x[-1] for s in series)])
    values = sorted({round(constant(network), 2) for network in present})
    series += [Series(f"{value:g} Σ 1/n", ends, value * ends, kind="reference") for value in values]
    slopes = {network: fit_slope(evidence, network) for network in present}
    parts = [f"{network} {s.value:.2f} ± {s.se:.2f}" for network, s in slopes.items() if s is not None]
    return StudyFigure(
        "variance-of-the-log-norm",
        "Variance of the log norm by architecture",
        "sum of inverse widths Σ 1/n_l",
        "Var ln V_d/V₀",
        tuple(series),
        f"Fitted slopes up to Σ 1/n_l = 1/4: {', '.join(parts) or 'too few widths'}. At the largest Σ 1/n_l of each: "
        + ", ".join(f"{s.label} {last_point(s, 2)}" for s in series if s.kind == "network")
        + ". Infinite width predicts 0 for all, off this logarithmic axis.",
        x_log=True,
        y_log=True,
    )


def _corrections(evidence: Evidence) -> StudyFigure | None:
    """Deepest cell of every column over the log-Gaussian variance at infinite depth."""
    drawn = []
    for network, cells in _present(evidence).items():
        column = {float(c.parameters["width"]): c for c in cells}
        scale = [1 / (constant(network) * time(c.parameters)) for c in column.values()]
        found = [variance(c) for c in column.values()]
        ratios = [Measured(k * m.value, k * m.se) for k, m in zip(scale, found, strict=True)]
        drawn.append(_series(network, list(column), ratios))
    series = [s for s in drawn if len(s.x)]
    if not series:
        return None
    ends = np.array([min(s.x[0] for s in series), max(s.x[-1] for s in series)])
    highest = max((s for s in series if s.x[0] == ends[0]), key=lambda s: float(s.y[0]))
    series.append(Series("log-Gaussian limit", ends, np.ones(2), kind="theory", theory="log-gaussian"))
    return StudyFigure(
        "variance-over-its-limit",
        "How wide is wide enough",
        "width n",
        "Var ln V_d/V₀ over its limit",
        tuple(series),
        f"Deepest networks of each width. At width {ends[0]:g} {highest.label} is highest, at "
        f"{highest.y[0]:.2f} times its limit. At its largest width: "
        + ", ".join(f"{s.label} {last_point(s, 2)}" for s in series if s.kind == "network")
        + ". The limit of vanilla ResNets sums all lags, which few layers do not reach.",
        x_log=True,
    )
