"""The books of a run: which units are finished, which are to do, and what follows when one ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from limitbench.sweep.blocks import SampleUnit, ScoreUnit, Unit, block_id, score_id, score_seconds
from limitbench.sweep.executors import Outcome
from limitbench.sweep.grid import Column
from limitbench.sweep.layout import forget
from limitbench.sweep.looks import ColumnLooks, looks_of
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
        plan: the looks at the column.
        network_seconds: of one network, to its deepest cell.
        looks: the look at which each cell stands: it needs the blocks of that look.
        done: checksums of the finished blocks by number, in the order of observables.
        short: depths of those finished blocks that do not have all cells.
        scored: what the scores of the column were made from, None where there are none.
        unclear: cells that go on to their next look, by these scores.
        waiting: blocks that are under way or to do.
        expected: seconds of units that are yet to end, by the estimate that the run began with.
    """

    column: Column
    position: tuple[int, ...]
    plan: ColumnLooks
    network_seconds: float
    looks: list[int]
    done: dict[int, tuple[str, ...]] = field(default_factory=dict)
    short: dict[int, frozenset[int]] = field(default_factory=dict)
    scored: dict[str, Any] | None = None
    unclear: tuple[int, ...] = ()
    waiting: int = 0
    expected: float = 0.0

    def has(self, number: int, cell: int) -> bool:
        """Whether a finished block has the networks of a cell."""
        return number in self.done and (number not in self.short or self.column.depths[cell] in self.short[number])

    def find_place(self) -> None:
        """Let every cell stand at the first look that takes all its blocks up to the first that is missing.

        A block that belongs to a look was drawn because the look before it left the cell unclear, or for a run that
        took no looks: the looks before are over in both cases.
        """
        if self.plan.sequential:
            blocks = range(self.plan.most + 1)
            held = (next(k for k in blocks if not self.has(k, cell)) for cell in range(len(self.looks)))
            self.looks = [self.plan.plan.reaching(size) for size in held]

    def lacking(self) -> dict[int, Column]:
        """Blocks that cells need where they stand, each with the cells that it is to be drawn for."""
        found: dict[int, Column] = {}
        for number in range(self.plan.reach(self.looks)):
            if number in self.done and number not in self.short:
                continue
            own = {c for c, look in enumerate(self.looks) if self.plan.plan.sizes[look] > number}
            if not all(self.has(number, c) for c in own):
                cells = [c for c in range(len(self.looks)) if c in own or self.has(number, c)]  # what it has is kept
                found[number] = replace(self.column, depth_values=tuple(self.column.depth_values[c] for c in cells))
        return found


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
        self._study, self._size, self._observables = study, spec.meaning.block_samples, spec.meaning.observables
        self._pages = {
            column.slug: _Page(
                column,
                position,
                looks_of(spec, column.slug),
                study.network(column.cells[-1]).cost(spec.meaning.sampler),
                [0] * len(column.cells),
            )
            for position, column in spec.axis_grid().columns()
        }
        for name, marker in done.items():
            self._book(self._pages[name.rpartition(".")[0]], marker)
        for page in self._pages.values():
            page.find_place()

    @property
    def drawn(self) -> int:
        """Networks in the store."""
        return sum(len(page.done) for page in self._pages.values()) * self._size

    @property
    def seconds_left(self) -> float:
        """Estimated seconds, on one worker, of all units that are still to do. Call it after `first`.

        Of cells that are sampled until their verdicts are clear, all looks are counted.
        """
        return sum(page.expected for page in self._pages.values())

    def first(self) -> Iterator[Unit]:
        """Units that can start at once: missing blocks, and scores of columns that are drawn."""
        for page in self._pages.values():
            blocks = [unit for unit in self._blocks(page) if self._wanted(unit.id)]
            page.waiting = len(blocks)
            units = blocks or (self._follow(page) if self._scores_wanted(page) else [])
            if units:
                page.expected = self._expected(page)
            yield from units

    def _expected(self, page: _Page) -> float:
        """Seconds of the blocks that wait and their scores, and of all looks that may follow."""
        later = page.plan.most - page.plan.reach(page.looks) if page.plan.sequential else 0
        return (page.waiting + later) * page.network_seconds * self._size + self._score_seconds(page)

    def _scores_wanted(self, page: _Page) -> bool:
        """Whether scores may follow at once: where a block of a look was set aside, those of the look before do."""
        struck = page.plan.sequential and any(
            block_id(page.column, number) in self._set_aside for number in range(page.plan.most)
        )
        return struck or self._wanted(score_id(page.column))

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
        page = self._pages[unit.column.slug]
        page.expected = max(page.expected - unit.cost, 0.0)
        followers = self._after(page, unit, outcome.receipt is not None)
        if page.plan.sequential and not followers and not page.waiting:
            self._reporter.advance(0, page.expected)  # what looks that are not taken would have cost
            page.expected = 0.0
        return followers

    def _after(self, page: _Page, unit: Unit, well: bool) -> list[Unit]:
        """Units that follow the end of a unit."""
        if isinstance(unit, ScoreUnit):
            return self._look_on(page) if well else []
        page.waiting -= 1
        return [] if page.waiting else self._follow(page)

    def _book(self, page: _Page, marker: Marker) -> None:
        if marker["kind"] == "scores":
            page.scored, page.unclear = marker["key"], tuple(marker.get("unclear", ()))
            return
        number, depths = marker["number"], marker["depths"]
        page.done[number] = tuple(marker["checksums"][name] for name in self._observables)
        page.short.pop(number, None)
        if len(depths) < len(page.looks):
            page.short[number] = frozenset(depths)

    def _follow(self, page: _Page) -> list[Unit]:
        """What follows where no block is waited for: scores, or the blocks of the next look where they are there."""
        finished = tuple(sorted(page.done))
        sums = tuple(dict(zip(self._observables, page.done[k], strict=True)) for k in finished)
        seconds = self._score_seconds(page)
        unit = ScoreUnit(page.column, page.position, finished, sums, seconds, tuple(page.looks))
        if page.scored == score_key(self.job.spec, unit):
            return self._look_on(page)
        fewer = self._retry and page.scored is not None and not set(page.scored.get("blocks", ())) <= page.done.keys()
        return [] if fewer or not finished else [unit]

    def _look_on(self, page: _Page) -> list[Unit]:
        """Blocks of the next look for the cells that are unclear; none where blocks of this one were set aside."""
        if not page.unclear or page.lacking():
            return []
        for cell in page.unclear:
            page.looks[cell] += 1
        page.unclear = ()
        blocks = self._blocks(page)
        page.waiting = len(blocks)
        return [*blocks] or self._follow(page)

    def _blocks(self, page: _Page) -> list[SampleUnit]:
        """The blocks that are missing where cells stand."""
        return [self._block(page, number, column) for number, column in page.lacking().items()]

    def _block(self, page: _Page, number: int, column: Column) -> SampleUnit:
        seconds = page.network_seconds
        if len(column.depth_values) < len(page.looks):
            seconds = self._study.network(column.cells[-1]).cost(self.job.spec.meaning.sampler)
        return SampleUnit(column, page.position, number, self._size, seconds * self._size)

    def _score_seconds(self, page: _Page) -> float:
        laws = len(self._observables) * len(self.job.spec.meaning.theories)
        return score_seconds(page.column, page.plan.reach(page.looks) * self._size, laws)

    def _repair(self, unit: Unit, damaged: list[int]) -> list[Unit]:
        """Draw damaged blocks again; one that is damaged over and over is quarantined like any other failure."""
        page, again = self._pages[unit.column.slug], set[int]()
        for number in damaged:
            name = block_id(page.column, number)
            forget(self.job.paths, name)
            page.done.pop(number, None)
            page.short.pop(number, None)
            self._repairs[name] = self._repairs.get(name, 0) + 1
            if self._repairs[name] <= MAX_REPAIRS:
                again.add(number)
                continue
            self.failures += 1
            error = "its chunks are damaged whenever they are read back"
            mark_failed(self.job.paths, name, {"block": name, "error": error, "attempts": MAX_REPAIRS})
            self._reporter.fail(name, error)
        blocks = [block for block in self._blocks(page) if block.number in again]
        page.waiting = len(blocks)
        return [*blocks] or self._follow(page)
