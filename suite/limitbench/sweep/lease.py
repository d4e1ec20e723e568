"""One driver a store where no operating system keeps locks: an object that its holder renews every few seconds.

A lease that stays the same for `TTL_SECONDS` on its watcher's own clock may be taken over, by a write that succeeds
only on the very state that was watched. Clocks of two machines are never compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from limitbench.errors import InputError, StoreError
from limitbench.sweep.process import is_alive, this_process

if TYPE_CHECKING:
    from limitbench.sweep.object_storage import ObjectStorage, Version

#: Seconds between renewals, and without one after which another driver may take over.
RENEW_SECONDS, TTL_SECONDS = 10.0, 60.0
#: Seconds between two looks at the lease of another driver.
LOOK_SECONDS = 1.0

_log = logging.getLogger("limitbench")


class Lease:
    """The right to drive the store of `study`, from `acquire` to `release`."""

    def __init__(self, storage: ObjectStorage, study: str) -> None:
        self._storage, self._study, self._name = storage, study, f".{study}.lock"
        self._record: dict[str, Any] = {
            "owner": uuid.uuid4().hex,
            **this_process(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "renewals": 0,
        }
        self._version: Version | None = None
        self._renewed, self._lost = 0.0, ""
        self._turn, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {self._name}", daemon=True)

    def acquire(self) -> None:
        """Take the lease: at once where it is free or its holder is a dead process of this machine.

        Raises:
            InputError: another driver renewed it while this one was watching.
        """
        watched: Version | None = None
        since = 0.0
        while True:
            found = self._find(self._storage)
            if found is not None:
                record, version = found
                if watched is None:
                    watched, since = version, _now()
                    if not _is_dead(record):
                        text = "%s may be driving %s in %s: waiting up to %.0f s for a sign of life"
                        _log.warning(text, _who(record), self._study, self._storage.root, TTL_SECONDS)
                elif version != watched:
                    renewed = f"renewed less than {LOOK_SECONDS + 1:.0f} s ago"
                    accepted = f"a place where no other run of {self._study} is going on ({_who(record)}, {renewed})"
                    raise InputError("out", self._storage.root, accepted)
                if not _is_dead(record) and _now() - since < TTL_SECONDS:
                    time.sleep(LOOK_SECONDS)
                    continue
            if self._write(self._storage, found[1] if found else None):
                break
        self._thread.start()

    def check(self, *, ask: bool = False) -> None:
        """Raises `StoreError` where the lease was lost; the store is asked where it could have been.

        A process that was stopped for a while finds out here, before it writes anything else.
        """
        if not self._lost and (ask or _now() - self._renewed > TTL_SECONDS):
            self._renew(self._storage)
        if self._lost:
            raise StoreError(self._lost)

    def release(self) -> None:
        """Give the lease back; one that could not be renewed lately is left to run out."""
        self._end.set()
        self._thread.join()
        if not self._lost and _now() - self._renewed < TTL_SECONDS / 2:
            with self._unless_out_of_reach():
                self._storage.hasty.remove(self._name)

    def _keep(self) -> None:
        while not self._lost and not self._end.wait(RENEW_SECONDS):
            with self._unless_out_of_reach():
                self._renew(self._storage.hasty)

    def _renew(self, storage: ObjectStorage) -> None:
        with self._turn:
            self._record["renewals"] += 1
            if self._write(storage, self._version):
                return
            # An earlier renewal may have come through without our knowing, or a late deletion of a former holder.
            found = self._find(storage)
            if found is None:
                lasts = _now() - self._renewed < TTL_SECONDS
                other = None if lasts and self._write(storage, None) else "one that has ended"
            else:
                ours = found[0].get("owner") == self._record["owner"]
                other = None if ours and self._write(storage, found[1]) else _who(found[0])
            if other is not None:
                self._lost = (
                    f"another run of {self._study} in {storage.root} took over while this one was out of touch"
                    f" ({other}); finished blocks are kept"
                )

    def _write(self, storage: ObjectStorage, version: Version | None) -> bool:
        began = _now()
        written = storage.put_if(self._name, json.dumps(self._record, sort_keys=True).encode(), version)
        if written is None:
            return False
        self._version, self._renewed = written, began
        return True

    def _find(self, storage: ObjectStorage) -> tuple[dict[str, Any], Version] | None:
        try:
            data, version = storage.find(self._name)
        except FileNotFoundError:
            return None
        try:
            record = json.loads(data)
        except ValueError:
            record = {}
        return (record if isinstance(record, dict) else {}), version

    @contextlib.contextmanager
    def _unless_out_of_reach(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._storage.failure(error) is None:
                raise


@contextmanager
def leased(storage: ObjectStorage, study: str) -> Iterator[Lease]:
    """Holds the lease of the study's store inside; see `Lease.acquire`."""
    lease = Lease(storage, study)
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()


def _now() -> float:
    """Seconds of a clock that goes on while this process is stopped and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _who(record: dict[str, Any]) -> str:
    return f"{record.get('host', 'unknown host')}, pid {record.get('pid', 'unknown')}"


def _is_dead(record: dict[str, Any]) -> bool:
    """Whether the holder is known to have ended: only of processes that this one can see."""
    pid, machine, began = (record.get(name) for name in ("pid", "machine", "process"))
    return isinstance(pid, int) and is_alive(pid, str(machine or ""), str(began or "")) is False
