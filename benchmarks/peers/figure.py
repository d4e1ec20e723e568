"""The figure of a run: seconds a network against width, and how many times as long every other peer takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.results import Run, speedup
from benchmarks.peers.table import times

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limitbench",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
LINES = {
    "dense torch": ("#b3541e", "s", "-"),
    "limitbench, torch": ("#1f5fa8", "o", "--"),
    "limitbench, vsl": ("#1f2328", "^", "-"),
}


def against_width(axes: Axes, run: Run, group: str, title: str) -> None:
    """Seconds a network, depth = width, one line a contender."""
    results = [result for result in run.results if result.group == group]
    for label, (colour, marker, line) in LINES.items():
        points = [
            (result.settings["width"], m.median) for result in results for m in result.measured if m.label == label
        ]
        if points:
            axes.loglog(*zip(*points, strict=True), color=colour, marker=marker, ls=line, label=label)
    axes.set_xticks([r.settings["width"] for r in results], [str(r.settings["width"]) for r in results])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("width = depth")
    axes.set_ylabel("CPU seconds a network")
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", frameon=False, fontsize=8.5)


def bars(axes: Axes, run: Run) -> None:
    """How many times as long as limitbench the other peers take, by generator."""
    rows = [
        (peer.label, [speedup(peer, ours) for ours in result.ours])
        for result in run.results
        if result.group in ("neural-tangents", "correlation-sde")
        for peer in result.peers
        if peer.label != "dense torch"
    ]
    for k, (_, ratios) in enumerate(rows):
        for shift, (label, ratio) in enumerate(zip(list(LINES)[1:], ratios, strict=True)):
            if not math.isnan(ratio):
                y = k + 0.4 * shift - 0.2
                axes.barh(y, ratio, 0.36, left=0, color=LINES[label][0], label=label if k == 0 else None)
                axes.text(ratio * 1.08, y, times(ratio), va="center", fontsize=8.5)
    axes.set_xscale("log")
    axes.set_xlim(1, 1000)
    axes.set_yticks(range(len(rows)), [label.replace(", ", ",\n") for label, _ in rows], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds, times those of limitbench")
    axes.set_title("NTK samples, steps of an SDE", loc="left")


def draw(run: Run, path: Path) -> None:
    """Write the SVG, the same bytes from the same run."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 3.9), layout="constrained", facecolor="white")
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        against_width(left, run, "forward", "correlation of two inputs, shaped ReLU")
        against_width(middle, run, "tangent", "its NTK: forward and backward")
        bars(right, run)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
