"""The serial executor: everything in this process, one unit after the other."""

from __future__ import annotations

import heapq
import itertools
import socket
import time
from collections.abc import Iterable
from types import TracebackType

from limitbench.errors import Stopped
from limitbench.sweep.blocks import Unit, urgency
from limitbench.sweep.executors import MAX_ATTEMPTS, Event, EventKind, Events, Executor, Handler, Outcome, describe
from limitbench.sweep.worker import Job, check_device, execute


class SerialExecutor(Executor):
    """Same interface and same numbers as Ray; a crash of a unit is a crash of the process."""

    name = "serial"

    def __enter__(self) -> SerialExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def check(self, device: str) -> None:
        """This process must have the device."""
        check_device(device)

    def run(self, job: Job, units: Iterable[Unit], handle: Handler, events: Events | None = None) -> None:
        """Do all units; exceptions count as attempts."""
        order = itertools.count()
        queue = [(urgency(unit), next(order), unit) for unit in units]
        heapq.heapify(queue)
        while queue:
            unit = heapq.heappop(queue)[-1]
            for follower in handle(_attempts(job, unit, events)):
                heapq.heappush(queue, (urgency(follower), next(order), follower))


def _attempts(job: Job, unit: Unit, events: Events | None) -> Outcome:
    node, error = socket.gethostname(), ""

    def tell(kind: EventKind, seconds: float = 0.0) -> None:
        if events is not None:
            events(Event(kind, "serial", node, unit.id, attempt, seconds, error))

    for attempt in range(1, MAX_ATTEMPTS + 1):
        started, error = time.monotonic(), ""
        tell("unit-started")
        try:
            receipt = execute(job, unit, attempt)
        except Stopped:
            raise
        except Exception as raised:
            error = describe(raised)
            tell("unit-failed" if attempt == MAX_ATTEMPTS else "unit-retried", time.monotonic() - started)
        else:
            tell("unit-ended", time.monotonic() - started)
            return Outcome(unit, receipt, attempts=attempt)
    return Outcome(unit, None, error, MAX_ATTEMPTS)
