"""A limit on the memory that a worker takes while it does one block, so that a greedy block is a failed attempt.

The system refuses allocations beyond the limit, which Python, numpy and torch report as errors that can be caught; a
watch on the memory really held stops what the refusal does not cover (shared mappings). Linux only.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GIB = 2**30
#: Time between two looks at the memory held.
LOOK_SECONDS = 0.2
#: Time that a block over the limit has to end by an exception; then its process is killed.
GRACE_SECONDS = 10.0
#: What those say that raise no `MemoryError`: torch on the CPU, and on a GPU; a thread without room for its stack.
REFUSED = re.compile(
    r"can't allocate memory|Cannot allocate memory|std::bad_alloc|CUDA out of memory|can't start new thread",
    re.IGNORECASE,
)


@contextmanager
def memory_limit(gib: float | None) -> Iterator[None]:
    """At most `gib` GiB more than now inside; None for no limit.

    Raises:
        MemoryError: more was asked for, inside; the message says so and names the limit.
    """
    held = _status() if gib is not None else {}
    if gib is None or not held:
        yield
        return
    import resource

    reason = f"the block takes more than {gib:g} GiB of memory (--block-memory)"
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [held["VmData"] + int(gib * GIB), *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    watch = _Watch(_resident(held) + int(gib * GIB))
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        with watch:
            yield
    except Exception as error:
        if isinstance(error, MemoryError) or REFUSED.search(str(error)):
            raise MemoryError(reason) from None
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class _Watch:
    """Raises `MemoryError` in the thread that entered it once the process holds more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._thread = threading.Thread(target=self._look, name="memory watch", daemon=True)
        self._over, self._ended = threading.Event(), threading.Event()
        self._watched = 0

    def __enter__(self) -> None:
        self._watched = threading.get_ident()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._over.is_set():  # whether or not it has been raised by now, it must not be raised outside
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watched), None)

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if _resident(_status()) > self._most:
                self._over.set()
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watched), ctypes.py_object(MemoryError))
                if not self._ended.wait(GRACE_SECONDS):
                    os.kill(os.getpid(), signal.SIGKILL)
                return


def _status() -> dict[str, int]:
    """Memory of this process in bytes, by the names of /proc; empty where the system has none."""
    try:
        with open("/proc/self/status") as file:
            lines = [line.split() for line in file if line.startswith(("VmData:", "RssAnon:", "RssShmem:"))]
    except OSError:
        return {}
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines}


def _resident(held: dict[str, int]) -> int:
    return held.get("RssAnon", 0) + held.get("RssShmem", 0)
