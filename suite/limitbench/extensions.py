"""Studies, theories and networks of other packages: found by their entry points, loaded when one is asked for.

A package that is broken, or whose name is taken, is told in one line that names it; all other parts stay usable.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from limitbench.errors import InputError

#: Groups of entry points. In the first and the last an entry is called like the study or network family that it names,
#: in the second STUDY.THEORY: the study that it competes in, and its own name.
STUDIES, THEORIES, NETWORKS = "limitbench.studies", "limitbench.theories", "limitbench.networks"
#: Group -> one such part in words.
WORDS = {STUDIES: "study", THEORIES: "theory", NETWORKS: "network"}


def names(group: str) -> tuple[str, ...]:
    """Names in `group` of all installed packages, in order; nothing is loaded. Cost: some milliseconds, once."""
    return tuple(sorted(_entries(group, tuple(sys.path))))


def package(group: str, name: str) -> str:
    """Name and version of the distribution that offers `name`; of all of them, if there are several."""
    return " and ".join(map(_package, _entries(group, tuple(sys.path))[name]))


def load(group: str, name: str, kind: type, *, attribute: str = "name", taken: Collection[str] = ()) -> Any:
    """The part called `name`: an instance of `kind`; among `NETWORKS` a class that derives from it.

    Arguments:
        group: `STUDIES`, `THEORIES` or `NETWORKS`.
        name: one of `names(group)`.
        kind: `Study`, `StudyTheory` or `Network`.
        attribute: where the part has its own name, which must be that of the entry point (behind its last dot).
        taken: names that limitbench has itself.

    Raises `InputError` that names the package: the name is taken or offered twice, the module does not load, or what
    it holds is something else.
    """
    found = _entries(group, tuple(sys.path))[name]
    field = f"{WORDS[group]} {name} of {package(group, name)}"
    if name in taken:
        raise InputError(field, name, "a name that limitbench has not taken itself")
    if len(found) > 1:
        raise InputError(field, name, "a name that only one package has; remove the others")
    try:
        part = found[0].load()
    except (Exception, SystemExit) as error:  # whatever another package's module does
        raise InputError(field, error, "a module that can be imported") from error
    fits = isinstance(part, type) and issubclass(part, kind) if group == NETWORKS else isinstance(part, kind)
    if not fits:
        raise InputError(field, part, f"a {kind.__name__} at {found[0].value}")
    own = getattr(part, attribute, None)
    if own != name.rpartition(".")[2]:
        raise InputError(field, own, f"{name.rpartition('.')[2]!r} as its {attribute}, as its entry point says")
    return part


def _package(entry: Any) -> str:  # an entry point of the standard library, or of its backport where that is installed
    return "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


@lru_cache(16)
def _entries(group: str, path: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Entry points by name; `path` is where they are looked for, as packages may come while a process runs."""
    found: dict[str, tuple[Any, ...]] = {}
    for entry in sorted(entry_points(group=group), key=_package):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found
