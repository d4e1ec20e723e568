"""The driver's heartbeat: one small object beside the markers that says who drives, what is under way and how fast.

It is written whole every few seconds while a run goes on and once at its end. Who reads it believes in no clock: a
driver is alive where its process can be seen, or where the number of the beat grows while one looks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from limitbench.sweep.paths import Paths
from limitbench.sweep.process import is_alive

#: Seconds between two beats.
BEAT_SECONDS = 5.0
#: Beats that have to be missed under a reader's eyes before it takes the driver for dead.
MISSED_BEATS = 3
#: A stamp that is older than this on the reader's clock needs no second look: no two clocks are so far apart.
LONG_AGO = timedelta(days=1)


DriverState = Literal["running", "finished", "interrupted", "stopped", "crashed"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class UnitInFlight(_Part):
    """A unit that a worker is at.

    Attributes:
        unit: its name.
        node: id of the node, as Ray names it; the host's name without Ray.
        host: name of the node's host, empty until the first of its units has ended.
        worker: name of the worker.
        attempt: number of the attempt, from 1.
        seconds: since the attempt began.
    """

    unit: str
    node: str
    host: str
    worker: str
    attempt: int
    seconds: float


class NodeLoad(_Part):
    """What a node has done in this run and is doing.

    Attributes:
        node, host: as in `UnitInFlight`.
        workers: alive there now.
        in_flight: units under way there now.
        blocks: units that ended well there.
        networks: drawn there.
        seconds: that its workers spent on attempts, those that ended badly among them.
    """

    node: str
    host: str
    workers: int
    in_flight: int
    blocks: int
    networks: int
    seconds: float


class Heartbeat(_Part):
    """What a driver says of itself and its run. Counts are of this run alone, seconds by the driver's steady clock.

    Attributes:
        run: name of the run, and of its log.
        state: `running`, or how it ended: `finished`, `interrupted` by Ctrl-C, `stopped` from outside (store, cluster),
            or `crashed` by a defect.
        reason: why it ended, empty where it finished.
        beat: number of this writing.
        beat_seconds: time between two.
        host, pid, machine, process: the driver's process; see `is_alive`.
        executor: `ray` or `serial`.
        started, written: times by the driver's clock.
        seconds: since the start.
        workers: alive now.
        blocks_done, networks: units that ended well, and the networks that they drew.
        blocks_failed, blocks_retried, workers_lost: events so far.
        in_flight: units under way.
        units: the longest of them.
        nodes: by node.
        rate_seconds: length of time up to now that the rates are about.
        networks_per_second, blocks_per_minute: rates.
        seconds_left: estimate from the cost model and the speed so far, None where nothing is known yet.
    """

    run: str
    state: DriverState
    reason: str = ""
    beat: int
    beat_seconds: float
    host: str
    pid: int
    machine: str
    process: str
    executor: str
    started: datetime
    written: datetime
    seconds: float
    workers: int
    blocks_done: int
    networks: int
    blocks_failed: int
    blocks_retried: int
    workers_lost: int
    in_flight: int
    units: tuple[UnitInFlight, ...] = ()
    nodes: tuple[NodeLoad, ...] = ()
    rate_seconds: float
    networks_per_second: float
    blocks_per_minute: float
    seconds_left: float | None = None


def heartbeat_name(paths: Paths) -> str:
    """Name of the heartbeat in the storage."""
    return f"{paths.run}/driver.json"


def read_heartbeat(paths: Paths) -> Heartbeat | None:
    """The heartbeat of the store's last driver; None where there is none, or something else in its place."""
    try:
        return Heartbeat.model_validate_json(paths.storage.read(heartbeat_name(paths)))
    except (FileNotFoundError, ValidationError):
        return None


@dataclass(frozen=True)
class Verdict:
    """What is known of a driver.

    Attributes:
        life: `alive`, `ended` (it said so), `gone` (without a word), or `unknown` until it has been watched for long
            enough.
        told_by: what tells it.
    """

    life: Literal["alive", "ended", "gone", "unknown"]
    told_by: str


class Listener:
    """Finds out, in one look or several, whether a driver is alive."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None
        self._since = 0.0
        self._changed = False

    def hear(self, beat: Heartbeat, stamp: datetime | None) -> Verdict:
        """Judge a heartbeat that was just read; `stamp` is the storage's time of its last change."""
        if beat.state != "running":
            return Verdict("ended", "its last heartbeat")
        alive = is_alive(beat.pid, beat.machine, beat.process)
        if alive is not None:
            return Verdict("alive" if alive else "gone", "its process on this machine")
        if stamp is not None and datetime.now(UTC) - stamp > LONG_AGO:
            return Verdict("gone", "a heartbeat that is more than a day old")
        now, number = time.monotonic(), (beat.run, beat.beat)
        if number != self._last:
            self._changed = self._last is not None
            self._last, self._since = number, now
        patience = MISSED_BEATS * min(max(beat.beat_seconds, 0.05), 60.0)
        if now - self._since > patience:
            return Verdict("gone", f"no heartbeat in {patience:.0f} s of watching")
        if self._changed:
            return Verdict("alive", "its heartbeat, which changed while watched")
        return Verdict("unknown", "one look at its heartbeat")
