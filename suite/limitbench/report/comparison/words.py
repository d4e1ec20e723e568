"""A comparison in words and rows: the same for the terminal and the page; every number is computed from it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from limitbench.report.comparison.compare import Comparison, StudyComparison
from limitbench.report.comparison.findings import KINDS, Finding, Kind
from limitbench.report.style import count, number
from limitbench.report.words import listing

#: One and several of each kind.
NOUNS: dict[Kind, tuple[str, str]] = {
    "networks": ("sample of networks", "samples of networks"),
    "law": ("law", "laws"),
    "distance": ("score D", "scores D"),
    "verdict": ("verdict", "verdicts"),
    "claim": ("claim", "claims"),
}


@dataclass(frozen=True)
class Group:
    """Changes of one kind and subject in several cells, and the largest of them."""

    kind: Kind
    subject: str
    changes: Sequence[Finding]

    @property
    def largest(self) -> Finding:
        """The change that stands for all."""
        return max(self.changes, key=lambda f: f.difference)

    @property
    def cells(self) -> str:
        """How many cells changed, in words."""
        return "" if self.kind == "claim" else f"{len(self.changes)} cell{'s' * (len(self.changes) > 1)}"

    @property
    def beyond(self) -> str:
        """By how much, and what errors explain."""
        f = self.largest
        size = f"{number(f.difference, 2)} {f.unit}"
        if f.certain:
            return f"{size}; its errors allow {number(f.allowed, 1)}" if f.allowed < f.difference else size
        return f"{size}; p = {number(f.adjusted, 1)} of all tests together"


def groups(study: StudyComparison, level: float) -> list[Group]:
    """The changes of a study by kind and subject."""
    changes = study.changes(level)
    found = itertools.groupby(changes, key=lambda f: (f.kind, f.subject))
    return [Group(kind, subject, list(members)) for (kind, subject), members in found]


def lead(found: Comparison) -> str:
    """What came out, in one sentence."""
    cells = sum(study.cells for study in found.studies)
    shared = f"{_of(len(found.studies), 'study', 'studies')} and {_of(cells, 'cell')} that both have"
    if not found.changed:
        if found.identical:
            return f"Bit-identical: every number of {shared} is the same."
        return f"Nothing changed beyond its errors in {shared}."
    kinds = []
    for kind in KINDS:
        n = sum(f.kind == kind for study in found.studies for f in study.changes(found.level))
        if n:
            kinds.append(f"{count(n)} {NOUNS[kind][n > 1]}")
    where = [study.name for study in found.studies if study.changes(found.level)]
    return f"{listing(kinds)} changed beyond {'its' if kinds[0].startswith('1 ') and len(kinds) == 1 else 'their'} errors, in {listing(where)}; compared were {shared}."


def sentences(found: Comparison) -> list[str]:
    """How it was judged, and what only one run has."""
    said = []
    if found.tests:
        said.append(
            f"{count(found.tests)} numbers differ by sampling and were tested as one family: had nothing changed, any "
            f"of them would be reported with probability {number(found.level, 2).rstrip('0')} at most."
        )
    for run, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            said.append(f"Only {run} has {listing(names)}.")
    return said


def study_sentences(study: StudyComparison, level: float) -> list[str]:
    """What was compared, what is identical, and which verdicts differ within their errors."""
    if not study.cells:
        return [*(f"{note[0].upper()}{note[1:]}." for note in study.notes), "No cell in common."][:1]
    parts, same = [], []
    for kind in KINDS:
        if kind in study.tallies:
            tally = study.tallies[kind]
            parts.append(_of(tally.compared, *NOUNS[kind]))
            if tally.identical:
                of = "all" if tally.identical == tally.compared else count(tally.identical)
                same.append(f"{of} {NOUNS[kind][1]}")
    said = [f"{_of(study.cells, 'cell')}: {listing(parts)} compared" + (f"; bit-identical are {listing(same)}." if same else ".")]
    for (before, after), n in sorted(study.turned(level).items()):
        if "undecided" in (before, after):
            said.append(f"{_of(n, 'verdict')}: {before} in A, {after} in B; no change of what is known.")
        else:
            said.append(f"{_of(n, 'verdict')}: {before} in A, {after} in B, while D changed within its errors.")
    for run, cells, names in zip("AB", study.lacking, (study.only_a, study.only_b), strict=True):
        if cells or names:
            said.append(f"Only {run} has {listing([*([_of(cells, 'more cell')] if cells else []), *names])}.")
    return [*said, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)]


def record(found: Comparison) -> dict[str, object]:
    """Everything as plain JSON: NaN as null."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def change(f: Finding) -> dict[str, object]:
        return {
            "kind": f.kind,
            "subject": f.subject,
            "where": f.where.replace("\u00a0", " "),
            "before": f.before,
            "after": f.after,
            "difference": finite(f.difference),
            "unit": f.unit,
            "allowed": finite(f.allowed),
            "adjusted_pvalue": finite(f.adjusted),
        }

    studies = []
    for study in found.studies:
        studies.append(
            {
                "study": study.name,
                "differences": [dict(zip(("field", "a", "b"), row, strict=True)) for row in study.differences],
                "cells": study.cells,
                "cells_only_a": study.lacking[0],
                "cells_only_b": study.lacking[1],
                "only_a": study.only_a,
                "only_b": study.only_b,
                "compared": {kind: t.compared for kind, t in study.tallies.items()},
                "identical": {kind: t.identical for kind, t in study.tallies.items()},
                "verdicts_within_errors": [
                    {"before": before, "after": after, "count": n}
                    for (before, after), n in sorted(study.turned(found.level).items())
                ],
                "changes": [change(f) for f in study.changes(found.level)],
                "notes": study.notes,
            }
        )
    return {
        "a": found.a,
        "b": found.b,
        "level": found.level,
        "tests": found.tests,
        "changed": found.changed,
        "identical": found.identical,
        "only_a": found.only_a,
        "only_b": found.only_b,
        "text": [lead(found), *sentences(found)],
        "studies": studies,
    }


def _of(n: int, one: str, many: str = "") -> str:
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
