"""Depth x width map of D for one theory and observable, as a coloured table: where it holds, where it breaks.

Each cell shows its verdict mark and D, and a heavy line runs wherever D crosses the margin, so that the map reads
without colour. A table needs a fifth of the bytes of a drawing, its numbers can be copied, and screen readers know it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limitbench.report.results import Results, Slice
from limitbench.report.style import heat_class, number, plain, short, verdict_mark


@dataclass(frozen=True)
class HeatMap:
    """Rows from the deepest to the shallowest; each cell is (CSS classes, text).

    Classes: `h0` .. `h6` the colour class of D, `r` and `b` where the margin runs along the right or bottom edge.
    """

    theory: str
    title: str
    corner: str
    widths: list[str]
    rows: list[tuple[str, list[tuple[str, str]]]]
    description: str


def heat_map(results: Results, at: Slice, observable: str, theory: str) -> HeatMap:
    """The map of one theory at one slice."""
    distance = np.flipud(results.plane(results.distance, at, observable, theory))
    verdicts = np.flipud(results.plane(results.verdicts, at, observable, theory))
    inside = np.where(np.isfinite(distance), distance <= results.margin, np.nan)
    depths = results.axis_labels(results.depth_axis)[::-1]
    rows = []
    for i, depth in enumerate(depths):
        cells = []
        for j, d in enumerate(distance[i].tolist()):
            edges = [
                name
                for name, (k, m) in (("r", (i, j + 1)), ("b", (i + 1, j)))
                if k < inside.shape[0] and m < inside.shape[1] and abs(inside[i, j] - inside[k, m]) == 1
            ]
            if np.isfinite(d):
                colour = f"h{heat_class(d, results.margin)}"
                cells.append((" ".join([colour, *edges]), f"{verdict_mark(str(verdicts[i, j]))} {short(max(d, 0.0))}"))
            else:
                cells.append(("", "–"))
        rows.append((depth, cells))
    corner = f"{results.symbol(results.depth_axis)} ↓ n →" if results.depth_axis else "n →"
    description = describe(results, at, observable, theory)
    return HeatMap(
        theory, results.theory_title(theory), corner, results.axis_labels(results.width_axis), rows, description
    )


def describe(results: Results, at: Slice, observable: str, theory: str) -> str:
    """What the map shows, from the data."""
    distance = results.plane(results.distance, at, observable, theory)
    verdicts = results.plane(results.verdicts, at, observable, theory)
    if not np.isfinite(distance).any():
        return "No cell is scored."
    low = np.unravel_index(np.nanargmin(distance), distance.shape)
    high = np.unravel_index(np.nanargmax(distance), distance.shape)
    holds, scored = int((verdicts == "holds").sum()), int(np.isfinite(distance).sum())
    nearest, furthest = _cell_label(results, at, low), _cell_label(results, at, high)
    return (
        f"D from {number(max(distance[low], 0.0), 2)} ({nearest}) to {number(distance[high], 2)} ({furthest}); "
        f"holds in {holds} of {scored} cells at margin {plain(results.margin)}."
    )


def _cell_label(results: Results, at: Slice, position: tuple[np.intp, ...]) -> str:
    index = results.cell_index(at, int(position[1]), int(position[0]))
    return results.cell_label({a: i for a, i in index.items() if a in (results.width_axis, results.depth_axis)})
