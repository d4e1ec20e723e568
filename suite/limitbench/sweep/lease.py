"""One driver a store where no operating system keeps locks: an object that its holder renews every few seconds.

A lease that has not changed for `TTL_SECONDS` on the watcher's own clock may be taken over, by a write that succeeds
only on the very state that was watched. Clocks of machines are never compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from limitbench.errors import InputError, StoreError

if TYPE_CHECKING:
    from limitbench.sweep.object_storage import ObjectStorage, Version

#: Seconds between renewals, and without one after which another driver may take over.
RENEW_SECONDS, TTL_SECONDS = 10.0, 60.0
#: Seconds between two looks at a lease of another driver.
LOOK_SECONDS = 1.0

_log = logging.getLogger("limitbench")


def _now() -> float:
    """A clock that goes on while this process is stopped and this machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """The right to drive the study's store in `storage`. Held from `acquire` to `release`."""

    def __init__(self, storage: ObjectStorage, study: str) -> None:
        self._storage, self._study, self._name = storage, study, f".{study}.lock"
        self._record: dict[str, Any] = {
            "owner": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process": _process(os.getpid()),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "renewals": 0,
        }
        self._version: Version | None = None
        self._renewed, self._lost = 0.0, ""
        self._turn, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease of {study}", daemon=True)

    def acquire(self) -> None:
        """Take the lease.

        Raises:
            InputError: another driver renewed it while this one was watching.
        """
        watched: Version | None = None
        since = 0.0
        while not self._take(watched if self._is_over(watched, since) else None):
            try:
                data, version = self._storage.find(self._name)
            except FileNotFoundError:
                watched = None
                continue
            other = _parse(data)
            if _is_dead(other):
                if self._take(version):
                    break
                continue
            if watched is None:
                _log.warning("waiting: %s may be driving %s; if not, this run starts in %.0f s at the latest", *...)
            time.sleep(LOOK_SECONDS)
