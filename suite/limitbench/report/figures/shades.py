"""Values on a grid as shades of one colour, each with its number, below the lines of a figure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from limitbench.report.figures.ink import PAGE, Ink
from limitbench.report.style import number
from limitbench.studies.figures import Heat

#: Shades from the smallest to the largest value, and the opacity of the darkest.
_SHADES, _DARKEST = 7, 0.5


def draw_shades(axes: Axes, heat: Heat, *, x_log: bool, y_log: bool, ink: Ink = PAGE) -> None:
    """Rectangles and numbers of all cells that have a value."""
    xs, ys = edges(heat.x, log=x_log), edges(heat.y, log=y_log)
    low, high = np.nanmin(heat.values), np.nanmax(heat.values)
    for i, row in enumerate(heat.values):
        for j, value in enumerate(row.tolist()):
            if np.isfinite(value):
                share = (value - low) / (high - low) if high > low else 0.0
                opacity = _DARKEST * round(share * (_SHADES - 1)) / (_SHADES - 1)
                corner, size = (xs[j], ys[i]), (xs[j + 1] - xs[j], ys[i + 1] - ys[i])
                axes.add_patch(Rectangle(corner, *size, facecolor=ink.network, alpha=opacity, lw=0, zorder=0.2))
                place = (middle(xs[j], xs[j + 1], log=x_log), middle(ys[i], ys[i + 1], log=y_log))
                axes.text(*place, number(value, 2), ha="center", va="center", fontsize=9, color=ink.ink, zorder=3)


def edges(values: Float[np.ndarray, " cells"], *, log: bool) -> Float[np.ndarray, " edges"]:
    """Ends of the cells around increasing `values`: halfway between them, on a logarithmic axis in the logarithm."""
    at = np.log(values) if log else np.asarray(values, dtype=float)
    steps = np.diff(at) if len(at) > 1 else np.ones(1)
    found = np.concatenate([[at[0] - steps[0] / 2], (at[1:] + at[:-1]) / 2, [at[-1] + steps[-1] / 2]])
    return np.exp(found) if log else found


def middle(low: float, high: float, *, log: bool) -> float:
    """Halfway between two ends, on a logarithmic axis in the logarithm."""
    return float(np.sqrt(low * high)) if log else (low + high) / 2


def shade_words(heat: Heat) -> str:
    """Smallest and largest value and where they are."""
    if not np.isfinite(heat.values).any():
        return f"{heat.label}: no value"

    def words(index: int) -> str:
        i, j = np.unravel_index(index, heat.values.shape)
        return f"{number(heat.values[i, j])} at ({number(heat.x[j])}, {number(heat.y[i])})"

    return f"{heat.label}: from {words(int(np.nanargmin(heat.values)))} to {words(int(np.nanargmax(heat.values)))}"
