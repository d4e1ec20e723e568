"""All contenders of a comparison take turns on one core, round after round; then their laws are compared.

CPU seconds are counted, so that other work on the machine changes little, and everything is pinned to one core, so that
they are seconds of one thread. What a program builds and compiles happens in a first call that is not counted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks.peers.comparisons import Comparison, Contender
from benchmarks.peers.results import Measured, Result
from benchmarks.peers.worker import PeerError, Worker

#: CPU seconds of one turn, at least, unless one call takes longer.
TURN = 0.2
#: CPU seconds of a first call from which on a turn is one call.
LONG = 3.0


def one_core() -> None:
    """Pin this process, and the ones that it starts, to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class _Turns:
    """One contender at work; after an error it is left out of later turns and keeps the reason."""

    def __init__(self, contender: Contender, settings: dict[str, Any], stack: ExitStack, limit: float) -> None:
        self.contender, self.limit = contender, limit
        self.seconds: list[float] = []
        self.wall = self.cpu = 0.0
        self.first, self.calls = math.nan, 1
        self.versions: dict[str, str] = {}
        self.moments: dict[str, dict[str, float]] = {}
        self.error: str | None = None
        self.law_error: str | None = None
        self._guarded(lambda: self._start(settings, stack))

    def _guarded(self, work: Callable[[], None]) -> None:
        if self.error is None:
            try:
                work()
            except PeerError as error:
                self.error = str(error)

    def _start(self, settings: dict[str, Any], stack: ExitStack) -> None:
        log = "".join(letter if letter.isalnum() else "-" for letter in self.contender.label)
        self.worker = stack.enter_context(Worker(self.contender.environment, self.contender.program, log, self.limit))
        answer = self._prepare(settings)
        self.first, self.versions = answer["cpu"], answer["versions"]
        if self.first < LONG:
            once = self.worker.ask("run", calls=1)["cpu"]
            self.calls = math.ceil(TURN / max(once, 1e-6))

    def _prepare(self, settings: dict[str, Any]) -> dict[str, Any]:
        return self.worker.ask("prepare", task=self.contender.task, settings=settings | self.contender.extra)

    def turn(self) -> None:
        self._guarded(self._turn)

    def _turn(self) -> None:
        answer = self.worker.ask("run", calls=self.calls)
        self.seconds.append(answer["cpu"] / answer["units"])
        self.wall, self.cpu = self.wall + answer["wall"], self.cpu + answer["cpu"]

    def law(self, settings: dict[str, Any], count: int) -> None:
        """Draw the moments; where that fails, the seconds stay and the reason is kept."""
        if self.error is None:
            try:
                self._prepare(settings)
                self.moments = self.worker.ask("law", count=count)["moments"]
            except PeerError as error:
                self.law_error = str(error)

    def measured(self) -> Measured:
        return Measured(
            self.contender.label,
            self.contender.ours,
            seconds=tuple(self.seconds) if self.error is None else (),
            wall=self.wall / self.cpu if self.cpu else math.nan,
            first=self.first,
            moments=self.moments,
            versions=self.versions,
            error=self.error,
            law_error=self.law_error,
        )


def measure(comparison: Comparison, rounds: int, limit: float) -> Result:
    """Seconds a unit of every contender in `rounds` rounds, and the moments of what each draws.

    The order is reversed in every other round. A contender that cannot be had, or that needs more than `limit` wall
    seconds for one answer, stays in the result with the reason.
    """
    with ExitStack() as stack:
        turns = [_Turns(contender, comparison.settings, stack, limit) for contender in comparison.contenders]
        for k in range(rounds):
            for one in turns if k % 2 == 0 else reversed(turns):
                one.turn()
        ours, theirs = comparison.counts
        for one in turns:
            one.law(comparison.settings | comparison.law, ours if one.contender.ours else theirs)
        return Result(
            comparison.name,
            comparison.group,
            comparison.title,
            comparison.unit,
            comparison.settings,
            tuple(one.measured() for one in turns),
        )
