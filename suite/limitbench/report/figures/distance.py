"""Depth x width map of D of one theory, in the colours of the page's tables: blue within the margin, brown beyond."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from limitbench.report.figures.ink import Ink
from limitbench.report.figures.shades import middle
from limitbench.report.figures.validity import set_plane
from limitbench.report.results import Results, Slice
from limitbench.report.style import HEAT_EDGES, heat_class, short, verdict_mark


@lru_cache(maxsize=1)
def _classes() -> tuple[tuple[str, str], ...]:
    """Fill and text colour of each class of D on a light page."""
    css = files("limitbench.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    found = dict(reversed(re.findall(r"--(hi?\d):(#[0-9a-fA-F]{3,6})", css)))
    return tuple((found[f"h{k}"], found[f"hi{k}"]) for k in range(len(HEAT_EDGES) + 1))


def draw_distance(axes: Axes, results: Results, at: Slice, observable: str, theory: str, *, ink: Ink) -> None:
    """D of `theory` in every cell, with the mark of its verdict; the colour says how many margins it is."""
    distance = results.plane(results.distance, at, observable, theory)
    verdicts = results.plane(results.verdicts, at, observable, theory)
    xs, ys, logs = set_plane(axes, results, ink)
    for i, j in zip(*np.nonzero(np.isfinite(distance)), strict=True):
        fill, text = _classes()[heat_class(float(distance[i, j]), results.margin)]
        axes.add_patch(Rectangle((xs[j], ys[i]), xs[j + 1] - xs[j], ys[i + 1] - ys[i], facecolor=fill, lw=0))
        words = f"{verdict_mark(str(verdicts[i, j]))} {short(max(float(distance[i, j]), 0.0))}"
        x, y = middle(xs[j], xs[j + 1], log=logs[0]), middle(ys[i], ys[i + 1], log=logs[1])
        axes.text(x, y, words, ha="center", va="center", fontsize=9, color=text)
