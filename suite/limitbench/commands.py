"""What the sub-commands do once their options are checked: call the rooms below and print tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from limitbench import studies
from limitbench.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from limitbench.config import RunOptions
    from limitbench.studies.base import Axis

VERDICT_STYLE = {"holds": "green", "fails": "red", "undecided": "yellow"}


def list_studies() -> None:
    """Print name, question and reference of every built-in study."""
    table = _table("study", "what it asks", "published in")
    for name in studies.names():
        study = studies.get(name)
        table.add_row(name, study.question, study.reference)
    _print(table)


def show(name: str) -> None:
    """Print the axes, presets, observables and theories of one study; `InputError` where there is none."""
    study = studies.get(name)
    from limitbench.statistics.observables import OBSERVABLES

    axes = _table("axis", "meaning", "accepts", *study.presets, title="axes, and their values by preset")
    for axis in study.axes:
        values = [_listed(preset.grid.get(axis.name, ())) for preset in study.presets.values()]
        axes.add_row(axis.name, axis.description, _accepted(axis), *values)
    axes.add_row("", "networks per cell", "", *(f"{preset.samples:,}" for preset in study.presets.values()))
    observables = _table("observable", "symbol", "meaning", title="observables")
    for observable in (OBSERVABLES[o] for o in study.observables):
        observables.add_row(observable.name, observable.symbol, observable.description)
    theories = _table("theory", "in words", title="competing theories")
    for theory in study.theories:
        theories.add_row(theory.name, theory.title)
    console = Console()
    console.print(f"[bold]{study.name}[/bold]: {study.title}\n{study.question}\n{study.reference}\n", highlight=False)
    for part in (axes, observables, theories):
        console.print(part, "")


def report(directories: Sequence[Path], output: Path | None) -> None:
    """Render one page from the stores under `directories` and print where it is."""
    from limitbench.report import render

    page = render(directories, output or directories[0] / "report.html")
    Console().print(f"report: {page}", highlight=False, soft_wrap=True)


def _accepted(axis: Axis) -> str:
    if axis.kind == "str":
        return ", ".join(axis.choices)
    word = "integer" if axis.kind == "int" else "number"
    low, high = (None if bound is None else f"{bound:g}" for bound in (axis.lower, axis.upper))
    if low and high:
        return f"{word}, {low} to {high}"
    return f"{word} >= {low}" if low else f"{word} <= {high}" if high else word


def _listed(values: Sequence[object]) -> str:
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(*columns, title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    return table


def _print(*parts: object) -> None:
    Console().print(*parts)
