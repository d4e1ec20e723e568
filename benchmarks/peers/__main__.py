"""`python -m benchmarks.peers`: build the environments, take turns, write table and figure; each also by itself."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.peers import environments, figure, table
from benchmarks.peers.comparisons import COMPARISONS
from benchmarks.peers.measure import measure, one_core
from benchmarks.peers.results import Result, Run, machine, today

RESULTS = environments.HERE / "results"
README = environments.HERE.parent.parent / "README.md"
app = typer.Typer(add_completion=False, help=__doc__)
console = Console()


@app.command()
def build() -> None:
    """Make the environment of every peer that has none."""
    for name in environments.names():
        error = environments.build(name)
        console.print(f"environment {name}: {error or 'ready'}", highlight=False)


@app.command()
def run(
    rounds: Annotated[int, typer.Option(min=1, help="turns of every contender; medians are over these")] = 5,
    only: Annotated[
        str, typer.Option(help="comparisons whose name has this in it; the others are kept, if from here")
    ] = "",
    limit: Annotated[float, typer.Option(help="wall seconds that one answer may take, compilation included")] = 300.0,
    out: Annotated[Path, typer.Option(help="folder of peers.json")] = RESULTS,
) -> None:
    """Measure, and write `peers.json`; show the table."""
    one_core()
    path = out / "peers.json"
    kept: dict[str, Result] = {}
    if only and path.exists():
        before = Run.load(path)
        if (before.machine, before.python) == (machine(), platform.python_version()):
            kept = {result.name: result for result in before.results}
    for comparison in COMPARISONS:
        if only in comparison.name:
            console.print(f"{comparison.title} ...", highlight=False)
            kept[comparison.name] = measure(comparison, rounds, limit)
    order = [comparison.name for comparison in COMPARISONS]
    results = tuple(kept[name] for name in order if name in kept)
    found = Run(today(), machine(), platform.python_version(), results)
    found.save(path)
    console.print(table.terminal(found))


@app.command()
def write(out: Annotated[Path, typer.Option(help="folder of peers.json")] = RESULTS) -> None:
    """From `peers.json`: the figure beside it and the table of README.md."""
    found = Run.load(out / "peers.json")
    figure.draw(found, out / "peers.svg")
    README.write_text(table.insert(README.read_text(), table.markdown(found)))
    console.print(table.terminal(found))


@app.command(name="all")
def everything() -> None:
    """Build, run and write."""
    build()
    run()
    write()


if __name__ == "__main__":
    app()
