"""`compare`: two runs study by study, cell by cell, and one correction for all that is tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limitbench.errors import InputError
from limitbench.report.comparison.claims import comparable_claims, compare_claims
from limitbench.report.comparison.findings import KINDS, Finding, Kind, Tally, adjusted
from limitbench.report.comparison.laws import compare_laws
from limitbench.report.comparison.networks import compare_networks
from limitbench.report.comparison.pair import Pair
from limitbench.report.comparison.scores import compare_scores
from limitbench.report.results import Results
from limitbench.studies.base import Study

#: Told the study and how much of it is done, from 0 to 1.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class StudyComparison:
    """What became of one study.

    Attributes:
        name: of the study.
        differences: field, value in A, value in B: what differs in meaning, plan and versions.
        cells: number of cells that both runs have.
        lacking: number of cells that only A has, and that only B has.
        only_a, only_b: observables and theories that one run lacks.
        tallies: numbers compared, by kind.
        findings: all numbers that differ.
        notes: what was not compared, and why.
    """

    name: str
    differences: list[tuple[str, str, str]]
    cells: int
    lacking: tuple[int, int]
    only_a: list[str]
    only_b: list[str]
    tallies: dict[Kind, Tally]
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        """Whether every number that both runs have is the same, bit by bit."""
        return self.cells > 0 and all(t.compared == t.identical for t in self.tallies.values())

    def changes(self, level: float) -> list[Finding]:
        """Findings beyond their errors, in the order of kinds, largest first."""
        found = [f for f in self.findings if f.changed(level)]
        return sorted(found, key=lambda f: (KINDS.index(f.kind), f.subject, -f.difference, f.where))

    @property
    def untested(self) -> dict[Kind, int]:
        """Numbers that differ and have no error to be judged by, by kind."""
        found: dict[Kind, int] = {}
        for f in self.findings:
            if f.kind != "verdict" and not f.certain and math.isnan(f.allowed) and math.isnan(f.pvalue):
                found[f.kind] = found.get(f.kind, 0) + 1
        return found

    def turned(self, level: float) -> dict[tuple[str, str], int]:
        """Number of verdicts by (before, after) where they differ but not beyond errors."""
        found: dict[tuple[str, str], int] = {}
        for f in self.findings:
            if f.kind == "verdict" and not f.changed(level):
                found[f.before, f.after] = found.get((f.before, f.after), 0) + 1
        return found


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; `only_a` and `only_b` name studies that the other lacks."""

    a: str
    b: str
    level: float
    studies: list[StudyComparison]
    only_a: list[str]
    only_b: list[str]

    @property
    def changed(self) -> bool:
        """Whether anything changed beyond its errors."""
        return any(study.changes(self.level) for study in self.studies)

    @property
    def identical(self) -> bool:
        """Whether every number that both runs have is the same, bit by bit."""
        return all(study.identical for study in self.studies)

    @property
    def tests(self) -> int:
        """Size of the family that Holm's correction is made for."""
        return sum(f.kind != "verdict" and not math.isnan(f.pvalue) for s in self.studies for f in s.findings)


def compare(
    a: str | Path,
    b: str | Path,
    *,
    level: float = 0.05,
    studies: Sequence[Study] = (),
    progress: Progress = lambda study, done: None,
) -> Comparison:
    """What changed from the results in `a` to those in `b` beyond their errors.

    Arguments:
        a, b: each a directory or URL with stores, or one `<study>.zarr`; half-finished ones too.
        level: probability that a comparison of two runs of the same thing reports any change.
        studies: definitions of studies that are not built in.
        progress: told how far it is.

    Returns the `Comparison`. Cells are joined by the values of the axes, studies by name. Samples are tested by
    Kolmogorov-Smirnov, D and claims by their standard errors, laws by their declared errors (estimated ones like
    samples); all p-values are one family (Holm). A verdict that turned round counts where its D changed, or where both
    runs hold the same networks.

    Raises `InputError` for a level outside (0, 1), a place without stores, and runs that share no cell.
    Cost: about 20 ms a cell and observable of 65,536 networks, and that of the laws that differ.
    """
    if not 0 < level < 1:
        raise InputError("level", level, "a number between 0 and 1, ends excluded")
    from limitbench.report.html import load, stores

    runs = [{paths.study: paths for paths in stores(place)} for place in (a, b)]
    shared = [name for name in runs[0] if name in runs[1]]
    pairs = [Pair(*(load(run[name], studies) for run in runs)) for name in shared]
    if not any(pair.cells for pair in pairs):
        had = "; ".join(", ".join(run) for run in runs)
        accepted = f"runs that share a study and cells with networks (they have {had})"
        raise InputError("A and B", [str(a), str(b)], accepted)
    compared = [_compare(pair, progress) for pair in pairs]
    family = adjusted([finding for study in compared for finding in study.findings])
    for study in compared:
        study.findings[:] = [f for f in family if f.study == study.name]
    return Comparison(
        str(a),
        str(b),
        level,
        compared,
        only_a=[name for name in runs[0] if name not in runs[1]],
        only_b=[name for name in runs[1] if name not in runs[0]],
    )


def _compare(pair: Pair, progress: Progress) -> StudyComparison:
    """All numbers of one study; the p-values are yet to be corrected."""
    tallies: dict[Kind, Tally] = {}
    findings: list[Finding] = []

    def book(kind: Kind, found: Finding | None, *, identical: bool) -> None:
        tallies[kind] = tallies.get(kind, Tally()) + Tally(1, int(identical))
        if found is not None and not identical:
            findings.append(found)

    same_networks: set[tuple[str, str]] = set()
    same_laws: set[tuple[str, str, str]] = set()
    steps, columns = 0, list(pair.columns())
    total = max(1, len(pair.observables) * (len(columns) + 1))
    for observable in pair.observables:
        for column in columns:
            for cell, found in compare_networks(pair, observable, column):
                if found is None:
                    same_networks.add((cell.label, observable))
                book("networks", found, identical=found is None)
            steps += 1
            progress(pair.name, steps / total)
        for cell, theory, found in compare_laws(pair, observable):
            if found is None:
                same_laws.add((cell.label, theory, observable))
            book("law", found, identical=found is None)
        steps += 1
        progress(pair.name, steps / total)
    for found, verdict in compare_scores(pair, same_networks, same_laws):
        book("distance", found, identical=found.difference == 0)
        if verdict is not None:
            findings.append(verdict)
    all_same = len(same_networks) == tallies.get("networks", Tally()).compared
    for found, identical in compare_claims(pair, same_networks=all_same):
        book("claim", found, identical=identical)
    return StudyComparison(
        pair.name,
        pair.differences,
        len(pair.cells),
        pair.lacking,
        only_a=_only(pair.a, pair.b),
        only_b=_only(pair.b, pair.a),
        tallies=tallies,
        findings=findings,
        notes=_notes(pair),
    )


def _only(one: Results, other: Results) -> list[str]:
    """Observables and theories of `one` that `other` lacks."""
    names = [f"observable {name}" for name in one.observables if name not in other.observables]
    return names + [f"theory {name}" for name in one.theories if name not in other.theories]


def _notes(pair: Pair) -> list[str]:
    if not pair.comparable:
        return [f"the grids have different axes ({', '.join(pair.a.axes)}; {', '.join(pair.b.axes)}): not compared"]
    found = []
    if pair.cells and not comparable_claims(pair):
        present = ["measured" in run.group("claims") for run in (pair.a, pair.b)]
        reason = "the runs have different cells" if all(present) else "a run that is not finished has none"
        found.append(f"claims are not compared: {reason}")
    return found
