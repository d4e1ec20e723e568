"""A comparison in words and rows: the same for the terminal and the page; every number is computed from it."""

from __future__ import annotations

import itertools
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
    where = listing([study.name for study in found.studies if study.changes(found.level)])
    whose = "its" if sum(len(study.changes(found.level)) for study in found.studies) == 1 else "their"
    return f"{listing(kinds)} changed beyond {whose} errors, in {where}; compared were {shared}."


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
    said = [
        f"{_of(study.cells, 'cell')}: {listing(parts)} compared"
        + (f"; bit-identical are {listing(same)}." if same else ".")
    ]
    turned = study.turned(level)
    settling = {pair: n for pair, n in turned.items() if "undecided" in pair}
    flips = {pair: n for pair, n in turned.items() if "undecided" not in pair}
    for found, words in (
        (settling, "became decided or undecided"),
        (flips, "turned round while D changed within errors"),
    ):
        if found:
            parts = [f"{before} in A and {after} in B: {n}" for (before, after), n in sorted(found.items())]
            said.append(f"{_of(sum(found.values()), 'verdict')} {words}, which is no change ({'; '.join(parts)}).")
    if study.untested:
        parts = [_of(n, *NOUNS[kind]) for kind, n in study.untested.items()]
        said.append(f"Without an error to judge by, so not tested: {listing(parts)}.")
    for run, cells, names in zip("AB", study.lacking, (study.only_a, study.only_b), strict=True):
        if cells or names:
            said.append(f"Only {run} has {listing([*([_of(cells, 'more cell')] if cells else []), *names])}.")
    return [*said, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)]


def _of(n: int, one: str, many: str = "") -> str:
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
