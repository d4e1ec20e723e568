"""Depth x width map of D for one theory and observable: where it holds, where it breaks.

Each cell shows its verdict mark and D; a heavy line runs wherever D crosses the margin, so that the map reads without
colour.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from limitbench.report.results import Results, Slice
from limitbench.report.style import (
    INK,
    LINE,
    MUTED,
    N_HEAT,
    heat_class,
    heat_colour,
    heat_ink,
    house_style,
    number,
    plain,
    short,
    verdict_mark,
)

_LEFT, _TOP, _BOTTOM, _RIGHT = 56, 6, 38, 6
_MOST_COLUMNS_WITH_NUMBERS = 7


def distance_map(
    results: Results, at: Slice, observable: str, theory: str, *, values: bool = True
) -> tuple[Figure, str]:
    """The map and a description in words.

    Arguments:
        results, at, observable, theory: what to show.
        values: print D and the verdict mark in the cells (left out where the grid is large).
    """
    distance = results.plane(results.distance, at, observable, theory)
    verdicts = results.plane(results.verdicts, at, observable, theory)
    rows, columns = distance.shape
    numbers = values and columns <= _MOST_COLUMNS_WITH_NUMBERS
    cell_width, cell_height = (56.0 if numbers else 30.0), 30.0
    size = (_LEFT + columns * cell_width + _RIGHT, _TOP + rows * cell_height + _BOTTOM)
    with house_style():
        figure = Figure(figsize=(size[0] / 72, size[1] / 72))
        axes = figure.add_axes(
            (_LEFT / size[0], _BOTTOM / size[1], columns * cell_width / size[0], rows * cell_height / size[1])
        )
        axes.set_xlim(0, columns)
        axes.set_ylim(0, rows)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.patch.set_visible(False)
        axes.set_xticks(np.arange(columns) + 0.5, results.axis_labels(results.width_axis))
        axes.set_yticks(np.arange(rows) + 0.5, results.axis_labels(results.depth_axis))
        axes.set_xlabel(_axis_name(results, results.width_axis), labelpad=2)
        axes.set_ylabel(_axis_name(results, results.depth_axis) if rows > 1 else results.symbol(results.depth_axis or ""))
        axes.yaxis.set_label_coords(-_LEFT / (columns * cell_width) * 0.78, 0.5)
        _fill(axes, distance, results.margin)
        for i, j in np.ndindex(rows, columns):
            if np.isfinite(distance[i, j]):
                mark = verdict_mark(str(verdicts[i, j]))
                text = f"{mark} {short(max(distance[i, j], 0.0))}" if numbers else mark if values else ""
                ink = heat_ink(heat_class(distance[i, j], results.margin))
            else:
                text, ink = "–", MUTED
            if text:
                axes.text(j + 0.5, i + 0.5, text, ha="center", va="center_baseline", fontsize=10.5, color=ink)
        _margin_line(axes, distance, results.margin)
    return figure, describe(results, at, observable, theory)


def describe(results: Results, at: Slice, observable: str, theory: str) -> str:
    """What the map shows, from the data."""
    distance = results.plane(results.distance, at, observable, theory)
    verdicts = results.plane(results.verdicts, at, observable, theory)
    if not np.isfinite(distance).any():
        return "No cell is scored."
    low = np.unravel_index(np.nanargmin(distance), distance.shape)
    high = np.unravel_index(np.nanargmax(distance), distance.shape)
    holds, scored = int((verdicts == "holds").sum()), int(np.isfinite(distance).sum())

    def at_cell(position: tuple[np.intp, ...]) -> str:
        index = results.cell_index(at, int(position[1]), int(position[0]))
        keep = {a: i for a, i in index.items() if a in (results.width_axis, results.depth_axis)}
        return results.cell_label(keep)

    return (
        f"D from {number(max(distance[low], 0.0), 2)} ({at_cell(low)}) to {number(distance[high], 2)} "
        f"({at_cell(high)}); holds in {holds} of {scored} cells at margin {plain(results.margin)}."
    )


def _axis_name(results: Results, axis: str | None) -> str:
    if axis is None:
        return ""
    symbol = results.symbol(axis)
    word = "depth" if axis == "aspect" else axis
    return f"{word} {symbol}" if symbol != axis else axis


def _fill(axes: Axes, distance: Float[np.ndarray, "rows columns"], margin: float) -> None:
    """One compound path per colour class: the smallest drawing of a grid of rectangles."""
    classes: dict[int, list[tuple[int, int]]] = {}
    missing: list[tuple[int, int]] = []
    for i, j in np.ndindex(*distance.shape):
        if np.isfinite(distance[i, j]):
            classes.setdefault(heat_class(float(distance[i, j]), margin), []).append((i, j))
        else:
            missing.append((i, j))
    for k in range(N_HEAT):
        if k in classes:
            axes.add_patch(PathPatch(_rectangles(classes[k]), facecolor=heat_colour(k), lw=0, clip_on=False))
    if missing:
        axes.add_patch(PathPatch(_rectangles(missing), facecolor="none", edgecolor=LINE, lw=1, clip_on=False))


def _rectangles(cells: list[tuple[int, int]], gap: float = 0.015) -> Path:
    vertices, codes = [], []
    for i, j in cells:
        left, right, bottom, top = j + gap, j + 1 - gap, i + 2 * gap, i + 1 - 2 * gap
        vertices += [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(vertices, codes)


def _margin_line(axes: Axes, distance: Float[np.ndarray, "rows columns"], margin: float) -> None:
    """A heavy line between neighbours on different sides of the margin."""
    rows, columns = distance.shape
    inside = np.where(np.isfinite(distance), distance <= margin, -1)
    vertices, codes = [], []
    for i, j in np.ndindex(rows, columns):
        if j + 1 < columns and {int(inside[i, j]), int(inside[i, j + 1])} == {0, 1}:
            vertices += [(j + 1, i), (j + 1, i + 1)]
            codes += [Path.MOVETO, Path.LINETO]
        if i + 1 < rows and {int(inside[i, j]), int(inside[i + 1, j])} == {0, 1}:
            vertices += [(j, i + 1), (j + 1, i + 1)]
            codes += [Path.MOVETO, Path.LINETO]
    if vertices:
        axes.add_patch(
            PathPatch(Path(vertices, codes), facecolor="none", edgecolor=INK, lw=2.6, capstyle="round", clip_on=False)
        )
