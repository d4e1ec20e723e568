"""Depth x width map of D for one theory and observable: where it holds, where it breaks.

Each cell shows its verdict mark and D; a heavy line runs wherever D crosses the margin, so that the map reads without
colour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

from limitbench.report.results import Results, Slice
from limitbench.report.style import (
    INK,
    LINE,
    MUTED,
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
        pixels = Affine2D().scale(1 / 72) + figure.dpi_scale_trans
        grid = Affine2D().scale(cell_width, cell_height).translate(_LEFT, _BOTTOM) + pixels

        def write(x: float, y: float, text: str, frame: Transform, **options: Any) -> None:
            settings: dict[str, Any] = {
                "ha": "center",
                "va": "center_baseline",
                "fontsize": 10.5,
                "color": INK,
                "parse_math": False,
            }
            figure.text(x, y, text, transform=frame, **(settings | options))

        for j, label in enumerate(results.axis_labels(results.width_axis)):
            write(_LEFT + (j + 0.5) * cell_width, _BOTTOM - 9, label, pixels)
        for i, label in enumerate(results.axis_labels(results.depth_axis)):
            write(_LEFT - 6, _BOTTOM + (i + 0.5) * cell_height, label, pixels, ha="right")
        write(_LEFT + columns * cell_width / 2, 9, _axis_name(results, results.width_axis), pixels)
        depth_name = _axis_name(results, results.depth_axis) if rows > 1 else results.symbol(results.depth_axis or "")
        write(9, _BOTTOM + rows * cell_height / 2, depth_name, pixels, rotation=90, va="center")
        for patch in (*_fill(distance, results.margin), *_margin_line(distance, results.margin)):
            patch.set_transform(grid)
            figure.add_artist(patch)
        for i, j in np.ndindex(rows, columns):
            d = float(distance[i, j])
            if np.isfinite(d):
                mark = verdict_mark(str(verdicts[i, j]))
                text = f"{mark} {short(max(d, 0.0))}" if numbers else mark if values else ""
                ink = heat_ink(heat_class(d, results.margin))
            else:
                text, ink = "–", MUTED
            if text:
                write(j + 0.5, i + 0.5, text, grid, color=ink, zorder=4)
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


def _fill(distance: Float[np.ndarray, "rows columns"], margin: float) -> list[PathPatch]:
    """One compound path per colour class: the smallest drawing of a grid of rectangles."""
    classes: dict[int, list[tuple[int, int]]] = {}
    missing: list[tuple[int, int]] = []
    for i, j in np.ndindex(*distance.shape):
        if np.isfinite(distance[i, j]):
            classes.setdefault(heat_class(float(distance[i, j]), margin), []).append((i, j))
        else:
            missing.append((i, j))
    patches = [PathPatch(_rectangles(classes[k]), facecolor=heat_colour(k), lw=0) for k in sorted(classes)]
    if missing:
        patches.append(PathPatch(_rectangles(missing), facecolor="none", edgecolor=LINE, lw=1))
    return patches


def _rectangles(cells: list[tuple[int, int]], gap: float = 0.015) -> Path:
    vertices, codes = [], []
    for i, j in cells:
        left, right, bottom, top = j + gap, j + 1 - gap, i + 2 * gap, i + 1 - 2 * gap
        vertices += [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(vertices, codes)


def _margin_line(distance: Float[np.ndarray, "rows columns"], margin: float) -> list[PathPatch]:
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
    if not vertices:
        return []
    return [PathPatch(Path(vertices, codes), facecolor="none", edgecolor=INK, lw=2.6, capstyle="round", zorder=3)]
