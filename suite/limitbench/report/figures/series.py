"""A study's own figure: measured points with bars, theories as lines, references, paths and bands, on any axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.figures.shades import draw_shades, edges, shade_words
from limitbench.report.style import (
    MUTED,
    N_THEORY_COLOURS,
    NETWORK,
    TheoryStyle,
    linear_ticks,
    log_ticks,
    number,
    plain,
    theory_style,
)
from limitbench.studies.figures import Heat, Series, StudyFigure

#: Bars reach this many standard errors to both sides.
BAR = 2.0
_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _BOTTOM, _TOP = 64, 10, 40, 8
#: More ticks than this on a logarithmic axis run into each other.
_MOST_TICKS = 8


@dataclass(frozen=True)
class SeriesKey:
    """Legend entry of a series: its words, its kind, and the style that it has in the drawing."""

    label: str
    kind: str
    css: str
    dashes: str
    mark: str


def series_figure(figure: StudyFigure, theories: Sequence[str]) -> tuple[Figure, str, list[SeriesKey]] | None:
    """The drawing, a description in words and the legend; None where no series has a point that the axes can show.

    Arguments:
        figure: what to draw; points that are not finite, or not positive on a logarithmic axis, are left out.
        theories: names of the study's theories in report order, for their colours and dashes.
    """
    seen = [_shown(figure, series) for series in figure.series]
    if _heat(figure) is None and not any(points.any() for points in seen):
        return None
    looks = _looks(figure.series, theories)
    with PAGE.style():
        drawn = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        size = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP
        axes = drawn.add_axes((_LEFT / _WIDTH, _BOTTOM / _HEIGHT, size[0] / _WIDTH, size[1] / _HEIGHT))
        draw_series(axes, figure, theories)
    return drawn, describe(figure), _keys(figure.series, looks)


def draw_series(axes: Axes, figure: StudyFigure, theories: Sequence[str], *, ink: Ink = PAGE) -> None:
    """The drawing on `axes`; arguments as for `series_figure`, `ink` has the colours."""
    seen = [_shown(figure, series) for series in figure.series]
    heat = _heat(figure)
    axes.set_xscale("log" if figure.x_log else "linear")
    axes.set_yscale("log" if figure.y_log else "linear")
    known: set[tuple[str, str]] = set()
    for series, points, look in zip(figure.series, seen, _looks(figure.series, theories), strict=True):
        if points.any():
            label = "" if (series.label, series.kind) in known else series.label
            _DRAW[series.kind](axes, figure, series, points, ink.of(look), label)
            known.add((series.label, series.kind))
    if heat is not None:
        draw_shades(axes, heat, x_log=figure.x_log, y_log=figure.y_log, ink=ink)
        axes.set_xlim(*edges(heat.x, log=figure.x_log)[[0, -1]])
        axes.set_ylim(*edges(heat.y, log=figure.y_log)[[0, -1]])
    low, high = axes.get_xlim()
    places = _places(figure, seen) if heat is None else []
    _set_ticks(axes.set_xticks, places or _ticks(low, high, log=figure.x_log))
    _set_ticks(axes.set_yticks, heat.y.tolist() if heat else _ticks(*axes.get_ylim(), log=figure.y_log))
    axes.set_xlim(low, high)
    axes.grid(heat is None, axis="y")
    axes.set_xlabel(figure.x_label)
    place_label(axes, ink, figure.y_label, _LEFT - 12, _WIDTH - _LEFT - _RIGHT)


def columns(figure: StudyFigure) -> dict[str, list[object]]:
    """The drawing's numbers: one row a point of a series, then one a cell of the shades; no empty errors or ends."""
    names = ("series", "kind", "x", "y", "se", "low", "high")
    rows: list[tuple[object, ...]] = []
    for s in figure.series:
        ends = [[math.nan] * len(s.x) if v is None else v for v in (s.se, s.low, s.high)]
        rows += [(s.label, s.kind, *values) for values in zip(s.x, s.y, *ends, strict=True)]
    if figure.heat is not None:
        heat, none = figure.heat, (math.nan,) * 3
        cells = [(i, j) for i in range(len(heat.y)) for j in range(len(heat.x))]
        labels = [f"{heat.label} at {figure.y_label} = {number(y)}" for y in heat.y]
        rows += [(labels[i], "shade", heat.x[j], heat.values[i, j], *none) for i, j in cells]
    found = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return {name: column for name, column in found.items() if name not in names[4:] or any(v == v for v in column)}


