"""Figures of `deep-linear`: coupled squares, rates to the limit and to NNGP, one curve for equal and unequal widths."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from limitbench.numerics.law_distance import deterministic_ks
from limitbench.studies.deep_linear.cells import inverse_widths, layer_widths, mean_width
from limitbench.studies.deep_linear.measures import NNGP_ERROR, output_excess, outputs_of, predicted_excess
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.phrases import last_point
from limitbench.theories.deep_linear import FiniteWidth, ProportionalLimit, finite_second_moments

Points = Float[np.ndarray, " points"]
#: Leading Edgeworth constants of N x KS for ln Q_11 by alpha (sheet C 1.6c).
_KS_CONSTANTS = {0.25: 0.1903, 1.0: 0.1826, 4.0: 0.2402}
_WIDTHS = (16, 64, 256, 1024)
_NNGP_DEPTHS = (4, 16)
#: A covariance of squares is drawn where its standard error is below this share of it, both from the limit: the tails
#: are log-normal, so that a standard error from the networks themselves is too small where it matters.
_RELATIVE = 0.25


def figures(evidence: Evidence) -> list[StudyFigure]:
    """All figures that the run has cells for; the rates without sampling are always there."""
    two = evidence.where(outputs=2)
    drawn = [_squared_outputs(two), _variance(two)] if two else []
    return [figure for figure in (*drawn, _rate_to_limit(), _rate_to_nngp(two)) if figure is not None]


def _squared_outputs(cells: list[CellEvidence]) -> StudyFigure | None:
    """C1-B: Cov(S_1^2, S_2^2) against alpha, NNGP 0."""
    # E S1^4 S2^4 = 9 E Q11^4 with E Q11^4 -> e^{12 alpha}; given Q it is 0.77 E Q11^4 where one eigenvalue leads
    measured = {"from the outputs": (_of_outputs, 3.0), "given Q (E[S₁²S₂² | Q] − 1)": (_given_q, 0.88)}
    series, words, top = [], [], 0.0
    for label, (measure, spread) in measured.items():
        kept = np.array(
            sorted((inverse_widths(c.parameters), *measure(c), _exact(c)) for c in cells if _resolved(c, spread))
        )
        if len(kept):
            series.append(Series(f"networks, {label}", kept[:, 0], kept[:, 1], se=kept[:, 2]))
            top, furthest = max(top, float(kept[-1, 0])), float(np.max(np.abs(kept[:, 1] - kept[:, 3]) / kept[:, 2]))
            words.append(f"{label} {len(kept)} of {len(cells)} cells, the furthest {furthest:.1f} standard errors off")
    if not series:
        return None
    alpha = np.linspace(0.0, 1.05 * top, 41)
    width = min(int(c.parameters["width"]) for c in cells)
    curve = np.expm1(alpha * width * math.log1p(2 / width))
    lines = (
        Series("proportional limit e^{2α} − 1", alpha, np.expm1(2 * alpha), "theory", theory="proportional-limit"),
        Series(f"exact at width {width}: (1 + 2/N)^{{αN}} − 1", alpha, curve, "theory", theory="finite-width"),
        Series("NNGP: 0", alpha, np.zeros_like(alpha), "theory", theory="infinite-width"),
    )
    caption = (
        "In theory the squares of two outputs have the covariance Π(1 + 2/N_l) − 1, e^{2α} − 1 in the "
        f"limit, 0 for NNGP. Against the exact value: {'; '.join(words)}. Cells with a standard error above "
        f"{_RELATIVE:.0%} are left out: tails are log-normal."
    )
    return StudyFigure(
        "squared-outputs",
        "Covariance of the squares of two outputs",
        "α = Σ 1/N_l",
        "Cov(S₁², S₂²)",
        (*lines, *series),
        caption,
    )


def _resolved(cell: CellEvidence, spread: float) -> bool:
    alpha, networks = inverse_widths(cell.parameters), len(cell.samples("q12"))
    return spread * math.exp(6 * alpha) / math.sqrt(networks) < _RELATIVE * math.expm1(2 * alpha)


def _exact(cell: CellEvidence) -> float:
    return finite_second_moments(layer_widths(cell.parameters)).q11_squared - 1


def _of_outputs(cell: CellEvidence) -> tuple[float, float]:
    return _mean(np.prod(outputs_of(cell) ** 2, axis=1) - 1)


def _given_q(cell: CellEvidence) -> tuple[float, float]:
    """E[S_1^2 S_2^2 | Q] = Q_11 Q_22 + 2 Q_12^2 = det Q + 3 Q_12^2."""
    return _mean(np.exp(cell.samples("log_det")) + 3 * cell.samples("q12") ** 2 - 1)


def _mean(values: Points) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _variance(cells: list[CellEvidence]) -> StudyFigure:
    """Var ln Q_11 against sum 1/N_l."""
    series: list[Series] = []
    worst, wrong = 0.0, (math.nan, math.nan)
    for pattern, words in (("equal", "equal widths"), ("alternating", "widths n, 3n, n, …")):
        found = []
        for cell in cells:
            if cell.parameters["widths"] != pattern:
                continue
            x = cell.samples("log_q11")
            value, se = _mean((x - x.mean()) ** 2)
            exact = FiniteWidth(width=layer_widths(cell.parameters), outputs=2).cumulant("log_q11", 2)
            worst = max(worst, abs(value - exact) / se)
            naive = float(cell.parameters["depth"]) / mean_width(cell.parameters)
            found.append((inverse_widths(cell.parameters), naive, value, se))
        if not found:
            continue
        points = np.array(sorted(found))
        series.append(Series(f"networks, {words}", points[:, 0], points[:, 2], se=points[:, 3]))
        if pattern == "alternating":
            series.append(Series("the same at L/(mean width)", points[:, 1], points[:, 2], se=points[:, 3]))
            wrong = float(points[-1, 2]), 2 * float(points[-1, 1])
    seen = sorted(inverse_widths(c.parameters) for c in cells)
    alpha = np.geomspace(seen[0] / 1.2, seen[-1] * 1.2, 40)
    line = Series("proportional limit 2α", alpha, 2 * alpha, "theory", theory="proportional-limit")
    caption = (
        f"In theory Var ln Q₁₁ is 2 Σ 1/N_l whatever the widths are, up to terms of order 1/N: {len(cells)} cells, the "
        f"furthest {worst:.1f} standard errors from the exact Σ ψ₁(N_l/2). NNGP's 0 is below a logarithmic axis."
    )
    if math.isfinite(wrong[0]):
        caption += (
            f" With depth over mean width instead, for widths n, 3n, n, …, 2L/(mean width) is {wrong[1]:.3g} in the "
            f"deepest cell where the networks have {wrong[0]:.3g}."
        )
    return StudyFigure(
        "unequal-widths",
        "Var ln Q₁₁ for equal and unequal widths",
        "Σ 1/N_l",
        "Var ln Q₁₁",
        (line, *series),
        caption,
        x_log=True,
        y_log=True,
    )


@lru_cache(maxsize=1)
def _rate_to_limit() -> StudyFigure:
    """C1-C: N x KS of the exact law of ln Q_11 to its log-normal limit, without sampling."""
    n = np.array(_WIDTHS, dtype=float)
    series, words = [], []
    for alpha, constant in _KS_CONSTANTS.items():
        limit = ProportionalLimit(alpha, 1).law("log_q11")
        y = np.array(
            [
                width
                * deterministic_ks(FiniteWidth(width=width, depth=int(alpha * width), outputs=1).law("log_q11"), limit)
                for width in _WIDTHS
            ]
        )
        series.append(Series(f"α = {alpha:g}, exact law", n, y, "theory"))
        series.append(Series(f"α = {alpha:g}, constant {constant}", n, np.full_like(n, constant), "reference"))
        words.append(f"{y[-1]:.4f} (constant {constant}) at α = {alpha:g}")
    caption = (
        "Width × KS distance of the exact law of ln Q₁₁ to N(−α, 2α) levels off, so the distance falls as 1/N: at "
        f"width {_WIDTHS[-1]} it is " + ", ".join(words) + ". No sampling."
    )
    return StudyFigure(
        "rate-to-limit", "Rate to the proportional limit", "width N", "N × KS", tuple(series), caption, x_log=True
    )


def _rate_to_nngp(cells: list[CellEvidence]) -> StudyFigure:
    """Fixed depth: twice the cdf's error of N(0, 1) near its largest, times N/(2L)."""
    n = np.array(_WIDTHS, dtype=float)
    series = []
    for depth in _NNGP_DEPTHS:
        y = np.array(
            [
                width / depth * predicted_excess(FiniteWidth(width=width, depth=depth, outputs=1).law("output_1")) / 2
                for width in _WIDTHS
            ]
        )
        series.append(Series(f"exact law, L = {depth}", n, y, "theory"))
        last = y[-1]
    words = ""
    series.append(Series("constant 0.1376", n, np.full_like(n, NNGP_ERROR), "reference"))
    for depth in _NNGP_DEPTHS:
        found = []
        for cell in cells:
            if cell.parameters["depth"] == depth and cell.parameters["widths"] == "equal":
                excess, se = output_excess(cell)
                width = float(cell.parameters["width"])
                found.append((width, width / depth * excess / 2, width / depth * se / 2))
        if found:
            points = np.array(sorted(found))
            series.append(Series(f"networks, L = {depth}", points[:, 0], points[:, 1], se=points[:, 2]))
            words += f" Networks of L = {depth}, N = {points[-1, 0]:g}: {last_point(series[-1])}."
    caption = (
        "At fixed depth the law of an output approaches N(0, 1) as 1/N: N/L times the error of its cdf at 0.742, where "
        f"it is largest, tends to {NNGP_ERROR:.4f} (at L = {_NNGP_DEPTHS[-1]}, N = {_WIDTHS[-1]}: {last:.4f}). "
        f"The scale ln Q₁₁ of a single network still fluctuates by √(2L/N).{words}"
    )
    return StudyFigure(
        "rate-to-nngp",
        "Rate to infinite width at fixed depth",
        "width N",
        "N/L × error of the cdf",
        tuple(series),
        caption,
        x_log=True,
    )
