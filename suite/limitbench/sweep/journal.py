"""The driver's journal: a log of everything that happens in a run, and the heartbeat that says how it stands.

A thread of its own writes both every few seconds, so that neither costs the run more than a note on paper. A journal
that cannot be written never ends a run: the store says for itself what is wrong with it, and the run's notes say that
the journal has gaps.

The log is one line of JSON an event. Every line holds

    time   UTC, ISO 8601, by the driver's clock
    event  `run-started`, `run-ended`, or a kind of `limitbench.sweep.executors.Event`

`run-started` also holds study, spec_hash, host, pid, executor, versions (as markers do), units (to do at first) and
networks (to draw). `run-ended` also holds state, reason, seconds, blocks_done, blocks_failed, blocks_retried,
workers_lost and networks, as the heartbeat does. Events of workers and units hold worker, node, unit, attempt, seconds
and reason where they have them; the rest is in the unit's marker.

On a file system the log is a file that grows, `<study>.run/log/<run>.jsonl`. Object stores cannot append: there it is
`<run>.000000.jsonl`, `<run>.000001.jsonl`, ..., of some thousand lines each. A driver that is killed loses the lines of
its last few seconds. No environment and no credential is ever written.

The logger `limitbench` is given the same lines as they happen, as its records' attribute `limitbench`: workers that
come and go and attempts that begin or end well at level DEBUG, everything else at INFO.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from limitbench.errors import InputError, Stopped, StoreError
from limitbench.sweep import heartbeat
from limitbench.sweep.blocks import SampleUnit, Unit
from limitbench.sweep.event_log import open_log
from limitbench.sweep.executors import Event, Handler, Outcome, describe
from limitbench.sweep.heartbeat import DriverState, Heartbeat, heartbeat_name
from limitbench.sweep.process import this_process
from limitbench.sweep.storage import Held
from limitbench.sweep.tally import Tally
from limitbench.sweep.worker import Job, environment

#: Lines that are kept while the log cannot be written; older ones are given up.
MOST_LINES = 50_000
#: Events of the everyday.
_QUIET = ("unit-started", "unit-ended", "worker-started", "worker-stopped")

_logger = logging.getLogger("limitbench")


class Journal:
    """Listens to one run of `job`; use as a context manager around everything that the run does.

    Arguments:
        job: what the units share.
        units: what there is to do at first.
        work: seconds that the cost model expects of one worker for all that is to do.
        executor: its name.
        held: the right to drive the store: a driver that lost it leaves the heartbeat to the next one.
        note: told, at the end, that the journal has gaps.
    """

    def __init__(
        self, job: Job, units: Sequence[Unit], work: float, *, executor: str, held: Held, note: Callable[[str], None]
    ) -> None:
        began, process, seconds = datetime.now(UTC), this_process(), heartbeat.BEAT_SECONDS
        run = f"{began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self._held, self._note, self._seconds = held, note, seconds
        self._storage, self._place = job.paths.storage.hasty, heartbeat_name(job.paths)
        self._log = open_log(self._storage, f"{job.paths.run}/log/{run}")
        about = {**process, "run": run, "executor": executor, "started": began, "beat_seconds": seconds}
        self._tally = Tally(work, about)
        self._first = {
            "study": job.spec.meaning.study,
            "spec_hash": job.spec.meaning.hash,
            "host": process["host"],
            "pid": process["pid"],
            "executor": executor,
            "versions": environment("cpu")["versions"],
            "units": len(units),
            "networks": sum(unit.samples for unit in units if isinstance(unit, SampleUnit)),
        }
        self._lines: deque[dict[str, Any]] = deque()
        self._gap, self._replaced = "", False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="journal", daemon=True)

    def __enter__(self) -> Journal:
        self._add("run-started", self._first)
        self._write(self._tally.beat("running"))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        last = self._tally.beat(*self._ending(error))
        counts = ("blocks_done", "blocks_failed", "blocks_retried", "workers_lost", "networks")
        self._add("run-ended", {name: getattr(last, name) for name in ("state", "reason", "seconds", *counts)})
        self._write(last)
        if self._gap:
            self._note(f"the log and the heartbeat of this run have gaps: {self._gap}")

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        self._tally.count(event)
        fields = {
            "worker": event.worker,
            "node": event.node,
            "unit": event.unit,
            "attempt": event.attempt,
            "seconds": round(event.seconds, 4),
            "reason": event.reason,
        }
        self._add(event.kind, {name: value for name, value in fields.items() if value})

    def booking(self, handle: Handler) -> Handler:
        """`handle`, with every ended unit counted first."""

        def counted(outcome: Outcome) -> Iterable[Unit]:
            self._tally.book(outcome)
            return handle(outcome)

        return counted

    def _add(self, event: str, fields: dict[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
        self._lines.append(line)
        level = logging.DEBUG if event in _QUIET else logging.INFO
        if _logger.isEnabledFor(level):
            text = " ".join(f"{name}={value}" for name, value in fields.items())
            _logger.log(level, "%s %s", event, text, extra={"limitbench": line})

    def _keep_writing(self) -> None:
        wait = min(1.0, self._seconds)  # soon, so that a reader finds the first workers at work
        while not self._over.wait(wait):
            self._write(self._tally.beat("running"))
            wait = self._seconds

    def _write(self, beat: Heartbeat) -> None:
        """Write the fresh lines and the heartbeat; what fails is noted for the end, lines are tried again."""
        for write in (self._write_lines, lambda: self._write_beat(beat)):
            try:
                write()
            except Exception as error:
                self._gap = self._storage.failure(error) or describe(error)

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        try:
            self._log.add(lines)
        except Exception:
            self._lines.extendleft(reversed(lines[-MOST_LINES:]))
            raise

    def _write_beat(self, beat: Heartbeat) -> None:
        if self._replaced:
            return
        try:
            self._held.check()
        except StoreError:
            self._replaced = True
            raise
        self._storage.write(self._place, beat.model_dump_json().encode())

    def _ending(self, error: BaseException | None) -> tuple[DriverState, str]:
        if error is None:
            return "finished", ""
        if isinstance(error, KeyboardInterrupt):
            return "interrupted", "Ctrl-C"
        if isinstance(error, Stopped | InputError):
            return "stopped", str(error)
        failure = self._storage.failure(error)
        return ("stopped", failure) if failure else ("crashed", describe(error))