def describe(figure: StudyFigure) -> str:
    """What every series does from its first to its last point, from the data; then the range of the axes."""
    parts = [shade_words(figure.heat)] if figure.heat is not None else []
    for series in figure.series:
        points = np.flatnonzero(_shown(figure, series))
        if points.size:
            first, last = points[0], points[-1]
            text = f"{series.label}: {number(series.y[first])} at {number(series.x[first])}"
            if last != first:
                text += f", {number(series.y[last])} at {number(series.x[last])}"
            parts.append(text)
    return f"{figure.y_label} against {figure.x_label}. " + "; ".join(parts) + "."


def _heat(figure: StudyFigure) -> Heat | None:
    """The shades, None where they have no value."""
    return figure.heat if figure.heat is not None and np.isfinite(figure.heat.values).any() else None


def _shown(figure: StudyFigure, series: Series) -> Bool[np.ndarray, " points"]:
    """Points that the axes can show; those of a band need its ends."""
    ys = [series.y] if series.kind != "band" or series.low is None or series.high is None else [series.low, series.high]
    found = np.isfinite(series.x) & np.isfinite(ys).all(axis=0)
    if figure.x_log:
        found &= series.x > 0
    if figure.y_log:
        found &= (np.stack(ys) > 0).all(axis=0)
    return np.asarray(found, dtype=bool)


def _looks(series: Iterable[Series], theories: Sequence[str]) -> list[TheoryStyle]:
    """Colour, dashes and marker of every series.

    A series that names a theory looks like it everywhere on the page, unless lines of different labels name the same
    one. The others of a kind take the free colours in order of use, the k-th network and the k-th line the same one
    where there are equally many; series of one label look the same. A network by itself, paths of one label and
    unnamed bands have the colour of networks; references are grey and differ in their dashes.
    """
    series = list(series)
    lines_of = {t: {s.label for s in series if s.kind == "theory" and s.theory == t} for t in theories}
    named = {s.theory for s in series if len(lines_of.get(s.theory, (1, 2))) <= 1}
    free = [k for k in range(N_THEORY_COLOURS) if k not in {theories.index(t) % N_THEORY_COLOURS for t in named}]
    free = free or list(range(N_THEORY_COLOURS))
    order: dict[str, list[str]] = {
        kind: list(dict.fromkeys(s.label for s in series if s.kind == kind and s.theory not in named))
        for kind in ("network", "theory", "path", "reference")
    }
    lines = len(order["theory"])

    def look(one: Series) -> TheoryStyle:
        if one.theory in named:
            return theory_style(theories.index(one.theory))
        if one.kind == "band" or (one.kind in ("network", "path") and len(order[one.kind]) == 1):
            return TheoryStyle(NETWORK, "tn", "-", "o", "●")
        k = order[one.kind].index(one.label)
        if one.kind == "reference":
            return TheoryStyle(MUTED, "tm", theory_style(k + 1).dashes if k else (0, (3, 2)), "", "")
        if one.kind != "theory" and len(order[one.kind]) != lines:
            k += lines
        return theory_style(free[k % len(free)])

    return [look(one) for one in series]


def _draw_network(
    axes: Axes, figure: StudyFigure, series: Series, shown: np.ndarray, look: TheoryStyle, label: str
) -> None:
    x, y = series.x[shown], series.y[shown]
    if series.se is not None:
        known = np.isfinite(series.se[shown])
        low, high = y - BAR * series.se[shown], y + BAR * series.se[shown]
        if figure.y_log:  # a bar that reaches to zero runs out of the drawing and does not stretch it
            low = np.maximum(low, y / 1000)
            axes.update_datalim(np.column_stack([x, np.maximum(low, y / 3)])[known])
        else:
            axes.update_datalim(np.column_stack([x, low])[known])
        axes.update_datalim(np.column_stack([x, high])[known])
        ends = np.stack([low, high, np.full(len(y), np.nan)])
        axes.add_artist(Line2D(np.repeat(x[known], 3), ends[:, known].T.ravel(), color=look.colour, lw=1.2))
    axes.plot(x, y, ls="none", marker=look.marker, ms=5, markeredgewidth=0, color=look.colour, label=label)


