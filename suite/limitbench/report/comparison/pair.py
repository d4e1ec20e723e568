"""One study in two stores: the cells that both have, aligned by the values of the axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from limitbench.report.provenance import meaning_of
from limitbench.report.results import Results
from limitbench.studies.base import StudyTheory, Value

#: Attributes of a store and versions that may differ without a difference of meaning.
VERSIONS = ("limitbench", "torch", "numpy", "python", "cpu capability", "mkl")


@dataclass(frozen=True)
class SharedCell:
    """A cell that both stores have: its place in each (by axis) and its name in words."""

    a: Mapping[str, int]
    b: Mapping[str, int]
    label: str


@dataclass(frozen=True)
class Pair:
    """The results of one study in run A and in run B."""

    a: Results
    b: Results

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.a.name

    @cached_property
    def comparable(self) -> bool:
        """Whether both grids have the same axes."""
        return set(self.a.axes) == set(self.b.axes)

    @cached_property
    def differences(self) -> list[tuple[str, str, str]]:
        """Field, value in A and value in B of all that differs in meaning, plan and versions."""
        found = []
        for field, a, b in (*self._meaning(), *self._versions()):
            if a != b:
                found.append((field, _text(a), _text(b)))
        return found

    def _meaning(self) -> Iterator[tuple[str, object, object]]:
        a, b = meaning_of(self.a), meaning_of(self.b)
        for field in sorted({*a, *b} - {"study"}):
            if field == "families":  # those that both draw, as in the comparison of two specs
                old, new = (dict(m.get(field) or {}) for m in (a, b))  # type: ignore[call-overload]
                shared = sorted(old.keys() & new.keys())
                yield field, {k: old[k] for k in shared}, {k: new[k] for k in shared}
            else:
                yield field, a.get(field), b.get(field)
        yield "margin", self.a.margin, self.b.margin
        for axis in self.a.axes if self.comparable else ():
            yield f"grid, {axis}", self.a.values(axis), self.b.values(axis)

    def _versions(self) -> Iterator[tuple[str, object, object]]:
        for name in VERSIONS:
            yield f"made with {name}", self.a.environment.get(name), self.b.environment.get(name)

    @cached_property
    def cells(self) -> list[SharedCell]:
        """Cells of equal axis values that have networks in both runs."""
        if not self.comparable:
            return []
        axes = self.a.axes
        places = []
        for axis in axes:
            there = {value: k for k, value in enumerate(self.b.values(axis))}
            places.append([(k, there[v]) for k, v in enumerate(self.a.values(axis)) if v in there])
        found = []
        for combination in itertools.product(*places):
            a = {axis: i for axis, (i, _) in zip(axes, combination, strict=True)}
            b = {axis: j for axis, (_, j) in zip(axes, combination, strict=True)}
            if self.count("a", a) > 0 and self.count("b", b) > 0:
                found.append(SharedCell(a, b, self.a.cell_label(a)))
        return found

    @cached_property
    def lacking(self) -> tuple[int, int]:
        """Cells with networks that only A has, and that only B has."""
        return tuple(int((r.counts > 0).sum()) - len(self.cells) for r in (self.a, self.b))  # type: ignore[return-value]

    def count(self, run: str, at: Mapping[str, int]) -> int:
        """Networks of a cell."""
        results: Results = getattr(self, run)
        return int(results.counts[tuple(at[axis] for axis in results.axes)])

    @cached_property
    def observables(self) -> list[str]:
        """Observables that both stores hold, in the order of A."""
        there = set(map(str, self.b.group("samples").data_vars))
        return [str(name) for name in self.a.group("samples").data_vars if str(name) in there]

    @cached_property
    def theories(self) -> list[str]:
        """Theories that both stores hold, in the order of A."""
        return [name for name in self.a.theories if name in self.b.theories]

    def columns(self) -> Iterator[list[SharedCell]]:
        """Shared cells that lie in the same chunks: those that differ along the last axis only."""
        last = self.a.axes[-1] if self.a.axes else ""

        def outer(cell: SharedCell) -> list[int]:
            return [k for axis, k in cell.a.items() if axis != last]

        for _, cells in itertools.groupby(self.cells, key=outer):
            yield list(cells)

    def samples(self, run: str, observable: str, cells: list[SharedCell]) -> list[Float[np.ndarray, " networks"]]:
        """Values of the networks of the cells of one column, in the order drawn, NaN where there is none."""
        results: Results = getattr(self, run)
        last, stored = results.axes[-1], results.group("samples")[observable]
        outer = {axis: k for axis, k in getattr(cells[0], run).items() if axis != last}
        values = np.asarray(stored.isel(outer).transpose(last, "sample").to_numpy(), dtype=float)
        return [values[getattr(cell, run)[last]] for cell in cells]

    def theory(self, name: str) -> StudyTheory | None:
        """The theory as this installation knows it, None where it does not."""
        known = self.a.study.theories if self.a.study else ()
        return next((theory for theory in known if theory.name == name), None)

    def parameters(self, at: Mapping[str, int]) -> dict[str, Value]:
        """The cell of A as a study's functions take it: a value for every axis, and its depth."""
        run = self.a.run
        found: dict[str, Value] = {axis: self.a.values(axis)[k] for axis, k in at.items()}  # type: ignore[misc]
        if "depth" not in found and "depth" in run.coords:
            depth = run["depth"]
            found["depth"] = int(depth.isel({axis: k for axis, k in at.items() if axis in depth.dims}))
        return found


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items()) or "none"
    return "none" if value is None else str(value)
