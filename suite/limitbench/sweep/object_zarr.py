"""zarr's store over obstore, whose listings and deletions are repeated where obstore leaves that to its caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from zarr.storage import ObjectStore

if TYPE_CHECKING:
    from limitbench.sweep.object_storage import ObjectStorage


class PersistentStore(ObjectStore):
    """Everything under the root of `storage`. Reads and writes are zarr's own: obstore repeats those by itself."""

    def __init__(self, storage: ObjectStorage, *, read_only: bool = False) -> None:
        super().__init__(storage.store, read_only=read_only)
        self._storage = storage

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self._storage, self.read_only)

    def with_read_only(self, read_only: bool = False) -> PersistentStore:
        """The same objects under another right."""
        return PersistentStore(self._storage, read_only=read_only)

    async def delete(self, key: str) -> None:
        """Remove an object where it exists."""
        self._check_writable()
        await asyncio.to_thread(self._storage.remove, key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove every object under `prefix`."""
        self._check_writable()
        await asyncio.to_thread(self._storage.remove_all, prefix)

    async def list(self) -> AsyncGenerator[str, None]:  # type: ignore[override]
        """Names of all objects."""
        async for name in self.list_prefix(""):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncGenerator[str, None]:  # type: ignore[override]
        """Names of the objects under `prefix`."""
        for name in await asyncio.to_thread(lambda: [entry.name for entry in self._storage.entries(prefix)]):
            yield name

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:  # type: ignore[override]
        """Names directly under `prefix`, folders among them."""
        for name in await asyncio.to_thread(self._storage.children, prefix):
            yield name


def _remade(storage: ObjectStorage, read_only: bool) -> PersistentStore:
    return PersistentStore(storage, read_only=read_only)
