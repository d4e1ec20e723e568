"""Scores against scores: D of every theory, by its interval, and what became of its verdict.

The standard error of D is read off its interval: the longer of its two arms counts for both sides, as D close to zero
is skewed. Where both runs hold the same networks and the same law there is no sampling between them, and D must agree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping

from scipy.special import ndtr, ndtri

from limitbench.report.comparison.findings import Finding
from limitbench.report.comparison.pair import Pair, SharedCell
from limitbench.report.results import Results
from limitbench.report.style import number
from limitbench.statistics.scores import verdict
from limitbench.sweep.spec import LEVEL

#: Rounding of a score: agreement of D where networks and laws are the same.
ROUNDING = 1e-9


def compare_scores(
    pair: Pair, same_networks: Collection[tuple[str, str]], same_laws: Collection[tuple[str, str, str]]
) -> Iterator[tuple[Finding, Finding | None]]:
    """D and, where both verdicts are decided, the verdict of every score that both runs have.

    Arguments:
        pair: the study in both runs.
        same_networks: (cell label, observable) whose networks are the same.
        same_laws: (cell label, theory, observable) whose laws are bit-identical.

    A verdict of B is that of its interval at the margin of A.
    """
    scores = _Scores(pair.a), _Scores(pair.b)
    for cell in pair.cells:
        for observable in (name for name in pair.a.observables if name in pair.b.observables):
            for theory in pair.theories:
                a, b = scores[0].of(cell.a, observable, theory), scores[1].of(cell.b, observable, theory)
                if math.isnan(a.distance) or math.isnan(b.distance):
                    continue
                networks, laws = (
                    (cell.label, observable) in same_networks,
                    (cell.label, theory, observable) in same_laws,
                )
                exact = networks and laws and a.networks == b.networks
                found = _distance(pair.name, cell, observable, theory, a, b, exact)
                yield found, _verdict(found, a, b, pair.a.margin, networks)


class _Scores:
    """The scores of one run as arrays that are read once."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._fields = [results.score(name) for name in ("distance", "distance_low", "distance_high")]
        run = results.run
        self._levels = run["level"].transpose(*results.axes).to_numpy() if "level" in run else None

    def of(self, at: Mapping[str, int], observable: str, theory: str) -> _Score:
        results = self._results
        place = tuple(at[axis] for axis in results.axes)
        index = (*place, results.observables.index(observable), results.theories.index(theory))
        level = LEVEL if self._levels is None else float(self._levels[place])
        distance, low, high = (float(values[index]) for values in self._fields)
        return _Score(distance, low, high, level, int(results.counts[place]))


@dataclasses.dataclass(frozen=True)
class _Score:
    distance: float
    low: float
    high: float
    level: float
    networks: int

    @property
    def se(self) -> float:
        return max(self.high - self.distance, self.distance - self.low) / float(ndtri((1 + self.level) / 2))


def _distance(study: str, cell: SharedCell, observable: str, theory: str, a: _Score, b: _Score, exact: bool) -> Finding:
    difference = abs(a.distance - b.distance)
    before, after = (f"{number(s.distance, 3)} ({number(s.low, 3)} to {number(s.high, 3)})" for s in (a, b))
    found = Finding("distance", study, f"{theory}, {observable}", cell.label, before, after, difference, "in D")
    if exact:
        allowed = ROUNDING * max(1.0, abs(a.distance))
        return dataclasses.replace(found, allowed=allowed, certain=difference > allowed)
    se = math.hypot(a.se, b.se)
    pvalue = 2 * float(ndtr(-difference / se)) if se > 0 else math.nan
    return dataclasses.replace(found, pvalue=pvalue)


def _verdict(found: Finding, a: _Score, b: _Score, margin: float, same_networks: bool) -> Finding | None:
    """The two verdicts, where they differ; `certain` where a decided one turned round on the same networks."""
    before, after = verdict(a.low, a.high, margin), verdict(b.low, b.high, margin)
    if before == after:
        return None
    flipped = "undecided" not in (before, after)
    return dataclasses.replace(
        found,
        kind="verdict",
        before=before,
        after=after,
        certain=flipped and same_networks,
        pvalue=found.pvalue if flipped else math.nan,
    )
