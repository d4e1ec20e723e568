"""What `limitbench check` does: typed words to options, a progress bar, a summary in the terminal, and the files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from limitbench.advice.check import inputs, store, words
from limitbench.advice.check.factory import load
from limitbench.advice.check.result import TITLES, CellResult, Check
from limitbench.advice.check.run import Options, run
from limitbench.config import axis_value
from limitbench.errors import InputError
from limitbench.networks.checks import number, whole
from limitbench.report.check_page import render_check

#: Largest depth and width that are built.
_LARGEST = 1_000_000


def show(factory: str, given: dict[str, str | None], *, as_json: bool) -> bool:
    """Check, print and write; returns whether it was not interrupted. Raises `InputError` that names the option."""
    options, directory = _options(given), store.check_directory(given["out"] or "check-results")
    found = load(factory)
    with _bar() as progress:
        check = run(found, options, progress)
    store.write(check, directory, render_check(check))
    if as_json:
        print(json.dumps(store.summary(check), indent=2, allow_nan=False))
    else:
        _print(check, str(directory / store.PAGE))
    return not check.interrupted


def _options(given: dict[str, str | None]) -> Options:
    found: dict[str, Any] = {}
    for name in ("depth", "width"):
        if (text := given[name]) is not None:
            found[f"{name}s"] = tuple(_count(f"--{name}", part, 1, _LARGEST) for part in text.split(","))
    for name, low, high in (("inputs", inputs.FEWEST, inputs.MOST), ("seeds", 8, 10**7), ("seed", 0, 2**62)):
        if (text := given[name]) is not None:
            found[name] = _count(f"--{name}", text, low, high)
    for name, high in (("seconds", 1e6), ("margin", 10.0)):
        if (text := given[name]) is not None:
            found[name] = number(f"--{name}", axis_value(text), 1e-3, high)
    if given["rho0"] is not None:
        found["rho0"] = inputs.checked_rho0(axis_value(given["rho0"]))
    if given["input-shape"] is not None:
        found["input_shape"] = inputs.parse_shape(given["input-shape"])
    found["input_file"] = given["input"]
    found["device"] = given["device"] or "cpu"
    return Options(**found)


def _count(field: str, text: str, low: int, high: int) -> int:
    value = whole(field, axis_value(text.strip()), low)
    if value > high:
        raise InputError(field, value, f"an integer from {low:,} to {high:,}")
    return value


@contextmanager
def _bar() -> Iterator[Any]:
    """A bar with the time left on a terminal's stderr; elsewhere a line at every quarter."""
    console = Console(stderr=True)
    if not console.is_terminal:
        told = [0]

        def tell(done: int, total: int) -> None:
            if 4 * done // total > told[0]:
                told[0] = 4 * done // total
                print(f"{done:,} of {total:,} networks", file=sys.stderr)

        yield tell
        return
    columns = (TextColumn("drawing networks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print(check: Check, page: str) -> None:
    console = Console(highlight=False, markup=False)
    console.print(words.headline(check), style="bold")
    console.print(f"{check.inputs}; D of at most {check.margin:g} holds.")
    for cell in check.cells:
        console.print(f"\n{cell.title}: {cell.measured.networks:,} networks", style="bold")
        if cell.lines:
            console.print(_table(cell))
        for heading, sentences in sections(cell):
            if sentences:
                console.print(f"\n{heading}", style="bold")
            for sentence in sentences:
                console.print(f"- {sentence}")
    if check.interrupted:
        console.print("\nStopped before all networks were drawn; what there was is kept.")
    console.print(f"\nReport: {page}")


def sections(cell: CellResult) -> list[tuple[str, list[str]]]:
    """Everything that is said about one cell."""
    return [
        ("What it is", words.what_it_is(cell)),
        ("Which theory", words.theories(cell)),
        ("What happens along depth", words.behaviour(cell)),
        ("What to change", words.recommendations(cell)),
    ]


def _table(cell: CellResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("quantity", "theory"):
        table.add_column(name)
    for name in ("predicted", "measured", "D", "interval", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    before = ""
    for line in cell.lines:
        score = line.score
        table.add_row(
            TITLES[line.observable] if line.observable != before else "",
            line.title,
            f"{line.predicted[0]:.4g} ± {line.predicted[1]:.3g}",
            f"{line.measured[0]:.4g} ± {line.measured[1]:.3g}",
            f"{score.distance:.3f}",
            f"{score.distance_low:.3f} .. {score.distance_high:.3f}",
            score.verdict,
        )
        before = line.observable
    return table
