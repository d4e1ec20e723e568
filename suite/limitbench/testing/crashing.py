"""A storage that crashes, fails or stops at a chosen write: every change of an object goes through one fuse.

Nothing is left out: what zarr writes and removes counts like every other write, and a folder is removed object by
object, in any order, as it happens in real storages.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zarr.storage import WrapperStore

from limitbench.sweep.storage import Entry, Held, Storage

if TYPE_CHECKING:
    from zarr.abc.store import Store
    from zarr.core.buffer import Buffer

Condition = Callable[[str], bool]


class Crash(BaseException):
    """The process died: no handler of exceptions may catch it, and nothing is written after it."""


class Fuse:
    """Lets writes through until a chosen one, then raises at it and at all that follow, or waits once.

    Use `blow` or `hold` to choose the write, `mend` to let everything through again.

    Attributes:
        written: names of the objects that were written, in order; removals are left out.
    """

    def __init__(self) -> None:
        self.written: list[str] = []
        self._go = threading.Event()
        self.reached = threading.Event()
        self.mend()

    def mend(self) -> None:
        """Let everything through."""
        self._left: int | None = None
        self._error: BaseException | None = None
        self.blown = False
        self._of: Condition = _any
        self._go.set()

    def blow(self, after: int, error: BaseException | None = None, of: Condition | None = None) -> None:
        """Raise `error`, a `Crash` if left out, instead of the write that follows `after` others; `of` picks writes."""
        self.mend()
        self._left, self._error, self._of = after, error or Crash(), of or _any

    def hold(self, after: int) -> None:
        """Wait for `release` before the write that follows `after` others."""
        self.mend()
        self._left = after
        self._go.clear()
        self.reached.clear()

    def release(self) -> None:
        """Let a write that waits go on."""
        self._go.set()

    def pass_by(self, name: str, *, removal: bool = False) -> None:
        """Called before every change of `name`."""
        if self._waits(name, removal):
            self._go.wait()

    async def pass_by_later(self, name: str, *, removal: bool = False) -> None:
        """`pass_by` for an event loop, which must go on meanwhile; its one pool thread must stay free too."""
        if self._waits(name, removal):
            while not self._go.is_set():
                await asyncio.sleep(0.001)

    def _waits(self, name: str, removal: bool) -> bool:
        if self.blown and self._error is not None:
            raise self._error
        chosen = False
        if self._left is not None and self._of(name):
            self._left -= 1
            chosen = self._left < 0
        if chosen:
            self.blown, self._left = True, None
            if self._error is not None:
                raise self._error
            self.reached.set()
        if not removal:
            self.written.append(name)
        return chosen


def _any(name: str) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class CrashingStorage(Storage):
    """`inner`, with every write through `fuse`."""

    inner: Storage
    fuse: Fuse = field(default_factory=Fuse)

    @property
    def root(self) -> str:
        """As inside."""
        return self.inner.root

    def zarr(self, folder: str, *, read_only: bool = False) -> Store:
        """The inner zarr store, whose writes pass the fuse too."""
        return _Fused(self.inner.zarr(folder, read_only=read_only), self.fuse, folder)

    def read(self, name: str) -> bytes:
        """As inside."""
        return self.inner.read(name)

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """As inside."""
        return self.inner.read_many(names)

    def write(self, name: str, data: bytes) -> None:
        """One write."""
        self.fuse.pass_by(name)
        self.inner.write(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """One write."""
        self.fuse.pass_by(name)
        return self.inner.create(name, data)

    def write_many(self, objects: Mapping[str, bytes]) -> None:
        """One write for each, in no order that could be relied on."""
        names = list(objects)
        random.Random(len(names)).shuffle(names)
        for name in names:
            self.write(name, objects[name])

    def remove(self, name: str) -> None:
        """One write."""
        self.fuse.pass_by(name, removal=True)
        self.inner.remove(name)

    def remove_all(self, folder: str) -> None:
        """One write for each object, in no order that could be relied on."""
        names = [entry.name for entry in self.inner.entries(folder)]
        random.Random(len(names)).shuffle(names)
        for name in names:
            self.remove(name)
        self.inner.remove_all(folder)

    def entries(self, folder: str) -> Iterator[Entry]:
        """As inside."""
        return self.inner.entries(folder)

    def folders(self) -> list[str]:
        """As inside."""
        return self.inner.folders()

    def sizes(self, folder: str) -> Callable[[str], int | None]:
        """As inside."""
        return self.inner.sizes(folder)

    def check_writable(self) -> None:
        """As inside."""
        self.inner.check_writable()

    def exclusive(self, study: str) -> AbstractContextManager[Held]:
        """As inside."""
        return self.inner.exclusive(study)

    def failure(self, error: BaseException) -> str | None:
        """As inside."""
        return self.inner.failure(error)

    def sweep(self, folder: str) -> int:
        """As inside."""
        return self.inner.sweep(folder)


class _Fused(WrapperStore["Store"]):
    def __init__(self, store: Store, fuse: Fuse, folder: str) -> None:
        super().__init__(store)
        self._fuse, self._folder = fuse, folder

    def _with_store(self, store: Store) -> Any:
        return _Fused(store, self._fuse, self._folder)

    async def _pass_by(self, key: str, *, removal: bool = False) -> None:
        await self._fuse.pass_by_later(f"{self._folder}/{key}", removal=removal)

    async def set(self, key: str, value: Buffer) -> None:
        await self._pass_by(key)
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        await self._pass_by(key)
        await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        await self._pass_by(key, removal=True)
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        for key in [key async for key in self._store.list_prefix(prefix)]:
            await self.delete(key)
