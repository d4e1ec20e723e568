"""zarr's store over obstore, whose requests are repeated where obstore gives up although the server may be well."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import ObjectStore

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from limitbench.sweep.object_storage import ObjectStorage

T = TypeVar("T")


class PersistentStore(ObjectStore):
    """Everything under the root of `storage`. Pickled without credentials, as the storage is."""

    def __init__(self, storage: ObjectStorage, *, read_only: bool = False) -> None:
        super().__init__(storage.store, read_only=read_only)
        self._storage = storage

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._storage, self.read_only)

    def with_read_only(self, read_only: bool = False) -> PersistentStore:
        """The same objects under another right."""
        return PersistentStore(self._storage, read_only=read_only)

    async def _persistently(self, request: Callable[[], Awaitable[T]]) -> T:
        from obstore.exceptions import GenericError

        from limitbench.sweep.object_failure import is_final

        pauses = self._storage.pauses()
        while True:
            try:
                return await request()
            except GenericError as error:
                pause = None if is_final(error) else next(pauses, None)
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Content of an object, None where there is none."""
        return await self._persistently(lambda: super(PersistentStore, self).get(key, prototype, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> builtins.list[Buffer | None]:
        """Parts of objects."""
        ranges = tuple(key_ranges)
        return await self._persistently(lambda: super(PersistentStore, self).get_partial_values(prototype, ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is an object of this name."""
        return await self._persistently(lambda: super(PersistentStore, self).exists(key))

    async def getsize(self, key: str) -> int:
        """Bytes of an object."""
        return await self._persistently(lambda: super(PersistentStore, self).getsize(key))

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object."""
        await self._persistently(lambda: super(PersistentStore, self).set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write an object where there is none."""
        await self._persistently(lambda: super(PersistentStore, self).set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        """Remove an object where it exists."""
        self._check_writable()
        await asyncio.to_thread(self._storage.remove, key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove every object under `prefix`."""
        self._check_writable()
        await asyncio.to_thread(self._storage.remove_all, prefix)

    async def list(self) -> AsyncGenerator[str, None]:
        """Names of all objects."""
        async for name in self.list_prefix(""):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:
        """Names of the objects under `prefix`."""
        for name in await asyncio.to_thread(lambda: [entry.name for entry in self._storage.entries(prefix)]):
            yield name

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        """Names directly under `prefix`, folders among them."""
        for name in await asyncio.to_thread(self._storage.children, prefix):
            yield name


def _remade(storage: ObjectStorage, read_only: bool) -> PersistentStore:
    return PersistentStore(storage, read_only=read_only)
