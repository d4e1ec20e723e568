"""Depth x width map of validity: each cell in the colour and with the mark of its theory, D = margin as lines.

A cell is pale and hatched where even that theory fails or is undecided; the number in it is N*, how many networks tell
the theory from the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import contourpy
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.figures.shades import edges
from limitbench.report.results import Results
from limitbench.report.style import plain, verdict_mark
from limitbench.report.validity import Validity

#: Opacity of a cell where its theory holds, and where it does not.
_FULL, _PALE = 0.45, 0.14
#: With more rows a cell has one line of text; with more rows or columns there is no room for numbers.
_MOST_STACKED, _MOST_ROWS, _MOST_PLACES = 6, 12, 8
_WIDTH, _HEIGHT = 350, 290
_LEFT, _BOTTOM, _INNER, _HIGH = 56, 44, 286, 238
#: More ticks than this run into each other.
_MOST_TICKS = 10

#: A user's own network: depth, width and a few words.
Own = tuple[float, float, str]


def validity_figure(validity: Validity, *, own: Sequence[Own] = (), contours: Sequence[str] | None = None) -> Figure:
    """The map as the page shows it; arguments as for `draw_validity`."""
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / _HEIGHT, _INNER / _WIDTH, _HIGH / _HEIGHT))
        draw_validity(axes, validity, own=own, contours=contours)
    return figure


def draw_validity(
    axes: Axes,
    validity: Validity,
    *,
    own: Sequence[Own] = (),
    contours: Sequence[str] | None = None,
    ink: Ink = PAGE,
) -> None:
    """Draw the map on `axes`: width to the right, depth upwards, logarithmic where the grid is geometric.

    Arguments:
        validity: the map; it must exist.
        own: networks of the reader as dots with their labels; of a grid over d/n the ratio is shown.
        contours: theories whose line D = margin is drawn; all that have one by default.
        ink: colours.
    """
    results = validity.results
    xs, ys, logs = set_plane(axes, results, ink)
    _draw_cells(axes, validity, xs, ys, logs, ink)
    for theory in validity.theories if contours is None else contours:
        _draw_margin(axes, validity, theory, logs, ink)
    dots = [(w, d / w if results.depth_axis == "aspect" else d, label) for d, w, label in own]
    for x, y, label in dots:
        axes.plot([x], [y], ls="none", marker="*", ms=13, mec="white", mew=0.8, color=ink.ink, zorder=5, clip_on=False)
        axes.annotate(label, (x, y), xytext=(8, 5), textcoords="offset points", fontsize=10, color=ink.ink, zorder=5)
    axes.set_xlim(min([xs[0], *(x for x, _, _ in dots)]), max([xs[-1], *(x for x, _, _ in dots)]))
    axes.set_ylim(min([ys[0], *(y for _, y, _ in dots)]), max([ys[-1], *(y for _, y, _ in dots)]))


def legend_handles(axes: Axes, validity: Validity, ink: Ink) -> list[Artist]:
    """What explains a map outside a page: the colour and mark of every theory that has a cell, and the lines drawn."""
    used = [validity.theories[k] for k in np.unique(validity.chosen[validity.chosen >= 0])]
    looks = {t: ink.theory(validity.results.theories.index(t)) for t in used}
    patches: list[Artist] = [
        Patch(color=look.colour, alpha=_FULL, lw=0, label=f"{look.mark} {validity.results.theory_title(t)}")
        for t, look in looks.items()
    ]
    return patches + axes.get_legend_handles_labels()[0]


def set_plane(axes: Axes, results: Results, ink: Ink) -> tuple[np.ndarray, np.ndarray, tuple[bool, bool]]:
    """Make `axes` the plane of a grid; the ends of its columns and rows, and which axes are logarithmic."""
    depth = str(results.depth_axis)
    widths, depths = results.widths, np.array(results.values(depth), dtype=float)
    logs = _geometric(widths), _geometric(depths)
    xs, ys = edges(widths, log=logs[0]), edges(depths, log=logs[1])
    axes.set_xscale("log" if logs[0] else "linear")
    axes.set_yscale("log" if logs[1] else "linear")
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(ys[0], ys[-1])
    for setter, values, axis in ((axes.set_xticks, widths, "width"), (axes.set_yticks, depths, depth)):
        labels = results.axis_labels(axis)
        every = -(-len(values) // _MOST_TICKS)
        setter(values[::every], labels[::every])
        setter([], minor=True)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(f"width {results.symbol('width')}")
    symbol = results.symbol(depth)
    place_label(axes, ink, symbol if depth in ("aspect", symbol) else f"{depth} {symbol}", _LEFT - 12, _INNER)
    return xs, ys, logs


def _geometric(values: Float[np.ndarray, " values"]) -> bool:
    """Whether steps are more even in the logarithm."""
    if values[0] <= 0 or len(values) < 2:
        return False
    if len(values) < 3:
        return bool(values[-1] >= 2 * values[0])
    uneven = [float(np.std(np.diff(v)) / np.mean(np.diff(v))) for v in (np.log(values), values)]
    return uneven[0] < uneven[1]


def _draw_cells(
    axes: Axes, validity: Validity, xs: np.ndarray, ys: np.ndarray, logs: tuple[bool, bool], ink: Ink
) -> None:
    rows, places = validity.chosen.shape
    lined = rows > _MOST_STACKED  # mark and number side by side
    numbered = rows <= _MOST_ROWS and places <= (_MOST_STACKED if lined else _MOST_PLACES)
    hatch: list[tuple[float, float]] = []
    for i, j in zip(*np.nonzero(validity.chosen >= 0), strict=True):
        theory = validity.theories[validity.chosen[i, j]]
        look = ink.theory(validity.results.theories.index(theory))
        verdict = str(validity.verdict[i, j])
        holds = verdict == "holds"
        corner, far = (xs[j], ys[i]), (xs[j + 1], ys[i + 1])
        size = far[0] - corner[0], far[1] - corner[1]
        alpha = _FULL if holds else _PALE
        axes.add_patch(Rectangle(corner, *size, facecolor=look.colour, alpha=alpha, lw=0, zorder=0.5))
        if not holds:
            hatch += _hatched(corner, far, logs)
        mark = look.mark if holds else f"{look.mark} {verdict_mark(verdict)}"
        needed = float(validity.n_star[i, j])
        text = brief(needed) if numbered and np.isfinite(needed) else ""
        lines = [f"{mark} {text}".strip()] if lined else list(filter(None, (mark, text)))
        x = _between(corner[0], far[0], 0.5, logs[0])
        for line, share in zip(lines, (0.64, 0.3) if len(lines) > 1 else (0.5,), strict=True):
            y = _between(corner[1], far[1], share, logs[1])
            axes.text(x, y, line, ha="center", va="center", fontsize=9.5 if numbered else 7, color=ink.ink, zorder=3)
    if hatch:
        axes.plot(*np.array(hatch).T, color=ink.muted, lw=0.6, alpha=0.5, zorder=0.8)


def brief(value: float) -> str:
    """A count in four characters or so: 740, 12k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        scaled = value / size
        if scaled >= 0.9995:
            return (f"{scaled:.1f}".removesuffix(".0") if scaled < 9.95 else f"{scaled:.0f}") + unit
    return f"{value:.0f}"


