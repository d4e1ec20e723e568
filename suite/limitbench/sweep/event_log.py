"""Where a log's lines go: to the end of a file, or into numbered objects where nothing can be appended to."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from limitbench.sweep.storage import LocalStorage, Storage

#: Lines of a log's segment in an object store.
SEGMENT_LINES = 2000

Line = Mapping[str, Any]


@runtime_checkable
class Log(Protocol):
    """Takes lines, all or none."""

    def add(self, lines: Sequence[Line]) -> None:
        """Write lines behind those before; where this raises, none of them counts as written."""


def open_log(storage: Storage, name: str) -> Log:
    """The log called `name` in `storage`, without an ending; nothing is made."""
    return _File(storage, name) if isinstance(storage, LocalStorage) else _Segments(storage, name)


class _File:
    """One file that grows."""

    def __init__(self, storage: LocalStorage, name: str) -> None:
        self._path = storage.path(f"{name}.jsonl")

    def add(self, lines: Sequence[Line]) -> None:
        """Append; half a line, on a full disk, is taken back."""
        data = _encode(lines)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise


class _Segments:
    """Objects of about `SEGMENT_LINES` lines; the last one is written anew whenever there are more."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._number, self._lines, self._data = 0, 0, b""

    def add(self, lines: Sequence[Line]) -> None:
        """Write the last segment with the lines."""
        data = self._data + _encode(lines)
        self._storage.write(f"{self._name}.{self._number:06d}.jsonl", data)
        self._lines, self._data = self._lines + len(lines), data
        if self._lines >= SEGMENT_LINES:
            self._number, self._lines, self._data = self._number + 1, 0, b""


def _encode(lines: Sequence[Line]) -> bytes:
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
