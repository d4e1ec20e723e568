"""Figures of `mean-field-resnet` that show networks: signals and gradients, infinite width, tails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.mean_field_resnet import tails
from limitbench.studies.mean_field_resnet.cells import (
    FULL,
    PLAIN,
    Columns,
    activations,
    columns_of,
    predicted,
)
from limitbench.studies.mean_field_resnet.collapse import collapse_figure
from limitbench.studies.mean_field_resnet.extrapolation import extrapolate
from limitbench.studies.mean_field_resnet.law_figures import exponents

_RECURRENCES = "recurrences"
#: Points of a theory's line.
_MOST = 60


def drawn(evidence: Evidence) -> list[StudyFigure]:
    """All figures for which the run has cells."""
    makers = (_signals, _gradients, _plain_against_residual, _extrapolation, _heavy_tails, exponents, collapse_figure)
    return [figure for make in makers if (figure := _defined(make, evidence)) is not None]


def _defined(make: Callable[[Evidence], StudyFigure | None], evidence: Evidence) -> StudyFigure | None:
    """The figure, None where its cells hold too few networks."""
    if not evidence.cells:
        return None
    try:
        return make(evidence)
    except InputError:
        return None


def _shown(evidence: Evidence, network: str) -> Columns | None:
    """tanh, or the first other activation that the run has."""
    names = ["tanh", *activations(evidence)]
    return next((found for name in names if (found := columns_of(evidence, name, network)) is not None), None)


def _along(columns: Columns, observable: str, label: str) -> tuple[Series, Series]:
    """Means of the widest networks with errors, and the recurrences at every layer."""
    values = columns.values(observable)[max(columns.by_width)]
    if observable != "covariance_12":
        with np.errstate(over="ignore"):
            values = np.exp(values)
    known = np.isfinite(values)
    if known.sum(axis=1).min() < 2:
        raise InputError(observable, "fewer than two networks", "at least two")
    mean, spread = np.mean(values, axis=1, where=known), np.std(values, axis=1, ddof=1, where=known)
    layers = np.unique(np.linspace(1, columns.depth, _MOST).round().astype(int))
    line = predicted(columns.trajectory, observable, layers.tolist())
    return (
        Series(label, np.array(columns.layers, dtype=float), mean, se=spread / np.sqrt(known.sum(axis=1))),
        Series(
            f"{label}, recurrences",
            layers.astype(float),
            line if observable == "covariance_12" else np.exp(line),
            "theory",
        ),
    )


def _pairs(columns: Columns, symbols: dict[str, str]) -> tuple[Series, ...]:
    return tuple(series for name, symbol in symbols.items() for series in _along(columns, name, symbol))


def _worst(series: tuple[Series, ...], columns: Columns) -> str:
    """Largest relative deviation of the points from the lines beside them, in words."""
    parts = []
    for points, line in zip(series[::2], series[1::2], strict=True):
        off = points.y / np.interp(points.x, line.x, line.y) - 1
        worst = int(np.argmax(np.abs(off)))
        parts.append(f"{points.label} {100 * off[worst]:+.1f} % at layer {points.x[worst]:g}")
    return (
        f"N = {max(columns.by_width)}, {columns.setting()}. Largest deviations of the means: " + ", ".join(parts) + "."
    )


def _signals(evidence: Evidence) -> StudyFigure | None:
    columns = _shown(evidence, FULL)
    if columns is None:
        return None
    series = _pairs(columns, {"log_length": "p", "covariance_12": "γ", "log_distance": "s"})
    return StudyFigure(
        "signals-by-layer",
        "Lengths, products and distances forward",
        "layer l",
        "mean over networks",
        series,
        f"Full residual networks, {columns.parameters['activation']}: p = ⟨x²⟩, γ = ⟨x x'⟩, s = ⟨(x − x')²⟩. "
        + _worst(series, columns),
        y_log=bool(min(s.y.min() for s in series) > 0),
    )


def _gradients(evidence: Evidence) -> StudyFigure | None:
    columns = _shown(evidence, FULL)
    if columns is None:
        return None
    symbols = {"log_chi": "χ", "log_chi_w": "χ_w", "log_chi_b": "χ_b", "log_chi_v": "χ_v"}
    series = _pairs(columns, symbols)
    return StudyFigure(
        "gradients-by-layer",
        "Gradients backward",
        "layer l",
        "mean over networks, over χ_L",
        series,
        f"Full residual networks, {columns.parameters['activation']}: mean squared gradients at the input of block l "
        "and of its parameters w, b, v (χ_a,l is χ_l). " + _worst(series, columns),
        y_log=True,
    )


def _plain_against_residual(evidence: Evidence) -> StudyFigure | None:
    series: list[Series] = []
    ends = []
    shown = {network: columns_of(evidence, "tanh", network) for network in (PLAIN, FULL)}
    for network, columns in shown.items():
        if columns is None:
            continue
        series += _pairs(columns, {"log_chi": f"χ, {network}", "log_distance": f"s, {network}"})
        chi, s = (columns.logs(name)[[0, -1]] / np.log(10) for name in ("log_chi", "log_distance"))
        ends.append(
            f"{network}: χ₀/χ_L = 10^{chi[0]:.1f}, {_bend(series[-3])} of it in the first half of the layers; s_L/s₁ = "
            f"10^{s[1] - s[0]:.1f}"
        )
    plain = shown[PLAIN]
    if plain is None or not series:
        return None
    return StudyFigure(
        "plain-against-residual",
        "Signals and gradients without skips and with them",
        "layer l",
        "s forward, χ/χ_L backward",
        tuple(series),
        f"tanh, {plain.setting()} (full: {_setting(shown[FULL])}). χ at the input of block l; where it is exponential, "
        "half of its log falls into each half of the layers. " + "; ".join(ends) + ".",
        y_log=True,
    )


def _bend(line: Series) -> str:
    """Share of the change of ln y in the first half of the layers."""
    log = np.log(line.y)
    middle = np.interp((line.x[0] + line.x[-1]) / 2, line.x, log)
    return f"{100 * (middle - log[0]) / (log[-1] - log[0]):.0f} %"


def _setting(columns: Columns | None) -> str:
    return "none" if columns is None else columns.setting()


def _extrapolation(evidence: Evidence) -> StudyFigure | None:
    """Mean of chi_0/chi_L over the recurrences' value against 1/N, with the fitted lines."""
    series, parts = [], []
    light = [a for a in activations(evidence) if (tails.power(a) or 1.0) > tails.LARGEST_HEAVY]
    for activation in light[:4]:
        columns = columns_of(evidence, activation, FULL)
        if columns is None or columns.index(1) is None or (fit := extrapolate(columns, "log_chi")) is None:
            continue
        x = 1 / columns.widths[::-1]
        series.append(Series(activation, x, fit.means[::-1, 0], se=fit.errors[::-1, 0]))
        ends = np.array([0.0, x[-1]])
        slope = _slope(1 / columns.widths, fit.means[:, 0], fit.errors[:, 0], float(fit.value[0]))
        series.append(Series(f"{activation}, fit", ends, fit.value[0] + slope * ends, "theory"))
        parts.append(f"{activation} {fit.value[0]:.3f} ± {fit.se[0]:.3f}")
    if not series:
        return None
    return StudyFigure(
        "infinite-width-extrapolation",
        "Gradients at infinite width",
        "1/N",
        "mean of χ₀/χ_L over the recurrences",
        tuple(series),
        f"Arithmetic means of full residual networks and lines a + b/N. At infinite width: {', '.join(parts)}; the "
        "recurrences say 1.",
    )


