"""Figures of `deep-linear-posterior`: mean, spread, coupling and law of predictions, noise, effective sample sizes."""

from __future__ import annotations

import math

import numpy as np

from limitbench.studies.deep_linear_posterior.claims import COUPLING, MEAN, VARIANCE, Quantity, depth_is_width
from limitbench.studies.deep_linear_posterior.measures import ENOUGH, posterior_of
from limitbench.studies.deep_linear_posterior.tasks import LABELS, aspect, finite, limit, nngp, regression
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.measured import Measured
from limitbench.studies.phrases import each, sign_of
from limitbench.theories.linear_posterior import InfiniteWidth, ProportionalLimit

#: Points of a theory's curve.
_CURVE = 9
_QUANTILES = np.linspace(0.02, 0.98, 33)


def figures(evidence: Evidence) -> list[StudyFigure]:
    """All figures that the run has cells for."""
    drawn = [
        _against_aspect(evidence, "mean", "Predictive mean", MEAN),
        _against_aspect(evidence, "spread", "Predictive standard deviation", _DEVIATION),
        _coupling(evidence),
        _law(evidence),
        _noise(evidence),
        _effective_size(evidence),
    ]
    return [figure for figure in drawn if figure is not None]


def _root(variance: Measured) -> Measured:
    if not variance.value > 0:
        return Measured(math.nan, math.nan)
    return Measured(math.sqrt(variance.value), variance.se / (2 * math.sqrt(variance.value)))


_DEVIATION: Quantity = (lambda seen: _root(VARIANCE[0](seen)), lambda theory: math.sqrt(VARIANCE[1](theory)))


def _noisiest(evidence: Evidence, labels: str) -> list[CellEvidence]:
    cells = evidence.where(labels=labels)
    noise = max((float(c.parameters["noise"]) for c in cells), default=math.nan)
    return [c for c in cells if float(c.parameters["noise"]) == noise]


def _points(evidence: Evidence, label: str, cells: list[CellEvidence], quantity: Quantity) -> Series | None:
    """Networks of one width against alpha, where the effective sample size allows a standard error."""
    found = sorted((aspect(c.parameters), *_estimate(evidence, c, quantity)) for c in cells)
    kept = np.array([row for row in found if math.isfinite(row[2])]).reshape(-1, 3)
    return Series(label, kept[:, 0], kept[:, 1], se=kept[:, 2]) if len(kept) else None


def _estimate(evidence: Evidence, cell: CellEvidence, quantity: Quantity) -> tuple[float, float]:
    estimate = quantity[0](posterior_of(evidence, cell))
    return estimate.value, estimate.se


