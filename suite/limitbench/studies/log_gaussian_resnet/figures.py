"""Figures of `log-gaussian-resnet`: moments of the log norm, activation and lags, constants, growth of the mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float

from limitbench.numerics.interlayer import Interlayer, squares_kernel
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.log_gaussian_resnet.evidence import (
    BALANCED,
    EQUAL,
    FINITE,
    VANILLA,
    Family,
    excess,
    fit_excess,
    lag_covariances,
    log_mean_growth,
)
from limitbench.studies.measured import Measured, column_values, mean_of, values, variance, variance_of
from limitbench.studies.phrases import apart, furthest, last_point

BASE, LIMIT, NNGP = "log-gaussian-base", "log-gaussian", "infinite-width"
#: Residual weights drawn at most in one figure.
_WEIGHTS = 3


def figures(evidence: Evidence) -> list[StudyFigure]:
    """All that the run can show."""
    makers: Sequence[Callable[[Evidence], StudyFigure | None]] = (
        _variance_with_depth,
        _mean_with_depth,
        _variance_with_width,
        _activation,
        _lags,
        _constants,
        _growth,
    )
    return [figure for figure in (maker(evidence) for maker in makers) if figure is not None]


def _points(label: str, x: Iterable[float], measured: Sequence[Measured]) -> Series:
    """Measured values with their standard errors, where two networks or more are alive."""
    points = [(at, m.value, m.se) for at, m in zip(x, measured, strict=True) if math.isfinite(m.value)]
    at, y, se = np.array(points, dtype=float).reshape(-1, 3).T
    return Series(label, at, y, se=se)


def _line(label: str, x: Float[np.ndarray, " points"], y: Iterable[float], theory: str = "") -> Series:
    return Series(label, x, np.array(list(y), dtype=float), kind="theory" if theory else "reference", theory=theory)


def _weights(evidence: Evidence) -> list[float]:
    """At most three residual weights: the ends and the one nearest to 1/2."""
    found = sorted({float(c.parameters["residual_weight"]) for c in evidence.where(network=VANILLA)})
    return sorted({found[0], min(found, key=lambda w: abs(w - EQUAL)), found[-1]}) if found else []


def _moment_series(
    evidence: Evidence,
    measure: Callable[[Float[np.ndarray, " networks"]], Measured],
    rate: Callable[[Interlayer], float],
) -> tuple[list[Series], int]:
    """Measured moments over d/n at the largest width with both finite-depth sums and independent layers."""
    series, width = [], 0
    families = [Family(evidence, VANILLA, w) for w in _weights(evidence)]
    if families:
        families.append(Family(evidence, BALANCED, EQUAL))
    for family in families:
        widest, column = family.widest()
        if not column:
            continue
        width = widest
        name = f"{family.network}, α² = {family.weight:g}"
        depths = sorted(column)
        drawn = column_values([column[d] for d in depths], "log_norm")
        points = _points(name, [d / width for d in depths], [measure(x) for x in drawn])
        if not len(points.x):
            continue
        series.append(points)
        if family.network == VANILLA:
            fine = np.unique(np.geomspace(depths[0], depths[-1], 30).round().astype(int))
            y = [d / width * rate(Interlayer(family.weight, int(d))) for d in fine]
            series.append(_line(f"finite-depth sums, α² = {family.weight:g}", fine / width, y, FINITE))
            if abs(family.weight - EQUAL) < 1e-9:
                base = Interlayer(family.weight, balanced=True)
                y = [d / width * rate(base) for d in fine]
                series.append(_line("independent layers, α² = 0.5", fine / width, y, BASE))
    return series, width


def _variance_with_depth(evidence: Evidence) -> StudyFigure | None:
    series, width = _moment_series(evidence, variance_of, lambda constants: constants.variance_rate)
    if not series:
        return None
    family = Family(evidence, VANILLA, _weights(evidence)[0])
    width, column = family.widest()
    deepest = max(column)
    ratio = variance(column[deepest]).value / (deepest / width * Interlayer(family.weight, balanced=True).base)
    if not math.isfinite(ratio):
        return None
    return StudyFigure(
        "log-norm-variance",
        "Variance of the log norm",
        "depth over width d/n",
        "Var ln V_d/V₀",
        tuple(series),
        f"Networks of width {width}. The variance of a vanilla network is {ratio:.2f} times that of independent layers "
        f"at α² = {family.weight:g}, d/n = {deepest / width:g}."
        + _balanced_words(series, Interlayer(EQUAL, balanced=True).base),
        x_log=True,
        y_log=True,
    )


def _balanced_words(series: Sequence[Series], rate: float) -> str:
    """How far Balanced networks are from independent layers, whose moment is `rate` d/n."""
    found = next((s for s in series if s.label.startswith(BALANCED)), None)
    if found is None:
        return ""
    return f" Balanced networks: {apart(furthest(found, rate * found.x))} independent layers."


def _mean_with_depth(evidence: Evidence) -> StudyFigure | None:
    def mean(log_norm: Float[np.ndarray, " networks"]) -> Measured:
        found = mean_of(log_norm)
        return Measured(-found.value, found.se)

    series, width = _moment_series(evidence, mean, lambda constants: -constants.mean_rate)
    if not series:
        return None
    return StudyFigure(
        "log-norm-mean",
        "Mean of the log norm",
        "depth over width d/n",
        "−E ln V_d/V₀",
        tuple(series),
        f"Networks of width {width}; the sign is turned. At the largest d/n: "
        + "; ".join(f"{s.label} {last_point(s)}" for s in series if s.kind == "network")
        + "."
        + _balanced_words(series, -Interlayer(EQUAL, balanced=True).mean_rate),
        x_log=True,
        y_log=True,
    )


def _variance_with_width(evidence: Evidence) -> StudyFigure | None:
    family = Family(evidence, VANILLA)
    square = family.square()
    if len(square) < 2:
        return None
    n = np.array(list(square), dtype=float)
    fine = np.unique(np.geomspace(n[0], n[-1], 30).round().astype(int))
    theory = np.array([family.theory(int(k), int(k)).variance for k in fine])
    fitted = [k for k in square if 32 <= k <= 128] or list(square)
    fit = fit_excess({k: square[k] for k in fitted}, family, max(fitted))
    limit = Interlayer(EQUAL).variance_rate
    at = int(np.argmin(np.abs(np.log(n / 100))))
    near = f"{n[at]:g}"
    series = (
        _points("vanilla, α² = 0.5, d = n", n, [variance(cell) for cell in square.values()]),
        _line("finite-depth sums", fine.astype(float), theory, FINITE),
        _line("infinite depth", n[[0, -1]], [limit] * 2, LIMIT),
        _line(f"finite-depth sums + {fit.value:.0f}/n", fine.astype(float), theory + fit.value / fine),
    )
    return StudyFigure(
        "variance-excess",
        "The variance on its way to its limit",
        "width n = depth d",
        "Var ln V_d/V₀",
        series,
        f"The excess over finite-depth sums is a/n with a = {fit.value:.1f} ± {fit.se:.1f}, fitted at widths "
        f"{', '.join(map(str, fitted))}. At width {near} the variance is {100 * (series[0].y[at] / limit - 1):+.1f} % "
        f"from its limit {limit:.2f}, at width {n[0]:g} {100 * (series[0].y[0] / limit - 1):+.1f} %.",
        x_log=True,
    )


def _activation(evidence: Evidence) -> StudyFigure | None:
    family = Family(evidence, VANILLA)
    columns = family.widths()
    if not columns:
        return None
    series = []
    for width in sorted(columns)[-3:]:
        column = {d: c for d, c in sorted(columns[width].items()) if d <= width}
        if column:
            measured = [excess([c], "active_fraction") for c in column.values()]
            series.append(_points(f"vanilla, n = {width}", column, measured))
    if not series:
        return None
    last = series[-1]
    width, column = Family(evidence, BALANCED).widest()
    shallow = {d: c for d, c in sorted(column.items()) if d <= width}
    balanced = ""
    if shallow:
        measured = [excess([c], "active_fraction") for c in shallow.values()]
        series.append(_points(f"balanced, n = {width}", shallow, measured))
        balanced = f" Balanced networks: {apart(furthest(series[-1], 0.0))} half."
    layers = np.arange(1, 33)
    curve = [Interlayer(EQUAL).active_excess(int(layer)) for layer in layers]
    series.append(_line("sum over lags", layers.astype(float), curve, FINITE))
    return StudyFigure(
        "hypoactivation",
        "Active ReLUs less half of them (hypoactivation)",
        "layer l",
        "n (P(z_l > 0) − 1/2)",
        tuple(series),
        f"Share of active units less 1/2, times n, at α² = 0.5: {last.label} has {last_point(last)} in its last layer "
        f"shown, the sum over lags {curve[-1]:.3f}.{balanced}",
        x_log=True,
    )


def _lags(evidence: Evidence) -> StudyFigure | None:
    series, parts = [], []
    for network in (VANILLA, BALANCED):
        width, column = Family(evidence, network).widest()
        lags = {lag: m for lag, m in lag_covariances(column).items() if lag <= 16}
        if len(lags) < 2:
            continue
        series.append(_points(f"{network}, n = {width}", lags, list(lags.values())))
        if 1 in lags:
            parts.append(f"{network} {lags[1].value:.3f} ± {lags[1].se:.3f}")
    if not series:
        return None
    fine = np.linspace(0, 16, 60)
    series.append(_line("K(cʳ)", fine, squares_kernel(EQUAL ** (fine / 2)), FINITE))
    return StudyFigure(
        "interlayer-covariance",
        "Covariance between layers",
        "lag r",
        "4n Cov(A_l, A_{l+r})",
        tuple(series),
        f"α² = 0.5. At lag 1: {', '.join(parts) or 'not recorded'}; in theory K(c) = "
        f"{squares_kernel(EQUAL**0.5):.3f}, 0 for Balanced.",
    )


def _constants(evidence: Evidence) -> StudyFigure | None:
    weights = sorted({float(c.parameters["residual_weight"]) for c in evidence.where(network=VANILLA)})
    squares = {w: Family(evidence, VANILLA, w).square() for w in weights}
    common = set.intersection(*(set(s) for s in squares.values())) if squares else set()
    if not common:
        return None
    n = max(common)
    found = [variance(squares[w][n]) for w in weights]
    means = [mean_of(values(squares[w][n], "log_norm")) for w in weights]
    coupled = [Measured(m.value - Interlayer(w).base, m.se) for w, m in zip(weights, found, strict=True)]
    fine = np.linspace(0.0, 0.98, 50)
    finite, limit = [Interlayer(float(w), n) for w in fine], [Interlayer(float(w)) for w in fine]
    peak = max(limit, key=lambda constants: constants.coupling)
    sums = np.array([Interlayer(float(w), n).variance_rate for w in weights])
    series = (
        _points("v", weights, found),
        _points("−m", weights, [Measured(-m.value, m.se) for m in means]),
        _points("C", weights, coupled),
        _line(f"v, depth {n}", fine, [c.variance_rate for c in finite], FINITE),
        _line(f"−m, depth {n}", fine, [-c.mean_rate for c in finite], FINITE),
        _line(f"C, depth {n}", fine, [c.coupling for c in finite], FINITE),
        _line("v, infinite depth", fine, [c.variance_rate for c in limit]),
    )
    return StudyFigure(
        "constants",
        "Constants of the log-Gaussian law",
        "residual weight α²",
        "rate in d/n",
        series,
        f"Points: vanilla networks at n = d = {n}, v {apart(furthest(series[0], sums))} the finite-depth sums. In "
        f"theory the interlayer constant C is {limit[0].coupling:.2f} at α² = 0 (a ReLU MLP), peaks at "
        f"{peak.coupling:.2f} near α² = {peak.residual_weight:.2f} and is {limit[-1].coupling:.2f} at α² = "
        f"{fine[-1]:g}.",
    )


def _growth(evidence: Evidence) -> StudyFigure | None:
    series, words, balanced = [], "", ""
    for network in (VANILLA, BALANCED):
        family = Family(evidence, network)
        for width in sorted(family.widths())[-2:]:
            column = {d: c for d, c in sorted(family.widths()[width].items()) if d <= width / 4}
            if not column:
                continue
            drawn = column_values(list(column.values()), "log_norm")
            measured = {d: log_mean_growth(x) for d, x in zip(column, drawn, strict=True)}
            grown = {d: m for d, m in measured.items() if math.isfinite(m.value)}
            if not grown:
                continue
            series.append(_points(f"{network}, n = {width}", [d / width for d in grown], list(grown.values())))
            if network == VANILLA:
                depths = np.unique(np.linspace(1, width // 4, 20).round().astype(int))
                y = [family.theory(int(d), width).mean_growth for d in depths]
                series.append(_line(f"finite-depth sums, n = {width}", depths / width, y, FINITE))
                words = f" Vanilla networks, n = {width}: {last_point(series[-2])} at d/n = {series[-2].x[-1]:g}, "
                words += f"finite-depth sums {y[-1]:.3f}; the rate at infinite depth is "
                words += f"{Interlayer(EQUAL).growth_rate:.4f}."
            else:
                balanced = f" Balanced ones, n = {width}: {apart(furthest(series[-1], 0.0))} no growth."
    if not series:
        return None
    series.append(_line("infinite width", np.array([0.0, 0.25]), [0.0, 0.0], NNGP))
    return StudyFigure(
        "mean-growth",
        "Growth of the mean squared norm",
        "depth over width d/n",
        "ln E V_d/V₀",
        tuple(series),
        f"α² = 0.5, d/n up to 1/4 (beyond, rare networks decide).{words}{balanced}",
    )
