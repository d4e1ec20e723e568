"""The units that wait for a worker: most urgent first, by seconds that are predicted and corrected by those measured.

A prediction is the cost model's; what units of the same column, or else all of their kind, took in this run so far
corrects it. Units that take no time to speak of are given out together, as a share.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from limitbench.sweep.blocks import SampleUnit, Unit

#: What a unit takes at least: writing its chunks and its marker.
OWN_SECONDS = 3e-3
#: The queue is put in order anew whenever so many times as many units have been measured as the last time.
REORDER_FACTOR = 8


@dataclass(slots=True)
class Task:
    """A unit, and how often it ended badly.

    Attributes:
        unit: what there is to do.
        failures, deaths, losses: attempts that raised, whose worker died, whose node was lost.
        hungry: suspected of taking much memory.
        alone: not to be done in a share: the worker of one that it was in was lost.
        since: when the present attempt began, by the pool's clock.
    """

    unit: Unit
    failures: int = 0
    deaths: int = 0
    losses: int = 0
    hungry: bool = False
    alone: bool = False
    since: float = 0.0

    @property
    def attempts(self) -> int:
        """Attempts that count."""
        return self.failures + self.deaths


class Costs:
    """Seconds that units are expected to take."""

    def __init__(self) -> None:
        # Predicted and measured seconds, by kind and place of the column; no place stands for all of a kind.
        self._sums: dict[tuple[type[Unit], tuple[int, ...] | None], tuple[float, float]] = {}
        self.learned = 0

    def expected(self, unit: Unit) -> float:
        """Seconds of `unit`."""
        return OWN_SECONDS + unit.cost * self._ratio(type(unit), unit.position)

    def expected_of(self, blocks: int, cost: float) -> float:
        """Seconds of so many blocks of any columns, with `cost` the sum of theirs."""
        return OWN_SECONDS * blocks + cost * self._ratio(SampleUnit, None)

    def _ratio(self, kind: type[Unit], place: tuple[int, ...] | None) -> float:
        found = self._sums.get((kind, place)) or self._sums.get((kind, None))
        return found[1] / found[0] if found else 1.0

    def learn(self, unit: Unit, seconds: float) -> None:
        """Take note of what `unit` took."""
        self.learned += 1
        for place in (unit.position, None):
            predicted, measured = self._sums.get((type(unit), place), (1e-12, 0.0))
            beyond = max(0.0, seconds - OWN_SECONDS)
            self._sums[type(unit), place] = (predicted + unit.cost, measured + beyond)

    def knows(self, unit: Unit) -> bool:
        """Whether any unit of this kind was measured."""
        return (type(unit), None) in self._sums


class Waiting:
    """A queue of tasks.

    Adding and taking cost the logarithm of its length. What is learned reorders it a few times in a run.

    Arguments:
        costs: what to expect of a unit.
    """

    def __init__(self, costs: Costs) -> None:
        self._costs, self._order, self._next_order = costs, itertools.count(), 1
        self._heap: list[tuple[bool, float, int, Task]] = []
        self._cost = 0.0  # of all that waits

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def seconds(self) -> float:
        """What everything that waits is expected to take on one worker."""
        return self._costs.expected_of(len(self._heap), self._cost)

    def add(self, tasks: Iterable[Task]) -> None:
        """Queue many."""
        self._heap += [self._entry(task, next(self._order)) for task in tasks]
        heapq.heapify(self._heap)
        self._cost = sum(task.unit.cost for *_, task in self._heap)

    def push(self, task: Task) -> None:
        """Queue one."""
        heapq.heappush(self._heap, self._entry(task, next(self._order)))
        self._cost += task.unit.cost

    def take(self, seconds: float) -> list[Task]:
        """The most urgent task, with those that follow it as long as all are expected to take at most `seconds`.

        Scores are given alone, and so are blocks before any block was measured.
        """
        if self._costs.learned >= self._next_order:
            self._next_order = REORDER_FACTOR * self._costs.learned
            self._heap = [self._entry(task, number) for *_, number, task in self._heap]
            heapq.heapify(self._heap)
        taken = [self._pop()]
        if self._shares(taken[0]):
            left = seconds - self._costs.expected(taken[0].unit)
            while self._heap and self._shares(self._heap[0][-1]):
                left -= self._costs.expected(self._heap[0][-1].unit)
                if left < 0.0:
                    break
                taken.append(self._pop())
        return taken

    def _entry(self, task: Task, number: int) -> tuple[bool, float, int, Task]:
        return isinstance(task.unit, SampleUnit), -self._costs.expected(task.unit), number, task

    def _pop(self) -> Task:
        task = heapq.heappop(self._heap)[-1]
        self._cost -= task.unit.cost
        return task

    def _shares(self, task: Task) -> bool:
        return isinstance(task.unit, SampleUnit) and not task.alone and self._costs.knows(task.unit)