def _by_width(cells: list[CellEvidence]) -> dict[int, list[CellEvidence]]:
    widths = sorted({int(c.parameters["width"]) for c in cells})
    chosen = widths if len(widths) <= 3 else [widths[0], widths[len(widths) // 2], widths[-1]]
    return {width: [c for c in cells if c.parameters["width"] == width] for width in chosen}


def _limit(cells: list[CellEvidence], quantity: Quantity, suffix: str = "") -> Series:
    """The proportional limit over the run's range of alpha."""
    seen = sorted({aspect(c.parameters) for c in cells})
    task = limit(cells[0].parameters).task
    alphas = np.geomspace(seen[0], seen[-1], _CURVE) if len(seen) > 1 else np.array(seen)
    y = np.array([quantity[1](ProportionalLimit(float(alpha), task)) for alpha in alphas])
    return Series(f"proportional limit{suffix}", alphas, y, "theory", theory="proportional-limit")


def _narrowest(cells: list[CellEvidence], quantity: Quantity) -> Series:
    """The finite mixture at the narrowest width of the run."""
    width = min(int(c.parameters["width"]) for c in cells)
    own = [c.parameters for c in cells if c.parameters["width"] == width]
    x, y = np.array(sorted((aspect(at), quantity[1](finite(at))) for at in own)).T
    return Series(f"finite mixture, N = {width}", x, y, "theory", theory="finite-mixture")


def _against_aspect(evidence: Evidence, name: str, title: str, quantity: Quantity) -> StudyFigure | None:
    cells = _noisiest(evidence, "one")
    if not cells:
        return None
    series = [_limit(cells, quantity), _narrowest(cells, quantity)]
    flat = quantity[1](nngp(cells[0].parameters))
    ends = series[0].x[[0, -1]]
    series.append(Series("infinite width (NNGP)", ends, np.full(len(ends), flat), "theory", theory="infinite-width"))
    measured = [_points(evidence, f"networks, N = {n}", own, quantity) for n, own in _by_width(cells).items()]
    series += [points for points in measured if points is not None]
    deepest = max(cells, key=lambda c: (aspect(c.parameters), float(c.parameters["width"])))
    value, se = _estimate(evidence, deepest, quantity)
    caption = (
        f"One output, three training inputs, T = {deepest.parameters['noise']:g}. NNGP says {flat:.3f} at every depth; "
        f"at L/N = {aspect(deepest.parameters):g} networks of width {deepest.parameters['width']} have {value:.3f} ± "
        f"{se:.3f}, their finite mixture {quantity[1](finite(deepest.parameters)):.3f}, the limit "
        f"{quantity[1](limit(deepest.parameters)):.3f}. Bars: two standard errors of importance sampling."
    )
    return StudyFigure(
        f"predictive-{name}", title, "α = L/N", f"{title.lower()} at x₀", tuple(series), caption, x_log=True
    )


def _coupling(evidence: Evidence) -> StudyFigure | None:
    series: list[Series] = []
    words = []
    for labels in ("equal", "opposite"):
        cells = _noisiest(evidence, labels)
        if not cells:
            continue
        series.append(_limit(cells, COUPLING, f", {labels}"))
        widths = _by_width(cells)
        for width in (min(widths), max(widths)) if len(widths) > 1 else widths:
            points = _points(evidence, f"networks, N = {width}, {labels}", widths[width], COUPLING)
            if points is not None:
                series.append(points)
                value, se = float(points.y[-1]), float(points.se[-1])  # type: ignore[index]
                sign = sign_of(value, se, positive="positive", negative="negative", neither="not clear of 0")
                words.append(f"{labels} labels, N = {width} {value:+.3f} ± {se:.3f} ({sign})")
    if not series:
        return None
    ends = series[0].x[[0, -1]]
    series.append(Series("infinite width (NNGP): 0", ends, np.zeros(len(ends)), "theory", theory="infinite-width"))
    caption = (
        "In theory outputs that share their labels are coupled positively, opposite ones negatively, NNGP's not at "
        f"all. Networks at the largest L/N: {each(words, 'too few effective ones')}."
    )
    return StudyFigure(
        "output-coupling",
        "Covariance of two outputs given the labels",
        "α = L/N",
        "Cov(S₁, S₂ | Y) at x₀",
        tuple(series),
        caption,
        x_log=True,
    )


def _law(evidence: Evidence) -> StudyFigure | None:
    cell = depth_is_width(evidence, "one")
    if cell is None:
        return None
    laws = {name: cell.theory(name).law("posterior_output_1") for name in _TITLES}
    span = [law.quantile(np.array([0.001, 0.999])) for law in laws.values()]
    x = np.linspace(min(s[0] for s in span), max(s[1] for s in span), 60)
    series = [Series(_TITLES[name], x, law.cdf(x), "theory", theory=name) for name, law in laws.items()]
    drawn = np.sort(posterior_of(evidence, cell).draws[0])
    if drawn.size < ENOUGH:
        return None
    series.append(Series("accepted networks", np.quantile(drawn, _QUANTILES), _QUANTILES, se=_binomial(drawn.size)))
    furthest = {
        name: float(np.abs(law.cdf(drawn) - (np.arange(drawn.size) + 0.5) / drawn.size).max())
        for name, law in laws.items()
    }
    caption = (
        f"One output, L = N = {cell.parameters['width']}, T = {cell.parameters['noise']:g}: the {drawn.size} networks "
        f"that were accepted are posterior draws. Kolmogorov-Smirnov distance: "
        + ", ".join(f"{_TITLES[name]} {d:.3f}" for name, d in furthest.items())
        + "."
    )
    return StudyFigure("posterior-law", "Posterior predictive law", "S(x₀)", "P(S ≤ x | Y)", tuple(series), caption)


_TITLES = {
    "infinite-width": "infinite width (NNGP)",
    "proportional-limit": "proportional limit",
    "finite-mixture": "finite mixture",
}


def _binomial(size: int) -> np.ndarray:
    return np.asarray(np.sqrt(_QUANTILES * (1 - _QUANTILES) / size))


def _noise(evidence: Evidence) -> StudyFigure | None:
    """Mean against T at alpha = 1: all theories meet where noise vanishes."""
    noise = np.geomspace(1e-4, 1.0, 25)
    tasks = [regression("one", float(t)) for t in noise]
    infinite = np.array([InfiniteWidth(task).posterior.mean[0] for task in tasks])
    proportional = np.array([ProportionalLimit(1.0, task).posterior.mean[0] for task in tasks])
    task = tasks[0]
    interpolant = float(task.targets[0] @ np.linalg.solve(task.kernel, task.cross))
    series = [
        Series("infinite width (NNGP)", noise, infinite, "theory", theory="infinite-width"),
        Series("proportional limit, α = 1", noise, proportional, "theory", theory="proportional-limit"),
        Series("Y K⁻¹ k₀", noise[[0, -1]], np.full(2, interpolant), "reference"),
    ]
    for width, cells in _by_width(evidence.where(labels="one", alpha=1.0)).items():
        rows = sorted((float(c.parameters["noise"]), *_estimate(evidence, c, MEAN)) for c in cells)
        kept = np.array([row for row in rows if math.isfinite(row[2])]).reshape(-1, 3)
        if len(kept):
            series.append(Series(f"networks, L = N = {width}", kept[:, 0], kept[:, 1], se=kept[:, 2]))
    caption = (
        f"Without noise every mixture of Gaussian processes predicts Y K⁻¹ k₀ = {interpolant:.3f}: at T = "
        f"{noise[0]:g} NNGP has {infinite[0]:.3f} and the limit {proportional[0]:.3f}; at T = {noise[-1]:g} "
        f"{infinite[-1]:.3f} and {proportional[-1]:.3f}."
    )
    return StudyFigure(
        "noise",
        "Predictive mean against the noise",
        "noise variance T",
        "predictive mean at x₀",
        tuple(series),
        caption,
        x_log=True,
    )


def _effective_size(evidence: Evidence) -> StudyFigure | None:
    series: list[Series] = []
    for labels in LABELS:
        widths = _by_width(_noisiest(evidence, labels))
        for width in sorted({min(widths), max(widths)}) if widths else []:
            seen = sorted(
                ((aspect(c.parameters), posterior_of(evidence, c)) for c in widths[width]), key=lambda pair: pair[0]
            )
            share = np.array([(a, s.effective / s.networks) for a, s in seen if s.effective > 0]).reshape(-1, 2)
            if len(share):
                series.append(Series(f"{labels}, N = {width}", share[:, 0], share[:, 1]))
    if not series:
        return None
    low = min(series, key=lambda s: float(s.y.min()))
    caption = (
        f"Share of prior networks that importance sampling counts, (Σw)²/Σw² over their number. The smallest is "
        f"{low.y.min():.2%} ({low.label})."
    )
    return StudyFigure(
        "effective-sample-size",
        "How many networks fit the labels",
        "α = L/N",
        "effective share of networks",
        tuple(series),
        caption,
        x_log=True,
        y_log=True,
    )