def _slope(
    x: Float[np.ndarray, " widths"], y: Float[np.ndarray, " widths"], se: Float[np.ndarray, " widths"], at_zero: float
) -> float:
    """b of the weighted line through `at_zero` at x = 0."""
    return float(np.sum(x * (y - at_zero) / se**2) / np.sum(x**2 / se**2))


def _heavy_tails(evidence: Evidence) -> StudyFigure | None:
    """Typical mean of chi_0/chi_L over its expectation, against the number of networks that it is taken over."""
    series, parts = [], []
    chosen = [a for a in activations(evidence) if tails.power(a) is not None] + ["relu"]
    for activation in chosen[:7]:
        columns = columns_of(evidence, activation, FULL)
        if columns is None or columns.index(1) is None:
            continue
        ratios = np.exp(columns.values("log_chi")[max(columns.by_width)][0] - columns.logs("log_chi")[0])
        sizes = [2**k for k in range(12) if 2**k * 16 <= len(ratios)]
        found = np.array([tails.typical_mean(ratios, size) for size in sizes])
        series.append(Series(activation, np.array(sizes, dtype=float), found[:, 0], se=found[:, 1]))
        share = 100 * tails.largest_share(ratios)
        parts.append(
            f"{activation} {found[-1, 0]:.2f} over {sizes[-1]} networks (largest network {share:.2g} % of the sum)"
        )
    if not series:
        return None
    ends = np.array([1.0, max(s.x[-1] for s in series)])
    series.append(Series("recurrences", ends, np.ones(2), "theory", theory=_RECURRENCES))
    return StudyFigure(
        "heavy-tails",
        "Means of more and more networks over the prediction",
        "networks in the mean",
        "typical mean of χ₀/χ_L over the recurrences",
        tuple(series),
        "Full residual networks of the largest width; median over samples of their mean: "
        + "; ".join(parts)
        + ". The tail index of φ'² is 1/(2 − 2A), "
        "at most 2 where A ≤ 3/4.",
        x_log=True,
        y_log=True,
    )