def _between(low: float, high: float, share: float, log: bool) -> float:
    return float(low ** (1 - share) * high**share) if log else float(low + share * (high - low))


def _hatched(
    corner: tuple[float, float], far: tuple[float, float], logs: tuple[bool, bool]
) -> list[tuple[float, float]]:
    """Diagonal lines over a cell, each closed by an undefined point."""

    def place(u: float, v: float) -> tuple[float, float]:
        return _between(corner[0], far[0], u, logs[0]), _between(corner[1], far[1], v, logs[1])

    found: list[tuple[float, float]] = []
    for start in (-2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3):
        low, high = max(0.0, -start), min(1.0, 1 - start)
        found += [place(low, low + start), place(high, high + start), (np.nan, np.nan)]
    return found


def _draw_margin(axes: Axes, validity: Validity, theory: str, logs: tuple[bool, bool], ink: Ink) -> None:
    """The line on which D of one theory is the margin, between the cells' middles: interpolated in ln D."""
    distance = validity.plane("distance", theory)
    floor = validity.results.margin / 20
    level = np.log(np.maximum(distance, floor))  # noise makes a small D negative
    x = np.log(validity.widths) if logs[0] else validity.widths
    y = np.log(validity.depths) if logs[1] else validity.depths
    lines = contourpy.contour_generator(x, y, np.ma.masked_invalid(level)).lines(float(np.log(validity.results.margin)))
    look = ink.theory(validity.results.theories.index(theory))
    for k, line in enumerate(lines):
        u, v = np.asarray(line).T
        axes.plot(
            np.exp(u) if logs[0] else u,
            np.exp(v) if logs[1] else v,
            ls=look.dashes,
            color=look.colour,
            lw=2.2,
            zorder=2,
            label="" if k else f"D = {plain(validity.results.margin)}: {validity.results.theory_title(theory)}",
        )


def describe(validity: Validity) -> str:
    """The map in words: axes, then what the caption says."""
    results = validity.results
    label = f"{results.observable_title(validity.observable)}, theory by {results.depth_axis} and width"
    return f"{label}. {validity.caption()}"
