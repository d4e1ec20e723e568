"""Networks per second against width, both axes logarithmic: one dot per column, a line through the medians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.results import Results
from limitbench.report.style import count, log_ticks, number, plain
from limitbench.report.tables import networks_per_second

_WIDTH, _INNER = 350, 278


@dataclass(frozen=True, eq=False)
class Speeds:
    """Networks per second: one row a width, one column a combination of the other axes; NaN where none was timed."""

    widths: Float[np.ndarray, " widths"]
    rows: Float[np.ndarray, "widths others"]

    @property
    def timed(self) -> np.ndarray:
        """Which widths were timed."""
        return np.asarray(np.isfinite(self.rows).any(axis=1))

    @property
    def medians(self) -> Float[np.ndarray, " timed"]:
        """Medians of the widths that were timed."""
        return np.array([np.median(row[np.isfinite(row)]) for row in self.rows[self.timed]])

    def columns(self) -> dict[str, list[float]]:
        """The drawing's numbers, one row a dot."""
        at, other = np.nonzero(np.isfinite(self.rows))
        return {"width": self.widths[at].tolist(), "networks per second": self.rows[at, other].tolist()}


def speeds_of(results: Results) -> Speeds | None:
    """None where nothing was timed or the grid has no width axis."""
    speed = networks_per_second(results)
    if results.width_axis is None or not np.isfinite(speed).any():
        return None
    lines = np.moveaxis(speed, results.axes.index(results.width_axis), 0)
    return Speeds(results.widths, lines.reshape(lines.shape[0], -1))


def throughput_figure(results: Results, speeds: Speeds) -> Figure:
    """The drawing as the page shows it."""
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, 240 / 72))
        axes = figure.add_axes((62 / _WIDTH, 44 / 240, _INNER / _WIDTH, 186 / 240))
        draw_throughput(axes, results, speeds)
    return figure


def draw_throughput(axes: Axes, results: Results, speeds: Speeds, *, ink: Ink = PAGE) -> None:
    """The drawing on `axes`."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for width, row in zip(speeds.widths, speeds.rows, strict=True):
        seen = np.unique(row[np.isfinite(row)].round(12))
        axes.plot(np.full(seen.size, width), seen, ls="none", marker="o", ms=4, mew=0, alpha=0.4, color=ink.network)
    axes.plot(speeds.widths[speeds.timed], speeds.medians, color=ink.ink, label="median")
    axes.set_xticks(speeds.widths, [plain(v) for v in results.values("width")])
    axes.set_xticks([], minor=True)
    low, high = np.nanmin(speeds.rows) / 1.5, np.nanmax(speeds.rows) * 1.5
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, [count(t) if t >= 1 else number(t, 1) for t in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(True, axis="y")
    axes.set_xlabel("width n")
    place_label(axes, ink, "networks per second", 50, _INNER)


def describe(speeds: Speeds) -> str:
    """Medians at the smallest and the largest width."""
    known, medians = speeds.widths[speeds.timed], speeds.medians
    tail = "drawn to the greatest depth and scored (medians over the other axes)."
    if known.size == 1:
        return f"{number(medians[0])} networks per second at n = {known[0]:g}, {tail}"
    return (
        f"From {number(medians[0])} networks per second at n = {known[0]:g} to {number(medians[-1])} at n = "
        f"{known[-1]:g}, {tail}"
    )
