"""The arrays of a store as a worker sees them: it writes the chunks of one column, and reads them back.

The metadata come from the root's one object, which never changes while a run goes on; the group is kept open from unit
to unit as long as that object is the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from zarr.core.sync import sync
from zarr.storage import WrapperStore

from limitbench.sweep.paths import Paths
from limitbench.sweep.store import chunk_path

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store
    from zarr.core.buffer import Buffer


class _Measured(WrapperStore["Store"]):
    """Remembers the bytes of every object that is written, until asked: a resumed run looks for as many."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._sizes: dict[str, int] = {}

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object."""
        await super().set(key, value)
        self._sizes[key] = len(value)

    def size(self, key: str) -> int:
        """Bytes of an object that was written, told once."""
        return self._sizes.pop(key)


class Chunks:
    """The chunks of the store at `paths`; `layout` is what the spec of the run calls for. Threads may share one.

    Raises:
        RuntimeError: the store was laid out anew by another run.
        StoreError: the storage fails.
    """

    def __init__(self, paths: Paths, layout: str) -> None:
        self._paths, self._layout = paths, layout

    def write(
        self, arrays: Mapping[str, np.ndarray], position: tuple[int, ...], block: slice | None = None
    ) -> dict[str, int]:
        """Write a column's part of `arrays`, its samples `block` where given; bytes of each chunk.

        The root is looked at before, whoever comes late writes nothing. All arrays are written at the same time.
        """
        trailing = (slice(None), block) if block is not None else (...,)
        place = (*(slice(i, i + 1) for i in position), *trailing)

        with self._paths.storage.guarded():
            opened = self._open()
            parts = [(opened.array(name), values[(None,) * len(position)]) for name, values in arrays.items()]
            sync(_write(parts, place))
        ends = (0, 0) if block is None else (block.start // (block.stop - block.start),)
        return {name: opened.store.size(chunk_path(name, position, *ends)) for name in arrays}

    def read(self, array: str, position: tuple[int, ...], block: slice) -> np.ndarray:
        """Samples `block` of a column, dims (depth, samples)."""
        with self._paths.storage.guarded():
            place: tuple[int | slice, ...] = (*position, slice(None), block)
            return np.asarray(self._opened.array(array)[place])

    @cached_property
    def _opened(self) -> _Opened:
        return self._open()

    def _open(self) -> _Opened:
        """The store by the root's object as it is now, which must be of the right layout."""
        global _last
        data = self._paths.storage.read(self._paths.root)
        key = (self._paths, self._layout, data)
        if _last is None or _last.key != key:  # the object of a large grid takes long to parse
            if json.loads(data)["attributes"]["layout"] != self._layout:
                raise RuntimeError("the store was laid out anew by another run; this worker's chunks are no part of it")
            _last = _Opened(key)
        return _last


async def _write(parts: Sequence[tuple[zarr.Array, np.ndarray]], place: Any) -> None:
    writes = (array.async_array.setitem(place, values) for array, values in parts)
    for error in await asyncio.gather(*writes, return_exceptions=True):  # none goes on behind our back
        if error is not None:
            raise error


class _Opened:
    """The arrays of a store as its root's object has them, each opened once."""

    def __init__(self, key: tuple[Paths, str, bytes]) -> None:
        import zarr

        # Blocks of NaN must exist too, and zarr's own threads would multiply with the workers.
        zarr.config.set({"array.write_empty_chunks": True, "async.concurrency": 1, "threading.max_workers": 1})
        paths, _, _ = self.key = key
        self.store = _Measured(paths.storage.zarr(paths.store))
        self._group = zarr.open_group(self.store, mode="r+", zarr_format=3, use_consolidated=True)
        self._arrays: dict[str, zarr.Array] = {}

    def array(self, name: str) -> zarr.Array:
        """An array by its path."""
        if name not in self._arrays:
            self._arrays[name] = cast("zarr.Array", self._group[name])
        return self._arrays[name]


#: What this process opened last.
_last: _Opened | None = None
