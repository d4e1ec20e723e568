"""Workers as the dispatcher sees them: numbers that are started, given units, heard from and ended, and a clock.

Ray's actors are one such pool (`ray_pool`); simulated workers with a clock of their own are another (`simulate`).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limitbench.sweep.blocks import Unit
from limitbench.sweep.worker import Receipt


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that was started accepts units; it runs on `node`."""

    worker: int
    node: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt at a unit ended on a worker that lives on.

    Attributes:
        receipt: of a unit that is finished, None where it raised.
        error: what it raised.
        seconds: by the worker's clock.
    """

    receipt: Receipt | None
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """All units that were submitted to the worker have ended, one answer each; the worker accepts the next ones."""

    worker: int
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is gone, whether it was starting, idle or busy, and nobody had asked for that.

    Attributes:
        worker: its number.
        cause: what went with it: its process alone, perhaps because the node ran low on memory, or the whole node (also
            where that is not certain).
        reason: one line for reports.
    """

    worker: int
    cause: Literal["process", "memory", "node"]
    reason: str


News = Ready | Done | Lost
#: Units and the number of the attempt at each, done one after the other.
Share = Sequence[tuple[Unit, int]]


class Pool(abc.ABC):
    """Workers by number, and a clock. Nothing here may block but `wait`."""

    @abc.abstractmethod
    def now(self) -> float:
        """Seconds on the pool's clock."""

    @abc.abstractmethod
    def capacity(self) -> int:
        """Workers that there is room for just now; may change at any time."""

    @abc.abstractmethod
    def name(self, worker: int) -> str:
        """What the worker is called in logs."""

    @abc.abstractmethod
    def start(self, worker: int) -> None:
        """Begin to start a worker under a number not used before; `Ready` or `Lost` follows."""

    @abc.abstractmethod
    def submit(self, worker: int, share: Share) -> None:
        """Give units to a worker that is ready and idle; `Done` or `Lost` follows."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> Sequence[News]:
        """All news there are; if there are none, the first within `seconds`, or nothing.

        Raises:
            InputError: a worker cannot honour the job.
            Stopped: the cluster or the store is out of reach.
        """

    @abc.abstractmethod
    def kill(self, worker: int) -> None:
        """End a worker, whatever it does; news of it that are still under way are ignored."""

    def release(self, worker: int) -> None:
        """Let go of an idle worker, which is ended unless the pool has a use for it."""
        self.kill(worker)
