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
from limitbench.advice.check.recommend import recommendations
from limitbench.advice.check.result import CellResult, Check, Line
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
    for name, most in (("seconds", 1e6), ("margin", 10.0)):
        if (text := given[name]) is not None:
            found[name] = number(f"--{name}", axis_value(text), 1e-3, most)
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
    console.print(f"{check.inputs}. Mean ± sd; D: ✓ within {check.margin:g}, ✗ beyond, ? undecided.")
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
        ("Which theory", words.closest(cell)),
        ("What happens along depth", words.behaviour(cell)),
        ("What to change", list(recommendations(cell))),
    ]


def _table(cell: CellResult) -> Table:
    """One row a theory: mean and standard deviation of what it says, and D with its verdict, of every quantity."""
    names = list(dict.fromkeys(line.observable for line in cell.lines))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("theory", min_width=8)
    for name in names:
        table.add_column(_SHORT[name], no_wrap=True)
        table.add_column("D", no_wrap=True)
    first = {line.observable: line.measured for line in reversed(cell.lines)}
    table.add_row("networks", *(text for n in names for text in (_pair(first[n]), "")))
    for theory in dict.fromkeys(line.theory for line in cell.lines):
        lines = {line.observable: line for line in cell.lines if line.theory == theory}
        cells = []
        for name in names:
            line = lines.get(name)
            cells += ["", ""] if line is None else [_pair(line.predicted), _distance(line)]
        table.add_row(next(iter(lines.values())).title, *cells)
    return table


#: Columns of the table.
_SHORT = {"log_norm": "log norm", "correlation": "corr.", "log_gap": "ln(1-corr.)", "log_gradient": "log gradient"}
_MARKS = {"holds": "✓", "fails": "✗", "undecided": "?"}


def _pair(moments: tuple[float, float]) -> str:
    return f"{moments[0]:.3g}" + (f" ± {moments[1]:.2g}" if moments[1] > 0 else "")


def _distance(line: Line) -> str:
    return f"{max(line.score.distance, 0.0):.2f} {_MARKS[line.score.verdict]}"
