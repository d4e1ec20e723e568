"""What `limitbench list` and `show` print: studies, and the studies, theories and networks that other packages add.

Each part of another package is loaded on its own, so one that is broken costs a line and not the others.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limitbench import extensions, networks, studies
from limitbench.commands import new_table
from limitbench.errors import InputError, one_line
from limitbench.networks.base import Network
from limitbench.statistics.observables import OBSERVABLES
from limitbench.studies.base import Axis, Preset, Study, StudyTheory

#: Group -> columns of its table.
COLUMNS = {
    extensions.STUDIES: ("study", "what it asks", "published in", "package"),
    extensions.THEORIES: ("theory", "of the study", "in words", "package"),
    extensions.NETWORKS: ("network family", "observables", "in words", "package"),
}


TITLES = {extensions.STUDIES: "studies", extensions.THEORIES: "theories", extensions.NETWORKS: "networks"}


def list_studies() -> None:
    """Print name, question and reference of every study, and what other installed packages add."""
    built_in = new_table("study", "what it asks", "published in")
    for name in studies.names():
        study = studies.get(name)
        built_in.add_row(name, study.question, study.reference)
    console = Console()
    console.print(built_in)
    tables, problems = offered()
    for part in tables:
        console.print(part)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)


def show(name: str) -> None:
    """Print the axes, presets, observables and theories of one study; `InputError` where there is none."""
    study = studies.get(name)
    axes = new_table("axis", "accepts", "meaning", title="axes")
    for axis in study.axes:
        axes.add_row(axis.name, _accepted(axis), axis.description)
    presets = new_table("axis", *study.presets, title="presets")
    for name in (axis.name for axis in study.axes if any(axis.name in p.grid for p in study.presets.values())):
        presets.add_row(name, *(_listed(preset.grid.get(name, ())) for preset in study.presets.values()))
    presets.add_row("samples", *(_samples(preset) for preset in study.presets.values()))
    observables = new_table("observable", "symbol", "meaning", title="observables")
    for name in study.observables:
        seen = OBSERVABLES.get(name)
        observables.add_row(name, seen.symbol if seen else "", seen.description if seen else "")
    theories = new_table("theory", "in words", title="competing theories")
    for theory in study.theories:
        theories.add_row(theory.name, theory.title)
    console = Console()
    console.print(f"[bold]{study.name}[/bold]: {study.title}\n{study.question}\n{study.reference}\n", highlight=False)
    for part in (axes, presets, observables, theories):
        console.print(part, "")


def offered() -> tuple[list[Table], list[str]]:
    """A table for each kind of part that installed packages add, and a line for each part that cannot be used."""
    tables, problems = [], []
    for group, columns in COLUMNS.items():
        part = new_table(*columns, title=f"{TITLES[group]} from other packages")
        for name in extensions.names(group):
            try:
                cells = (*_READERS[group](name), extensions.package(group, name))
            except InputError as error:
                problems.append(str(error))
            else:
                part.add_row(*(escape(one_line(text)) for text in cells))
        if part.row_count:
            tables.append(part)
    return tables, problems


def _study(name: str) -> tuple[str, ...]:
    study = extensions.load(extensions.STUDIES, name, Study, taken=studies.names())
    return name, study.question, study.reference


def _theory(name: str) -> tuple[str, ...]:
    home, _, own = name.rpartition(".")
    if home not in studies.known():
        field = f"theory {name} of {extensions.package(extensions.THEORIES, name)}"
        raise InputError(field, name, "STUDY.THEORY with the name of a study")
    taken = [f"{home}.{theory.name}" for theory in studies.get(home).theories]
    theory = extensions.load(extensions.THEORIES, name, StudyTheory, taken=taken)
    return own, home, theory.title


def _network(name: str) -> tuple[str, ...]:
    family = extensions.load(extensions.NETWORKS, name, Network, attribute="family", taken=networks.BUILT_IN)
    observables = family.observables if isinstance(family.observables, tuple) else ()
    return name, ", ".join(observables), (inspect.getdoc(family) or "").partition("\n")[0]


_READERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    extensions.STUDIES: _study,
    extensions.THEORIES: _theory,
    extensions.NETWORKS: _network,
}


def _accepted(axis: Axis) -> str:
    if axis.kind == "str":
        return ", ".join(axis.choices) or "text"
    word = "integer" if axis.kind == "int" else "number"
    low, high = (None if bound is None else f"{bound:,.12g}" for bound in (axis.lower, axis.upper))
    if low and high:
        return f"{word}, above {low} up to {high}" if axis.open_lower else f"{word}, {low} to {high}"
    return f"{word} {'>' if axis.open_lower else '>='} {low}" if low else f"{word} <= {high}" if high else word


def _samples(preset: Preset) -> str:
    fewer = (f"{count:,} at width {width}" for width, count in preset.samples_at.items())
    return ", ".join([f"{preset.samples:,}", *fewer])


def _listed(values: Sequence[object]) -> str:
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
