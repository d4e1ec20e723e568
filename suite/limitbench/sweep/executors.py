"""Executors: who does the units. One interface; `serial` for notebooks and debugging, `ray` for everything else."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, runtime_checkable

from limitbench.sweep.blocks import Unit
from limitbench.sweep.worker import Job, Receipt

#: Attempts after which a unit that raises or runs out of time is quarantined.
MAX_ATTEMPTS = 3
#: Time limit of one attempt at a unit, unless the run sets one.
UNIT_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Limits:
    """When a unit is given up and set aside.

    Attributes:
        unit_seconds: time limit of one attempt.
        unit_memory: GiB that a worker may hold beyond what it holds when idle; None for no limit of our own.
        gpu_share: part of a GPU that a worker has, of its time and memory, where networks are drawn on GPUs.
        attempts: attempts that raised, ran out of time or out of memory.
        deaths: attempts during which the worker process died.
        losses: attempts during which the worker's node was lost. Nodes come and go, which is no fault of a block; that
            the same one meets so many losses in a row means that it takes its node down.
    """

    unit_seconds: float = UNIT_SECONDS
    unit_memory: float | None = None
    gpu_share: float = 1.0
    attempts: int = MAX_ATTEMPTS
    deaths: int = 6
    losses: int = 20


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; finished blocks are kept. The message says how to go on."""


@dataclass(frozen=True)
class Outcome:
    """How a unit ended: with a receipt, or quarantined with the error of its last attempt."""

    unit: Unit
    receipt: Receipt | None
    error: str = ""
    attempts: int = 1


#: Called once per ended unit, in the driver; returns units that can follow.
Handler = Callable[[Outcome], Iterable[Unit]]

EventKind = Literal[
    "worker-started",
    "worker-lost",
    "worker-stopped",
    "unit-started",
    "unit-ended",
    "unit-retried",
    "unit-failed",
]


@dataclass(frozen=True)
class Event:
    """Something that happened to a worker or a unit.

    Attributes:
        kind: of workers: ready for units, gone unasked, ended by the run; of units: an attempt begins, ended well,
            ended badly and will be made again, ended badly and was the last.
        worker: name of the worker, as in Ray's dashboard.
        node: id of the node that it runs on; empty where it never said.
        unit: id of the unit, empty for events of workers.
        attempt: number of the attempt, from 1; 0 for events of workers.
        seconds: how long the attempt took, on the worker's clock, or on the driver's where the worker could not tell;
            0 where it begins.
        reason: why it ended badly, one line.
    """

    kind: EventKind
    worker: str
    node: str
    unit: str = ""
    attempt: int = 0
    seconds: float = 0.0
    reason: str = ""


@runtime_checkable
class Events(Protocol):
    """Told of every event, in the driver and in order; must return soon and must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take note of it."""


class Executor(abc.ABC):
    """Does units in any order, most costly first, and reports each once.

    Use as a context manager: entering connects and raises `InputError` where that is impossible, leaving ends whatever
    entering started.
    """

    #: Short name for reports.
    name: str

    @abc.abstractmethod
    def __enter__(self) -> Executor: ...

    @abc.abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @abc.abstractmethod
    def check(self, device: str) -> None:
        """Raises `InputError` where no worker has the device kind; called before anything is written."""

    @abc.abstractmethod
    def run(self, job: Job, units: Iterable[Unit], handle: Handler, events: Events | None = None) -> None:
        """Do all `units` and those that `handle` returns; a unit that keeps failing never stops the others.

        Arguments:
            job: what the units share.
            units: what can start at once.
            handle: called once per ended unit; returns what can follow.
            events: told what happens to workers and units, for logs.

        Raises:
            Stopped: the store or the cluster is out of reach; no attempt is counted for that.
        """


def describe(error: BaseException) -> str:
    """One line for markers and reports."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
