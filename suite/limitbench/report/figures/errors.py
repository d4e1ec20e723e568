"""Error against width, on logarithmic axes: D of every theory with its interval, fitted rate and predicted curve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.fits import Errors
from limitbench.report.results import Results
from limitbench.report.style import TheoryStyle, log_ticks, number, plain
from limitbench.statistics.rates import RateFit

_WIDTH, _INNER = 350, 284


def error_figure(
    results: Results,
    errors: Mapping[str, Errors],
    fits: Mapping[str, RateFit],
    predicted: Mapping[str, np.ndarray],
) -> tuple[Figure, str]:
    """The figure and a description in words.

    Arguments:
        results: for margin, styles and titles.
        errors: by theory.
        fits: fitted curves by theory, where there is one; drawn solid through the points.
        predicted: D by theory that the reference law predicts at the same widths; drawn thin and dotted.
    """
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, 290 / 72))
        axes = figure.add_axes((56 / _WIDTH, 44 / 290, _INNER / _WIDTH, 236 / 290))
        draw_errors(axes, results, errors, fits, predicted)
    return figure, describe(results, errors, fits)


def draw_errors(
    axes: Axes,
    results: Results,
    errors: Mapping[str, Errors],
    fits: Mapping[str, RateFit],
    predicted: Mapping[str, np.ndarray],
    *,
    ink: Ink = PAGE,
) -> None:
    """The drawing on `axes`; arguments as for `error_figure`, `ink` has the colours."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    floor, ceiling = _limits(results, errors)
    axes.set_ylim(floor, ceiling)
    widths = results.widths
    axes.set_xlim(widths.min() / 1.2, widths.max() * 1.2)
    axes.axhline(results.margin, color=ink.ink, lw=1, dashes=(4, 3), zorder=1)
    axes.text(widths.max() * 1.2, results.margin * 1.06, "margin", ha="right", va="bottom", fontsize=10, color=ink.ink)
    for theory, points in errors.items():
        look = ink.theory(results.theories.index(theory))
        title = results.theory_title(theory)
        _draw(axes, look, title, points, fits.get(theory), predicted.get(theory), (floor, ceiling))
    axes.set_xticks(widths, [plain(v) for v in results.values("width")], minor=False)
    axes.set_xticks([], minor=True)
    ticks = log_ticks(floor, ceiling)
    axes.set_yticks(ticks, [number(v, 1) for v in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(True, axis="y")
    axes.set_xlabel("width n")
    place_label(axes, ink, "D", 44, _INNER)


def columns(errors: Mapping[str, Errors], predicted: Mapping[str, np.ndarray]) -> dict[str, list[object]]:
    """The drawing's numbers, one row a theory and width."""
    rows = [
        (theory, width, d, low, high, known)
        for theory, e in errors.items()
        for width, d, low, high, known in zip(
            e.widths, e.distance, e.low, e.high, predicted.get(theory, np.full(len(e.widths), np.nan)), strict=True
        )
    ]
    names = ("theory", "width", "D", "low", "high", "predicted D")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def _limits(results: Results, errors: Mapping[str, Errors]) -> tuple[float, float]:
    seen = np.concatenate([e.distance[np.isfinite(e.distance)] for e in errors.values()] + [[results.margin]])
    low = max(float(np.min(seen[seen > 0])), results.margin / 300)
    return low * 0.6, float(np.max(seen)) * 1.7


def _draw(
    axes: Axes,
    look: TheoryStyle,
    title: str,
    points: Errors,
    fit: RateFit | None,
    predicted: np.ndarray | None,
    limits: tuple[float, float],
) -> None:
    floor, ceiling = limits
    shown = np.isfinite(points.distance) & (points.distance > floor)
    bars = shown & (points.high > floor)
    ends = np.stack([np.maximum(points.low, floor), np.minimum(points.high, ceiling), np.full(len(points.low), np.nan)])
    axes.plot(np.repeat(points.widths[bars], 3), ends[:, bars].T.ravel(), color=look.colour, lw=1.2, clip_on=False)
    axes.plot(
        points.widths[shown],
        points.distance[shown],
        ls="none" if fit is not None else look.dashes,
        lw=1.1,
        marker=look.marker,
        markeredgewidth=0,
        color=look.colour,
        clip_on=False,
        label=title,
    )
    below = np.isfinite(points.distance) & ~shown
    axes.plot(points.widths[below], np.full(below.sum(), floor), ls="none", marker=11, color=look.colour, clip_on=False)
    grid = np.geomspace(points.widths.min(), points.widths.max(), 12)
    if fit is not None:
        curve = fit.predict(grid)
        axes.plot(grid[curve > floor], curve[curve > floor], ls=look.dashes, color=look.colour)
    if predicted is not None:
        keep = np.isfinite(predicted) & (predicted > floor) & (predicted < ceiling)
        if keep.sum() > 1:
            axes.plot(points.widths[keep], predicted[keep], lw=4.5, alpha=0.3, color=look.colour, zorder=0.5)


def describe(results: Results, errors: Mapping[str, Errors], fits: Mapping[str, RateFit]) -> str:
    """How each theory's D moves from the smallest to the largest width, from the data."""
    parts = []
    for theory, points in errors.items():
        known = np.flatnonzero(np.isfinite(points.distance))
        if known.size == 0:
            continue
        first, last = known[0], known[-1]
        text = (
            f"{results.theory_title(theory)}: {number(max(points.distance[first], 0.0), 2)} at n = "
            f"{points.widths[first]:g}, {number(max(points.distance[last], 0.0), 2)} at n = {points.widths[last]:g}"
        )
        if theory in fits:
            fit = fits[theory]
            low, high = fit.interval("b")
            text += f", exponent {number(fit.b, 2)} [{number(low, 2)}, {number(high, 2)}]"
        parts.append(text)
    return "D against width. " + "; ".join(parts) + "."
