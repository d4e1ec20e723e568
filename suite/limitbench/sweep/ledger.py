"""The books of a run: which units are finished, which are to do, and what follows when one ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from limitbench.sweep.blocks import SampleUnit, ScoreUnit, Unit, block_id, column_blocks, score_id, score_seconds
from limitbench.sweep.executors import Outcome
from limitbench.sweep.grid import Column
from limitbench.sweep.layout import forget
from limitbench.sweep.markers import FAILED, Marker, mark_failed, remove_marker
from limitbench.sweep.progress import Reporter
from limitbench.sweep.storage import Held
from limitbench.sweep.worker import Job, score_key

#: Times a block is drawn again because its chunks turned out damaged.
MAX_REPAIRS = 3


class Ledger:
    """Books of one run of `job`.

    Arguments:
        job: what all units share.
        done: markers of units that were finished before; it grows.
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
        self.job, self._done, self._reporter, self._held = job, done, reporter, held
        self._set_aside, self._retry = set_aside or set(), retry
        self._waiting: dict[str, int] = {}
        self._repairs: dict[str, int] = {}
        self.failures = 0
        self._columns = {column.slug: (position, column) for position, column in job.spec.axis_grid().columns()}
        study, sampler = job.resolve_study(), job.spec.meaning.sampler
        self._network_seconds = {
            slug: study.network(column.cells[-1]).cost(sampler) for slug, (_, column) in self._columns.items()
        }

    @property
    def drawn(self) -> int:
        """Networks in the store."""
        return sum(marker.get("samples", 0) for marker in self._done.values())

    @property
    def seconds_left(self) -> float:
        """Estimated seconds, on one worker, of all units that are still to do. Call it after `first`."""
        total = 0.0
        for slug, (_, column) in self._columns.items():
            waiting = self._waiting[slug]
            total += waiting * self._network_seconds[slug] * self.job.spec.meaning.block_samples
            if waiting or (self._wanted(score_id(column)) and self._score(column)):
                total += self._score_seconds(column)
        return total

    def first(self) -> Iterator[Unit]:
        """Units that can start at once: missing blocks, and scores of columns that are drawn."""
        for _, column in self._columns.values():
            blocks = self._blocks(column)
            missing = [unit for unit in blocks if unit.id not in self._done and self._wanted(unit.id)]
            self._waiting[column.slug] = len(missing)
            yield from missing or (self._score(column) if self._wanted(score_id(column)) else ())

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
            mark_failed(paths, unit.id, failure)
            self._reporter.fail(unit.id, outcome.error)
        elif damaged := outcome.receipt.get("damaged"):
            return self._repair(unit, damaged)
        else:
            self._done[unit.id] = outcome.receipt
            if unit.id in self._set_aside:
                self._set_aside.discard(unit.id)
                remove_marker(paths, FAILED, unit.id)
            self._reporter.advance(0 if isinstance(unit, ScoreUnit) else unit.samples, unit.cost)
        if isinstance(unit, ScoreUnit):
            return ()
        self._waiting[unit.column.slug] -= 1
        return () if self._waiting[unit.column.slug] else self._score(unit.column)

    def _score(self, column: Column) -> list[Unit]:
        position, _ = self._columns[column.slug]
        count = self.job.spec.samples[column.slug] // self.job.spec.meaning.block_samples
        finished = [k for k in range(count) if block_id(column, k) in self._done]
        sums = tuple(self._done[block_id(column, k)]["checksums"] for k in finished)
        unit = ScoreUnit(column, position, tuple(finished), sums, self._score_seconds(column))
        fresh = self._done.get(score_id(column), {}).get("key") == score_key(self.job.spec, unit)
        return [] if fresh or not finished else [unit]

    def _blocks(self, column: Column) -> list[SampleUnit]:
        position, _ = self._columns[column.slug]
        spec = self.job.spec
        return column_blocks(
            column,
            position,
            spec.samples[column.slug],
            spec.meaning.block_samples,
            self._network_seconds[column.slug],
        )

    def _score_seconds(self, column: Column) -> float:
        meaning = self.job.spec.meaning
        laws = len(meaning.observables) * len(meaning.theories)
        return score_seconds(column, self.job.spec.samples[column.slug], laws)

    def _repair(self, unit: Unit, damaged: list[int]) -> list[Unit]:
        """Draw damaged blocks again; one that is damaged over and over is quarantined like any other failure."""
        column, blocks = unit.column, self._blocks(unit.column)
        again: list[Unit] = []
        for number in damaged:
            name = block_id(column, number)
            forget(self.job.paths, name)
            self._done.pop(name, None)
            self._repairs[name] = self._repairs.get(name, 0) + 1
            if self._repairs[name] <= MAX_REPAIRS:
                again.append(blocks[number])
                continue
            self.failures += 1
            error = "its chunks are damaged whenever they are read back"
            mark_failed(self.job.paths, name, {"block": name, "error": error, "attempts": MAX_REPAIRS})
            self._reporter.fail(name, error)
        self._waiting[column.slug] = len(again)
        return again or self._score(column)
