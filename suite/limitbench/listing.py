"""What installed packages add to limitbench, as tables: studies, theories that compete in studies, network families.

Each part is loaded on its own, so one that is broken costs a line and not the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from rich import box
from rich.markup import escape
from rich.table import Table

from limitbench import extensions, networks, studies
from limitbench.errors import InputError, one_line
from limitbench.networks.base import Network
from limitbench.studies.base import Study, StudyTheory

#: Group -> columns of its table.
COLUMNS = {
    extensions.STUDIES: ("study", "what it asks", "published in", "package"),
    extensions.THEORIES: ("theory", "of the study", "in words", "package"),
    extensions.NETWORKS: ("network family", "observables", "in words", "package"),
}


TITLES = {extensions.STUDIES: "studies", extensions.THEORIES: "theories", extensions.NETWORKS: "networks"}


def offered() -> tuple[list[Table], list[str]]:
    """A table for each kind of part that installed packages add, and a line for each part that cannot be used."""
    tables, problems = [], []
    for group, columns in COLUMNS.items():
        table = Table(title=f"{TITLES[group]} from other packages", title_justify="left", box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, overflow="fold")
        for name in extensions.names(group):
            try:
                cells = (*_READERS[group](name), extensions.package(group, name))
            except InputError as error:
                problems.append(str(error))
            else:
                table.add_row(*(escape(one_line(text)) for text in cells))
        if table.row_count:
            tables.append(table)
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
