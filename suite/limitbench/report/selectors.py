"""Which slices of a study a section shows, and the radio buttons that pick one of them by CSS alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.report import words
from limitbench.report.results import Results, Slice
from limitbench.report.style import plain


@dataclass(frozen=True)
class Option:
    """One choice of a selector; panels that carry class `name` belong to it."""

    name: str
    label: str
    checked: bool


@dataclass(frozen=True)
class Selector:
    """Radio groups that show one panel at a time by CSS alone."""

    ident: str
    groups: list[tuple[str, list[Option]]]

    def css(self) -> str:
        """One rule per option: where it is checked, panels of the other options are hidden."""
        return "\n".join(
            f"#{self.ident}:has(#{self.ident}-{o.name}:checked) .panel:not(.{o.name}){{display:none}}"
            for _, options in self.groups
            for o in options
        )


@dataclass(frozen=True)
class Choice:
    """One panel of a section: what it shows, and the classes by which the selector finds it."""

    observable: str
    at: Slice
    classes: str


@dataclass(frozen=True)
class Choices:
    """The panels of a section, its selector, and a sentence where some were left out."""

    selector: Selector
    panels: list[Choice]
    left_out: str = ""


def choose(results: Results, ident: str, most: int) -> Choices:
    """At most `most` panels over the scored observables and the slices of the grid.

    All of them where they fit, one radio group per axis; else slices spread over the grid in one group, the leading
    one among them, and where even one slice is too much, the first observables only.
    """
    observables, slices = scored(results), results.slices
    wanted = len(observables) * len(slices)
    if wanted <= most:
        groups = [("observable", _observables(results, observables))]
        for k, axis in enumerate(results.varying):
            best = leading(results, axis)
            options = [Option(f"a{k}v{i}", plain(v), i == best) for i, v in enumerate(results.values(axis))]
            groups.append((axis if results.symbol(axis) == axis else f"{axis} {results.symbol(axis)}", options))
        panels = [
            Choice(o, at, " ".join([f"o{k}", *(f"a{j}v{at.at[a]}" for j, a in enumerate(results.varying))]))
            for k, o in enumerate(observables)
            for at in slices
        ]
        return Choices(_selector(ident, groups), panels)
    observables = observables[: max(1, most)]
    shown, first = _some_slices(results, max(1, most // len(observables)))
    cells = [Option(f"c{k}", s.label, s is first) for k, s in enumerate(shown)]
    groups = [("observable", _observables(results, observables)), ("cell", cells)]
    panels = [Choice(o, s, f"o{i} c{k}") for i, o in enumerate(observables) for k, s in enumerate(shown)]
    left = f"Shown are {len(panels)} of {wanted} combinations, so that the page stays small; the store holds all."
    return Choices(_selector(ident, groups), panels, left)


def scored(results: Results) -> list[str]:
    """Observables that some theory says something about."""
    return [o for o in results.observables if results.said(o)]


def leading(results: Results, axis: str) -> int:
    """Position of the axis value where some theory holds most often: what a selector shows first."""
    holds = [
        max((s.holds for s in words.standings(results, where={axis: i})), default=0)
        for i in range(len(results.values(axis)))
    ]
    return int(np.argmax(holds)) if holds else 0


def slug(text: str) -> str:
    """`text` as an identifier for HTML."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A different `slug` for each of `names`, none of them `taken`: with `-2`, `-3`, ... where two are the same."""
    seen = dict.fromkeys(taken, 1)
    found = []
    for ident in map(slug, names):
        seen[ident] = seen.get(ident, 0) + 1
        found.append(ident if seen[ident] == 1 else f"{ident}-{seen[ident]}")
    return found


def _selector(ident: str, groups: list[tuple[str, list[Option]]]) -> Selector:
    return Selector(ident, [group for group in groups if len(group[1]) > 1])


def _observables(results: Results, names: Sequence[str]) -> list[Option]:
    return [Option(f"o{k}", results.observable_title(o), k == 0) for k, o in enumerate(names)]


def _some_slices(results: Results, most: int) -> tuple[list[Slice], Slice]:
    """At most `most` slices in the order of the grid, and the one to show first.

    They are the leading one and then ever finer spreads over the grid, so that more slices include fewer.
    """
    slices = results.slices
    leaders = {a: leading(results, a) for a in results.varying}
    first = next((k for k, s in enumerate(slices) if all(s.at[a] == i for a, i in leaders.items())), 0)
    order = {first: None}
    parts = 1
    while len(order) < min(most, len(slices)):
        order |= dict.fromkeys(round(k * (len(slices) - 1) / parts) for k in range(parts + 1))
        parts *= 2
    return [slices[k] for k in sorted(list(order)[:most])], slices[first]
