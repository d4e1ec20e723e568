"""A storage in this process' memory: for tests that need thousands of stores, or the content of one as a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from limitbench.errors import InputError
from limitbench.sweep.lock import FileLock
from limitbench.sweep.storage import Entry, Held, Storage, check_name

if TYPE_CHECKING:
    from zarr.abc.store import Store
    from zarr.core.buffer import Buffer


@dataclass(frozen=True, eq=False)
class MemoryStorage(Storage):
    """Objects in a dictionary.

    Attributes:
        objects: content by name.
        drivers: names of the studies that are being driven.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    drivers: set[str] = field(default_factory=set)

    @property
    def root(self) -> str:
        """A name that is no path."""
        return "memory:"

    def zarr(self, folder: str, *, read_only: bool = False) -> Store:
        """zarr's own store in memory, on the objects under `folder`."""
        from zarr.storage import MemoryStore

        return MemoryStore(_Under(self.objects, f"{check_name(folder)}/"), read_only=read_only)

    def read(self, name: str) -> bytes:
        """Content of an object."""
        try:
            return self.objects[check_name(name)]
        except KeyError:
            raise FileNotFoundError(name) from None

    def write(self, name: str, data: bytes) -> None:
        """Replace an object."""
        self.objects[check_name(name)] = data

    def create(self, name: str, data: bytes) -> bool:
        """Make an object: one step of the dictionary, so that one of two threads succeeds."""
        return self.objects.setdefault(check_name(name), data) is data

    def remove(self, name: str) -> None:
        """Forget an object."""
        self.objects.pop(check_name(name), None)

    def remove_all(self, folder: str) -> None:
        """Forget the objects under `folder`."""
        for entry in self.entries(folder):
            self.remove(entry.name)

    def entries(self, folder: str) -> Iterator[Entry]:
        """Sorted by name; all changed at the beginning of time."""
        for name, data in sorted(self.objects.items()):
            if name.startswith(f"{check_name(folder)}/"):
                yield Entry(name, len(data), datetime.fromtimestamp(0, UTC))

    def folders(self) -> list[str]:
        """First parts of names."""
        return sorted({name.split("/")[0] for name in self.objects if "/" in name})

    def sizes(self, folder: str) -> Callable[[str], int | None]:
        """One look at the dictionary for each question."""
        return lambda name: len(self.objects[name]) if name in self.objects else None

    def check_writable(self) -> None:
        """Always writable."""

    @contextmanager
    def exclusive(self, study: str) -> Iterator[Held]:
        """A name in `drivers`."""
        if study in self.drivers:
            raise InputError("out", self.root, f"a storage where no other run of {study} is going on")
        self.drivers.add(study)
        try:
            yield FileLock()
        finally:
            self.drivers.discard(study)

    def failure(self, error: BaseException) -> str | None:
        """What the operating system says: of a wrapper's errors, there are none of its own."""
        return error.strerror if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) else None


class _Under(MutableMapping[str, "Buffer"]):
    """The objects whose names begin with `prefix`, as zarr's buffers by the rest of the name."""

    def __init__(self, objects: dict[str, bytes], prefix: str) -> None:
        self._objects, self._prefix = objects, prefix

    def __getitem__(self, key: str) -> Buffer:
        from zarr.core.buffer.cpu import Buffer

        return Buffer.from_bytes(self._objects[self._prefix + key])

    def __setitem__(self, key: str, value: Buffer) -> None:
        self._objects[self._prefix + key] = value.to_bytes()

    def __delitem__(self, key: str) -> None:
        del self._objects[self._prefix + key]

    def __iter__(self) -> Iterator[str]:
        return (name[len(self._prefix) :] for name in list(self._objects) if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return self._prefix + str(key) in self._objects