def _draw_line(
    axes: Axes, figure: StudyFigure, series: Series, shown: np.ndarray, look: TheoryStyle, label: str
) -> None:
    width = {"theory": 1.6, "reference": 1.1, "path": 0.9}[series.kind]
    dashes = look.dashes if series.kind != "path" else "-"
    order = {"theory": 2.0, "reference": 1.5, "path": 1.8}[series.kind]
    y = np.where(shown, series.y, np.nan)
    alpha = 0.8 if width < 1 else None
    axes.plot(series.x, y, ls=dashes, lw=width, color=look.colour, zorder=order, alpha=alpha, label=label)
    if shown.sum() == 1:  # a line of one point would not be seen
        axes.plot(series.x[shown], y[shown], ls="none", marker=look.marker or "_", color=look.colour, zorder=order)


def _draw_band(
    axes: Axes, figure: StudyFigure, series: Series, shown: np.ndarray, look: TheoryStyle, label: str
) -> None:
    if series.low is not None and series.high is not None:
        area = (series.x, np.where(shown, series.low, np.nan), np.where(shown, series.high, np.nan))
        axes.fill_between(*area, color=look.colour, alpha=0.2, lw=0, zorder=0.5, label=label)
    middle = shown & np.isfinite(series.y) & ((series.y > 0) | (not figure.y_log))
    if middle.any():
        y = np.where(middle, series.y, np.nan)
        axes.plot(series.x, y, ls=look.dashes, lw=1.1, color=look.colour, zorder=1.2)


_DRAW = {
    "network": _draw_network,
    "theory": _draw_line,
    "reference": _draw_line,
    "path": _draw_line,
    "band": _draw_band,
}


def _places(figure: StudyFigure, seen: Sequence[np.ndarray]) -> list[float]:
    """Where the networks are, as ticks of a logarithmic x-axis: a few widths or layers say more than powers of ten.

    Empty where they are many, not whole, or so close that their labels would run into each other.
    """
    pairs = list(zip(figure.series, seen, strict=True))
    measured = [s.x[p] for s, p in pairs if s.kind == "network"] or [s.x[p] for s, p in pairs]
    xs = np.unique(np.concatenate(measured))
    if not figure.x_log or not 1 < len(xs) <= _MOST_TICKS or (xs != xs.round()).any():
        return []
    steps = np.diff(np.log(xs))
    return xs.tolist() if steps.min() > 0.09 * steps.sum() else []


def _ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Round numbers between the ends of an axis."""
    ticks = log_ticks(low, high) if log else []
    if len(ticks) < 2:
        ticks = linear_ticks(low, high)
    return ticks[:: -(-len(ticks) // _MOST_TICKS)]


def _set_ticks(setter: Callable[..., object], ticks: Sequence[float]) -> None:
    setter(ticks, [number(t, 1) if t and not 1e-3 <= abs(t) < 1e5 else plain(round(t, 12)) for t in ticks])
    setter([], minor=True)


def _keys(series: Iterable[Series], looks: Iterable[TheoryStyle]) -> list[SeriesKey]:
    """One entry per label and kind, in order of use."""
    found: dict[tuple[str, str], SeriesKey] = {}
    for one, look in zip(series, looks, strict=True):
        lined = one.kind in ("theory", "reference")
        dashes = "" if isinstance(look.dashes, str) or not lined else " ".join(f"{1.6 * d:g}" for d in look.dashes[1])
        mark = look.mark if one.kind == "network" else ""
        found.setdefault((one.label, one.kind), SeriesKey(one.label, one.kind, look.css, dashes, mark))
    return list(found.values())
