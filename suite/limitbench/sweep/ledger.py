"""The books of a run: which units are finished, which are to do, and what follows when one ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from limitbench.sweep.blocks import SampleUnit, ScoreUnit, Unit, block_id, score_id, score_seconds
from limitbench.sweep.executors import Outcome
from limitbench.sweep.grid import Column
from limitbench.sweep.layout import forget
from limitbench.sweep.markers import FAILED, Marker, mark_failed, remove_marker
from limitbench.sweep.progress import Reporter
from limitbench.sweep.storage import Held
from limitbench.sweep.worker import Job, score_key

#: Times a block is drawn again because its chunks turned out damaged.
MAX_REPAIRS = 3


@dataclass(slots=True)
class _Page:
    """The books of one column: little for each block, as a run may have millions.

    Attributes:
        done: checksums of the finished blocks by number, in the order of observables.
        scored: what the scores of the column were made from, None where there are none.
        waiting: blocks that are under way or to do.
    """

    column: Column
    position: tuple[int, ...]
    blocks: int
    network_seconds: float
    done: dict[int, tuple[str, ...]] = field(default_factory=dict)
    scored: dict[str, Any] | None = None
    waiting: int = 0


class Ledger:
    """Books of one run of `job`.

    Arguments:
        job: what all units share.
        done: markers of units that were finished before.
        set_aside: names of units that an earlier run set aside: their markers go when the unit is finished.
        reporter: told what happens.
        held: the right to drive the store, asked at every step.
        retry: do only the units that were set aside, and the scores that follow them.
    """

    def __init__(
        self,
        job: Job,
        done: dict[str, Marker],
        reporter: Reporter,
        *,
        held: Held,
        set_aside: set[str] | None = None,
        retry: bool = False,
    ) -> None:
        self.job, self._reporter, self._held = job, reporter, held
        self._set_aside, self._retry = set_aside or set(), retry
        self._repairs: dict[str, int] = {}
        self.failures = 0
        study, spec = job.resolve_study(), job.spec
        self._size, self._observables = spec.meaning.block_samples, spec.meaning.observables
        self._pages = {
            column.slug: _Page(
                column,
                position,
                spec.samples[column.slug] // self._size,
                study.network(column.cells[-1]).cost(spec.meaning.sampler),
            )
            for position, column in spec.axis_grid().columns()
        }
        for name, marker in done.items():
            self._book(self._pages[name.rpartition(".")[0]], marker)

    @property
    def drawn(self) -> int:
        """Networks in the store."""
        return sum(len(page.done) for page in self._pages.values()) * self._size

    @property
    def seconds_left(self) -> float:
        """Estimated seconds, on one worker, of all units that are still to do. Call it after `first`."""
        total = 0.0
        for page in self._pages.values():
            total += page.waiting * page.network_seconds * self._size
            if page.waiting or (self._wanted(score_id(page.column)) and self._score(page)):
                total += self._score_seconds(page)
        return total

    def first(self) -> Iterator[Unit]:
        """Units that can start at once: missing blocks, and scores of columns that are drawn."""
        for page in self._pages.values():
            missing = [
                number
                for number in range(page.blocks)
                if number not in page.done and self._wanted(block_id(page.column, number))
            ]
            page.waiting = len(missing)
            if missing:
                yield from (self._block(page, number) for number in missing)
            elif self._wanted(score_id(page.column)):
                yield from self._score(page)

    def _wanted(self, name: str) -> bool:
        return not self._retry or name in self._set_aside

    def handle(self, outcome: Outcome) -> Iterable[Unit]:
        """Book an ended unit."""
        self._held.check()
        unit, paths = outcome.unit, self.job.paths
        if outcome.receipt is None:
            self.failures += 1
            self._set_aside.add(unit.id)
            failure = {"block": unit.id, "error": outcome.error, "attempts": outcome.attempts}
            forget(paths, unit.id)  # one of chunks that are damaged
            mark_failed(paths, unit.id, failure)
            self._reporter.fail(unit.id, outcome.error)
        elif damaged := outcome.receipt.get("damaged"):
            return self._repair(unit, damaged)
        else:
            self._book(self._pages[unit.column.slug], outcome.receipt)
            if unit.id in self._set_aside:
                self._set_aside.discard(unit.id)
                remove_marker(paths, FAILED, unit.id)
            self._reporter.advance(0 if isinstance(unit, ScoreUnit) else unit.samples, unit.cost)
        if isinstance(unit, ScoreUnit):
            return ()
        page = self._pages[unit.column.slug]
        page.waiting -= 1
        return () if page.waiting else self._score(page)

    def _book(self, page: _Page, marker: Marker) -> None:
        if marker["kind"] == "scores":
            page.scored = marker["key"]
        else:
            page.done[marker["number"]] = tuple(marker["checksums"][name] for name in self._observables)

    def _score(self, page: _Page) -> list[Unit]:
        finished = tuple(sorted(page.done))
        sums = tuple(dict(zip(self._observables, page.done[k], strict=True)) for k in finished)
        unit = ScoreUnit(page.column, page.position, finished, sums, self._score_seconds(page))
        fresh = page.scored == score_key(self.job.spec, unit)
        fewer = self._retry and page.scored is not None and not set(page.scored.get("blocks", ())) <= page.done.keys()
        return [] if fresh or fewer or not finished else [unit]

    def _block(self, page: _Page, number: int) -> SampleUnit:
        return SampleUnit(page.column, page.position, number, self._size, page.network_seconds * self._size)

    def _score_seconds(self, page: _Page) -> float:
        laws = len(self._observables) * len(self.job.spec.meaning.theories)
        return score_seconds(page.column, page.blocks * self._size, laws)

    def _repair(self, unit: Unit, damaged: list[int]) -> list[Unit]:
        """Draw damaged blocks again; one that is damaged over and over is quarantined like any other failure."""
        page, again = self._pages[unit.column.slug], list[Unit]()
        for number in damaged:
            name = block_id(page.column, number)
            forget(self.job.paths, name)
            page.done.pop(number, None)
            self._repairs[name] = self._repairs.get(name, 0) + 1
            if self._repairs[name] <= MAX_REPAIRS:
                again.append(self._block(page, number))
                continue
            self.failures += 1
            error = "its chunks are damaged whenever they are read back"
            mark_failed(self.job.paths, name, {"block": name, "error": error, "attempts": MAX_REPAIRS})
            self._reporter.fail(name, error)
        page.waiting = len(again)
        return again or self._score(page)
