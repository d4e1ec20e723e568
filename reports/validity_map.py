"""The README's second picture, from a finished standard run: `python reports/validity_map.py results`.

Which theory describes the correlation of two inputs at which depth and width, at three shaping rates: each cell has the
colour and the mark of the simplest theory that holds there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from limitbench import open_results, studies
from limitbench.errors import InputError
from limitbench.report.figures.ink import light
from limitbench.report.figures.validity import draw_validity, legend_handles
from limitbench.report.results import Results
from limitbench.report.validity import Validity

STUDY = "shaped-relu"
OBSERVABLE = "correlation"
SLOPES = {"c_plus": 0.0, "c_minus": -2.0, "rho0": 0.0}
RATES = {0.25: "p = 1/4", 0.5: "p = 1/2, critical", 1.0: "p = 1"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limitbench",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def main(directory: Path, output: Path) -> None:
    """Draw the picture from the store in `directory`."""
    results = Results(open_results(directory / f"{STUDY}.zarr"), studies.get(STUDY))
    slices = {at.values["rate"]: at for at in results.slices if all(at.values[name] == v for name, v in SLOPES.items())}
    maps = {rate: Validity(results, slices[rate], OBSERVABLE, "simplest") for rate in RATES if rate in slices}
    if len(maps) < len(RATES):
        wanted = ", ".join(f"{name} = {value:g}" for name, value in SLOPES.items())
        raise InputError(
            str(directory), f"the rates {', '.join(map(str, maps)) or 'none'} at {wanted}", "a standard run"
        )
    ink = light()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.7), layout="constrained", facecolor="white")
        handles: dict[str, Artist] = {}
        for axes, (rate, found) in zip(figure.subplots(1, len(maps), sharey=True), maps.items(), strict=True):
            draw_validity(axes, found, ink=ink)
            axes.set_title(RATES[rate], loc="left")
            handles |= {str(handle.get_label()): handle for handle in legend_handles(axes, found, ink)}
            if rate != next(iter(maps)):
                axes.set_ylabel("")
        shown = sorted(handles.values(), key=lambda handle: isinstance(handle, Line2D))
        figure.legend(handles=shown, loc="outside lower center", ncols=-(-len(shown) // 2), frameon=False)
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"), Path(__file__).parent / "figures" / "validity.svg")
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
