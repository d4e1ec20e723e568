"""What a run has done so far and is doing, counted event by event: the content of its heartbeats."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from limitbench.sweep.executors import Event, Outcome
from limitbench.sweep.heartbeat import DriverState, Heartbeat, NodeLoad, UnitInFlight

#: Time that rates are about, as long as so many units ended in it; the whole run otherwise.
RATE_SECONDS, RATE_UNITS = 300.0, 10
#: Units named in a heartbeat: those that are at work for longest.
MOST_UNITS = 200


@dataclass(slots=True)
class _Node:
    """A node's part of the run."""

    host: str = ""
    workers: int = 0
    in_flight: int = 0
    blocks: int = 0
    networks: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Totals:
    """Counts at one moment, `time` on the steady clock."""

    time: float
    units: int = 0
    networks: int = 0
    work: float = 0.0


class Tally:
    """Counts of one run; one thread may count while another one reads.

    Arguments:
        work: seconds that the cost model expects of one worker for all that is to do.
        about: fields of the heartbeat that never change.
    """

    def __init__(self, work: float, about: dict[str, Any]) -> None:
        self._work, self._about = work, about
        self._lock = threading.Lock()
        self._nodes: dict[str, _Node] = {}
        self._workers: dict[str, str] = {}  # node by worker
        self._at_work: dict[str, dict[str, tuple[Event, float]]] = {}  # by worker and unit, since when
        self._ended_on: dict[str, _Node] = {}  # by unit, until it is booked
        self._counts = {"unit-failed": 0, "unit-retried": 0, "worker-lost": 0}
        self._totals = _Totals(time.monotonic())
        self._past = deque([self._snapshot()])
        self._beats = 0

    def count(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            node = self._nodes.setdefault(event.node, _Node())
            if event.kind in self._counts:
                self._counts[event.kind] += 1
            match event.kind:
                case "unit-started":
                    self._join(event, node)
                    self._at_work.setdefault(event.worker, {})[event.unit] = (event, time.monotonic())
                    node.in_flight += 1
                case "unit-ended" | "unit-retried" | "unit-failed":
                    if self._at_work.get(event.worker, {}).pop(event.unit, None):
                        node.in_flight -= 1
                    node.seconds += event.seconds
                    if event.kind == "unit-ended":
                        self._ended_on[event.unit] = node
                case "worker-started":
                    self._join(event, node)
                case "worker-lost" | "worker-stopped":
                    node.in_flight -= len(self._at_work.pop(event.worker, {}))
                    if self._workers.pop(event.worker, None) is not None:
                        node.workers -= 1

    def _join(self, event: Event, node: _Node) -> None:
        if event.worker not in self._workers:
            self._workers[event.worker] = event.node
            node.workers += 1

    def book(self, outcome: Outcome) -> None:
        """Count an ended unit."""
        receipt = outcome.receipt
        with self._lock:
            node = self._ended_on.pop(outcome.unit.id, None)
            if receipt is not None and receipt.get("damaged"):
                return  # it will be done again
            self._totals.work += outcome.unit.cost
            if receipt is None:
                return
            networks = int(receipt.get("samples", 0))
            self._totals.units += 1
            self._totals.networks += networks
            if node is not None:
                node.host = str(receipt.get("host", "")) or node.host
                node.blocks += 1
                node.networks += networks

    def beat(self, state: DriverState, reason: str = "") -> Heartbeat:
        """The next heartbeat. Cost: 1 ms with 1,000 workers."""
        with self._lock:
            now = self._snapshot()
            at_work = [item for units in self._at_work.values() for item in units.values()]
            longest = heapq.nsmallest(MOST_UNITS, at_work, key=lambda item: item[1])
            hosts = {name: node.host for name, node in self._nodes.items()}
            nodes = tuple(
                NodeLoad(
                    node=name,
                    host=node.host,
                    workers=node.workers,
                    in_flight=node.in_flight,
                    blocks=node.blocks,
                    networks=node.networks,
                    seconds=round(node.seconds, 3),
                )
                for name, node in self._nodes.items()
            )
            workers, in_flight, counts = len(self._workers), len(at_work), dict(self._counts)
        units = tuple(
            UnitInFlight(
                unit=event.unit,
                node=event.node,
                host=hosts[event.node],
                worker=event.worker,
                attempt=event.attempt,
                seconds=round(now.time - since, 3),
            )
            for event, since in longest
        )
        self._beats += 1
        before = self._reference(now)
        seconds = max(now.time - before.time, 1e-6)
        speed, left = (now.work - before.work) / seconds, max(self._work - now.work, 0.0)
        return Heartbeat(
            state=state,
            reason=reason[:500],
            beat=self._beats,
            written=datetime.now(UTC),
            seconds=round(now.time - self._past[0].time, 3),
            workers=workers,
            blocks_done=now.units,
            networks=now.networks,
            blocks_failed=counts["unit-failed"],
            blocks_retried=counts["unit-retried"],
            workers_lost=counts["worker-lost"],
            in_flight=in_flight,
            units=units,
            nodes=nodes,
            rate_seconds=round(seconds, 3),
            networks_per_second=(now.networks - before.networks) / seconds,
            blocks_per_minute=60 * (now.units - before.units) / seconds,
            seconds_left=left / speed if speed > 0 and state == "running" else None,
            **self._about,
        )

    def _snapshot(self) -> _Totals:
        totals = self._totals
        return _Totals(time.monotonic(), totals.units, totals.networks, totals.work)

    def _reference(self, now: _Totals) -> _Totals:
        """What to compare with for rates: totals of `RATE_SECONDS` ago where enough happened since, or the start's."""
        while len(self._past) > 2 and now.time - self._past[2].time >= RATE_SECONDS:
            del self._past[1]
        start, recent = self._past[0], self._past[min(1, len(self._past) - 1)]
        self._past.append(now)
        old = now.time - recent.time >= RATE_SECONDS
        return recent if old and now.units - recent.units >= RATE_UNITS else start
