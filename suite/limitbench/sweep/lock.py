"""One driver a store: a file lock that the operating system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limitbench.errors import InputError

#: Times that a folder may vanish before its lock file is made.
MOST_VANISHED = 20


class FileLock:
    """A lock that the operating system keeps: it cannot be lost."""

    def check(self, *, ask: bool = False) -> None:
        """Nothing to check."""


@contextmanager
def locked(folder: Path, study: str) -> Iterator[FileLock]:
    """Holds the lock of the study's store inside; the lock file is gone afterwards.

    It works between processes of one machine, and between machines where the file system passes locks on.

    Raises:
        InputError: another run holds it, or the file system keeps no locks.
    """
    file, vanished = folder / f".{study}.lock", 0
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            made = not file.exists()
            handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:  # another driver that looked whether it can write here removed what it had made
            vanished += 1
            if vanished > MOST_VANISHED:
                raise
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            accepted = f"a directory where no other run of {study} is going on"
            if not isinstance(error, BlockingIOError):
                if made:
                    file.unlink(missing_ok=True)
                accepted = f"a directory on a file system that keeps locks (flock: {error.strerror})"
            raise InputError("out", str(folder), accepted) from None
        try:
            current = os.stat(file).st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            current = False
        if current:
            break
        os.close(handle)  # its holder removed the file between our two calls
    try:
        yield FileLock()
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)
