"""Figures of `relu-gradients`: one line for all, layers of one network, the law at d = n, death, residual networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.measured import Measured, mean_of, values, variance_of
from limitbench.studies.phrases import differ, each, last_point
from limitbench.studies.relu_gradients.families import MLPS, columns, layers_of, reads_ends
from limitbench.studies.relu_gradients.residual import BALANCED, VANILLA, variances, whole_networks
from limitbench.studies.relu_gradients.slopes import WEIGHT_GRADIENT, fit_slope
from limitbench.theories.relu_gradients import ChiSquareProducts

EXACT, LOG_NORMAL = "chi-square-products", "log-normal"
_LAW_BINS = 24


def figures(evidence: Evidence) -> list[StudyFigure]:
    """All that the run can show."""
    makers: Sequence[Callable[[Evidence], StudyFigure | None]] = (
        _one_line,
        _by_layer,
        _law,
        _death,
        _residual,
    )
    return [figure for figure in (maker(evidence) for maker in makers) if figure is not None]


def _points(label: str, x: Sequence[float], measured: Sequence[Measured]) -> Series:
    """Measured values in order of x, where two networks or more are alive."""
    points = sorted((a, m.value, m.se) for a, m in zip(x, measured, strict=True) if math.isfinite(m.value))[:60]
    at, y, se = np.array(points, dtype=float).reshape(-1, 3).T
    return Series(label, at, y, se=se)


def _one_line(evidence: Evidence) -> StudyFigure | None:
    """Variances of whole networks against the sum of inverse widths."""
    series = []
    for network in MLPS:
        whole = [c[-1] for c in columns(evidence, (network,))]
        x = [layers_of(c.parameters).time(WEIGHT_GRADIENT) for c in whole]
        series.append(_points(f"|∂E/∂W|², {network}", x, variances(whole, WEIGHT_GRADIENT)))
    ends = [c for c in columns(evidence, ("relu",)) if reads_ends(c)]
    x = [layers_of(c[0].parameters).time(WEIGHT_GRADIENT) for c in ends]
    forward, backward = (
        variances([c[-1] for c in ends], "log_jacobian"),
        variances([c[0] for c in ends], "log_gradient"),
    )
    series.append(_points("|Ju|², relu", x, forward))
    series.append(_points("|J'v|², relu", x, backward))
    off = [abs(a.value - b.value) / math.hypot(a.se, b.se) for a, b in zip(forward, backward, strict=True)]
    known = [d for d in off if math.isfinite(d)]
    both = f" Variances of |Ju|² and |J'v|² differ by at most {max(known):.1f} standard errors." if known else ""
    series = [s for s in series if len(s.x)]
    if not series:
        return None
    span = np.array([min(s.x[0] for s in series), max(s.x[-1] for s in series)])
    series.append(Series("5 Σ 1/n", span, 5 * span, kind="theory", theory=LOG_NORMAL))
    fitted = {network: fit_slope(evidence, network) for network in MLPS}
    words = [f"{network} {s.value:.2f} ± {s.se:.2f}" for network, s in fitted.items() if s is not None]
    drawn = [network for network, s in fitted.items() if s is not None]
    expected = ", ".join(f"{network} {3 / MLPS[network].passing - 1:g}" for network in drawn)
    beyond = max((float(s.y[-1] / (5 * s.x[-1])) for s in series[:-1]), default=1.0)
    narrow = f" The narrowest and deepest reach {beyond:.1f} times the line of ReLU." if beyond > 1.3 else ""
    return StudyFigure(
        "variance-against-inverse-widths",
        "Variances against the sum of inverse widths",
        "sum of inverse widths Σ 1/n_l",
        "variance of the log",
        tuple(series),
        f"Slopes at infinite width: {', '.join(words) or 'too few widths'}; the log-normal law has 3/p − 1"
        f"{': ' + expected if expected else ''}.{both}{narrow}",
        x_log=True,
        y_log=True,
    )


def _by_layer(evidence: Evidence) -> StudyFigure | None:
    """Mean and band of the gradients of each layer of the ReLU networks nearest to d = n."""
    long = [c for c in columns(evidence, ("relu",)) if reads_ends(c)]
    if not long:
        return None
    column = min(long, key=_away_from_square)
    x = np.array([float(c.parameters["layer"]) for c in column])
    series = []
    for name, label in ((WEIGHT_GRADIENT, "|∂E/∂W_l|²"), ("log_gradient", "|∂E/∂z_l|²"), ("log_norm", "|x_l|²")):
        drawn = [values(c, name) for c in column]
        mean = [mean_of(v) for v in drawn]
        if not all(math.isfinite(m.value) for m in mean):
            return None
        if name == WEIGHT_GRADIENT:
            y = np.array([m.value for m in mean])
            sd = np.array([math.sqrt(variance_of(v).value) for v in drawn])
            series.append(Series(f"{label}, ± one sd", x, y, kind="band", low=y - sd, high=y + sd))
        series.append(_points(label, x.tolist(), mean))
        exact = [ChiSquareProducts(layers_of(c.parameters)).mean(name) for c in column]
        series.append(Series(f"{label}, exact mean", x, np.array(exact), kind="theory", theory=EXACT))
    first, last = values(column[0], WEIGHT_GRADIENT), values(column[-1], WEIGHT_GRADIENT)
    whole, within = variance_of(first), variance_of(first - last)
    p = column[0].parameters
    flat, back, ahead = (s for s in series if s.kind == "network")
    return StudyFigure(
        "gradients-by-layer",
        "Gradients of the layers of one network",
        "layer l",
        "mean of the log",
        tuple(series),
        f"ReLU networks of width {p['width']} and depth {p['depth']}. The mean log of the gradient by units is "
        f"{back.y[0]:.2f} at layer {back.x[0]:g}, that of the norm {ahead.y[-1]:.2f} at layer {ahead.x[-1]:g}; weight "
        f"gradients are within {np.ptp(flat.y):.2f} of each other in all layers, of variance {whole.value:.2f} in the "
        f"first. Within one network the first and the last differ by a log of variance {within.value:.2f}.",
    )


def _away_from_square(column: Sequence[CellEvidence]) -> tuple[float, int]:
    """How far d is from n, the longest column first among equals."""
    depth, width = (int(column[0].parameters[name]) for name in ("depth", "width"))
    return abs(math.log(depth / width)), -len(column)


def _law(evidence: Evidence) -> StudyFigure | None:
    """Density of ln |Ju|^2 at d = n."""
    cells = [c for c in evidence.where(network="relu", alpha=1.0) if c.parameters["layer"] == c.parameters["depth"]]
    drawn = [(c, values(c, "log_jacobian")) for c in cells]
    drawn = [(c, x[np.isfinite(x)]) for c, x in drawn]
    drawn = [(c, x) for c, x in drawn if x.size >= 256]
    if not drawn:
        return None
    cell, x = max(drawn, key=lambda pair: int(pair[0].parameters["width"]))
    exact, normal = (cell.theory(name).law("log_jacobian") for name in (EXACT, LOG_NORMAL))
    low, high = exact.quantile(np.array([0.002, 0.998])).tolist()
    edges = np.linspace(low, high, _LAW_BINS + 1)
    width = float(edges[1] - edges[0])
    share = np.histogram(x, edges)[0] / x.size
    middle = (edges[1:] + edges[:-1]) / 2
    series = (
        Series("networks", middle, share / width, se=np.sqrt(share * (1 - share) / x.size) / width),
        *(
            Series(label, middle, np.diff(law.cdf(edges)) / width, kind="theory", theory=name)
            for label, law, name in (
                ("exact chi-square products", exact, EXACT),
                ("log-normal", normal, LOG_NORMAL),
            )
        ),
    )
    n = cell.parameters["width"]
    return StudyFigure(
        "law-of-the-jacobian",
        f"The law of ln |Ju|² at d = n = {n}",
        "ln |Ju|²/|u|²",
        "density",
        series,
        f"Mean {x.mean():.2f} and variance {x.var(ddof=1):.2f} of {x.size:,} networks; exact {exact.mean:.2f} and "
        f"{exact.std**2:.2f}, log-normal {normal.mean:.2f} and {normal.std**2:.2f}; infinite width says 0 and 0.",
    )


def _death(evidence: Evidence) -> StudyFigure | None:
    """Share of dead networks against width at the deepest depth."""
    series, words = [], []
    for network in ("relu", "relu-dropout", "linear-dropout"):
        whole = [c[-1] for c in columns(evidence, (network,))]
        if not whole:
            continue
        depth = max(int(c.parameters["depth"]) for c in whole)
        cells = [c for c in whole if c.parameters["depth"] == depth]
        n = [float(c.parameters["width"]) for c in cells]
        dead = [(a, mean_of(values(c, "dead"), (c,))) for a, c in zip(n, cells, strict=True)]
        seen = [(a, m) for a, m in dead if m.value > 0]
        if not seen:
            continue
        series.append(_points(network, [a for a, _ in seen], [m for _, m in seen]))
        words.append(f"{network} {seen[0][1].value:.3f} at width {seen[0][0]:g}")
        exact = np.array([layers_of(c.parameters, whole=True).death for c in cells])
        series.append(Series(f"{network}, exact", np.array(n), exact, kind="theory", theory=EXACT))
        if network == "relu":
            guess = np.minimum(depth * 2.0 ** -np.array(n), 1.0)
            series.append(Series("d 2⁻ⁿ", np.array(n), guess, kind="reference"))
    if not series:
        return None
    least = min(float(s.y[s.y > 0].min()) for s in series if s.kind == "network")
    shown = tuple(_above(s, least / 30) for s in series)
    return StudyFigure(
        "death",
        "Networks in which a whole layer is off",
        "width n",
        "share of dead networks",
        shown,
        f"At the deepest depth: {', '.join(words)}. All other figures are of networks that are alive.",
        x_log=True,
        y_log=True,
    )


def _above(series: Series, least: float) -> Series:
    """Without the points of a curve that are too small to be drawn beside the networks."""
    if series.kind == "network":
        return series
    kept = series.y >= least
    return Series(series.label, series.x[kept], series.y[kept], kind=series.kind, theory=series.theory)


def _residual(evidence: Evidence) -> StudyFigure | None:
    """Variances per d/n of residual networks, forward and backward, against width."""
    series: list[Series] = []
    words, ways = [], []
    for network in (VANILLA, BALANCED):
        cells = whole_networks(evidence, network)
        depth = max((int(c.parameters["depth"]) for c in cells), default=0)
        cells = [c for c in cells if c.parameters["depth"] == depth]
        for name, label in (("log_norm", "|z_d|²"), ("log_gradient", "|J'v|²")):
            found = [
                Measured(m.value * n / depth, m.se * n / depth)
                for m, n in zip(variances(cells, name), _widths(cells), strict=True)
            ]
            points = _points(f"{label}, {network}", _widths(cells), found)
            if len(points.x):
                series.append(points)
                words.append(f"{points.label} {last_point(points, 2)}")
        pair = [s for s in series if s.label.endswith(f", {network}") and s.se is not None]
        if len(pair) == 2:
            ends = [(float(s.y[-1]), float(s.se[-1])) for s in pair if s.se is not None]
            ways.append(f"{network} {differ(ends[0], ends[1])}")
    if not series:
        return None
    span = np.array([min(s.x[0] for s in series), max(s.x[-1] for s in series)])
    series.append(
        Series("Balanced: 2.25", span, np.full(2, 2.25), kind="theory", theory="balanced-log-normal"),
    )
    return StudyFigure(
        "residual-networks",
        "Forward and backward through residual networks",
        "width n",
        "variance of the log over d/n",
        tuple(series),
        f"At the largest width: {', '.join(words)}. Forward and backward: {each(ways, 'not both measured')}. In theory "
        "Balanced networks have one law in both directions; none is claimed for gradients of vanilla ones.",
        x_log=True,
    )


def _widths(cells: Sequence[CellEvidence]) -> list[float]:
    return [float(c.parameters["width"]) for c in cells]
