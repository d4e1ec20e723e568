"""One driver a store: a file lock that the operating system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from limitbench.errors import InputError
from limitbench.sweep.store import Paths


@contextmanager
def exclusive(paths: Paths) -> Iterator[None]:
    """Holds the store's lock inside; the lock file is gone afterwards.

    It works between processes of one machine, and between machines where the file system passes locks on.

    Raises:
        InputError: another run holds it.
    """
    paths.out.mkdir(parents=True, exist_ok=True)
    file = paths.out / f".{paths.study}.lock"
    while True:
        handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise InputError(
                "out", str(paths.out), f"a directory where no other run of {paths.study} is going on"
            ) from None
        try:
            current = os.stat(file).st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            current = False
        if current:
            break
        os.close(handle)  # its holder removed the file between our two calls
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)
