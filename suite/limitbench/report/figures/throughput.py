"""Networks per second against width, both axes logarithmic: one dot per column, a line through the medians."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from limitbench.report.results import Results
from limitbench.report.style import INK, NETWORK, count, house_style, log_ticks, number, plain
from limitbench.report.tables import networks_per_second


def throughput_figure(results: Results) -> tuple[Figure, str] | None:
    """The figure and a description, None where nothing was timed or the grid has no width axis."""
    speed = networks_per_second(results)
    if results.width_axis is None or not np.isfinite(speed).any():
        return None
    lines = np.moveaxis(speed, results.axes.index(results.width_axis), 0)
    lines = lines.reshape(lines.shape[0], -1)
    widths = results.widths
    timed = np.isfinite(lines).any(axis=1)
    medians = np.array([np.median(row[np.isfinite(row)]) for row in lines[timed]])
    with house_style():
        figure = Figure(figsize=(350 / 72, 240 / 72))
        axes = figure.add_axes((62 / 350, 44 / 240, 278 / 350, 186 / 240))
        axes.set_xscale("log")
        axes.set_yscale("log")
        for width, row in zip(widths, lines, strict=True):
            seen = np.unique(row[np.isfinite(row)].round(12))
            axes.plot(np.full(seen.size, width), seen, ls="none", marker="o", ms=4, mew=0, alpha=0.4, color=NETWORK)
        axes.plot(widths[timed], medians, color=INK)
        axes.set_xticks(widths, [plain(v) for v in results.values("width")])
        axes.set_xticks([], minor=True)
        low, high = np.nanmin(lines) / 1.5, np.nanmax(lines) * 1.5
        axes.set_ylim(low, high)
        ticks = log_ticks(low, high)
        axes.set_yticks(ticks, [count(t) if t >= 1 else number(t, 1) for t in ticks])
        axes.set_yticks([], minor=True)
        axes.grid(True, axis="y")
        axes.set_xlabel("width n")
        axes.set_ylabel("networks per second")
    known = widths[timed]
    tail = "drawn to the greatest depth and scored (medians over the other axes)."
    if known.size == 1:
        return figure, f"{number(medians[0])} networks per second at n = {known[0]:g}, {tail}"
    desc = (
        f"From {number(medians[0])} networks per second at n = {known[0]:g} to {number(medians[-1])} at n = "
        f"{known[-1]:g}, {tail}"
    )
    return figure, desc
