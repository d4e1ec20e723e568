"""The README's picture, from a finished standard run: `python reports/first_light.py results`.

Left: the correlation of two inputs after 64 layers of width 64, and what each theory says. Right: the error of the
covariance SDE against width, with the error that the finite-width chain predicts without sampling.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench import open_results, studies
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.ledger import predicted_mean_errors, signed_mean_errors

STUDY = "shaped-relu"
OBSERVABLE = "correlation"
#: Colour-blind-safe, dark enough on white and light enough on a dark page's white card.
SHOWN = {
    "infinite-width": ("#b3541e", ":"),
    "covariance-sde": ("#1f5fa8", "--"),
    "covariance-sde-corrected": ("#7a5195", "-."),
    "finite-width-chain": ("#1f2328", "-"),
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limitbench",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def densities(axes: Axes, evidence: Evidence, cell: CellEvidence) -> None:
    """Histogram of the networks and the density of every theory's law, by differences of its cdf."""
    samples = cell.samples(OBSERVABLE)
    edges = np.linspace(-1, 1, 61)
    axes.hist(samples, edges, density=True, color="#c4c9cf", label=f"{samples.size:,} networks")
    middle = (edges[1:] + edges[:-1]) / 2
    titles = {theory.name: theory.title for theory in evidence.study.theories}
    for name, (colour, line) in SHOWN.items():
        law = cell.theory(name).law(OBSERVABLE)
        if law.is_point_mass:
            axes.axvline(law.mean, color=colour, ls=line, lw=1.8, label=titles[name])
        else:
            axes.plot(middle, np.diff(law.cdf(edges)) / np.diff(edges), color=colour, ls=line, label=titles[name])
    axes.set_xlabel("correlation of two inputs after 64 layers of width 64")
    axes.set_ylabel("density")
    axes.set_ylim(0, None)
    axes.set_title("slopes 1 + c n^-1/2, c = (0, -2)", loc="left")
    axes.legend(loc="upper left", frameon=False, fontsize=8.5)


def errors(axes: Axes, evidence: Evidence) -> None:
    """Absolute error of the covariance SDE's mean against width, and its prediction."""
    for slopes, marker, colour in (((0.0, -2.0), "o", "#b3541e"), ((1.0, -1.0), "s", "#1f5fa8")):
        cells = evidence.where(c_plus=slopes[0], c_minus=slopes[1], rate=0.5, alpha=1.0)
        widths, error, se = signed_mean_errors(cells, OBSERVABLE, "covariance-sde")
        curve = predicted_mean_errors(cells, OBSERVABLE, "covariance-sde", "finite-width-chain")
        label = f"c = ({slopes[0]:g}, {slopes[1]:g})"
        axes.errorbar(widths, abs(error), 1.96 * se, fmt=marker, color=colour, label=f"{label}: networks, 95 %")
        axes.plot(widths, abs(curve), color=colour, lw=1.4, label=f"{label}: predicted without sampling")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.set_xticks([], minor=True)
    axes.set_yticks([0.002, 0.005, 0.01, 0.02, 0.05, 0.1], ["0.002", "0.005", "0.01", "0.02", "0.05", "0.1"])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.0015, 0.2)
    axes.set_xlabel("width n (depth = n)")
    axes.set_title("error of the covariance SDE's mean correlation", loc="left")
    axes.legend(loc="lower left", frameon=False, fontsize=8.5)


def main(directory: Path, output: Path) -> None:
    """Draw the picture from the store in `directory`."""
    evidence = Evidence(studies.get(STUDY), open_results(directory / f"{STUDY}.zarr"))
    cell = evidence.one(c_plus=0.0, c_minus=-2.0, rate=0.5, alpha=1.0, width=64)
    if cell is None:
        raise SystemExit(f"error: {directory}: got no cell at width 64, c = (0, -2), expected a standard run")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.9), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2)
        densities(left, evidence, cell)
        errors(right, evidence)
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"), Path(__file__).parent / "figures" / "first-light.svg")
