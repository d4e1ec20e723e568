"""The arrays of a store as a worker sees them: it writes the chunks of one column, and reads them back.

The metadata come from the root's one object, which never changes while a run goes on; the group is kept open from unit
to unit as long as that object is the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.storage import WrapperStore

from limitbench.sweep.paths import Paths
from limitbench.sweep.store import chunk_path

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store
    from zarr.core.buffer import Buffer


class _Measured(WrapperStore["Store"]):
    """Remembers the bytes of every object that is written: what a resumed run compares with what it finds."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.sizes: dict[str, int] = {}

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object."""
        await super().set(key, value)
        self.sizes[key] = len(value)


class Chunks:
    """The chunks of the store at `paths`; `layout` is what the spec of the run calls for.

    Raises:
        RuntimeError: the store was laid out anew by another run.
        StoreError: the storage fails.
    """

    def __init__(self, paths: Paths, layout: str) -> None:
        self._paths, self._layout = paths, layout
        with paths.storage.guarded():
            self._group, self._store = _opened(paths, self._root())

    def _root(self) -> bytes:
        """The root's object, which must be of the right layout."""
        data = self._paths.storage.read(self._paths.root)
        if (data, self._layout) != _last.get("fitting"):  # that of a large grid takes long to parse
            if json.loads(data)["attributes"]["layout"] != self._layout:
                raise RuntimeError("the store was laid out anew by another run; this worker's chunks are no part of it")
            _last["fitting"] = (data, self._layout)
        return data

    def write(
        self, arrays: Mapping[str, np.ndarray], position: tuple[int, ...], block: slice | None = None
    ) -> dict[str, int]:
        """Write a column's part of `arrays`, its samples `block` where given; bytes of each chunk."""
        trailing = (slice(None), block) if block is not None else (...,)
        place = (*(slice(i, i + 1) for i in position), *trailing)
        self._store.sizes.clear()
        with self._paths.storage.guarded():
            self._root()
            for name, values in arrays.items():
                self._group[name][place] = values.reshape((1,) * len(position) + values.shape)  # type: ignore[index]
        sizes = {key: size for key, size in self._store.sizes.items() if "/c/" in key}
        ends = (0, 0) if block is None else (block.start // (block.stop - block.start),)
        return {name: sizes[chunk_path(name, position, *ends)] for name in arrays}

    def read(self, array: str, position: tuple[int, ...], block: slice) -> np.ndarray:
        """Samples `block` of a column, dims (depth, samples)."""
        with self._paths.storage.guarded():
            return np.asarray(self._group[array][(*position, slice(None), block)])  # type: ignore[index]


_last: dict[str, Any] = {}


def _opened(paths: Paths, root: bytes) -> tuple[zarr.Group, _Measured]:
    key = (paths, root)
    if _last.get("key") != key:
        import zarr

        # Blocks of NaN must exist too, and zarr's own threads would multiply with the workers.
        zarr.config.set({"array.write_empty_chunks": True, "async.concurrency": 1, "threading.max_workers": 1})
        store = _Measured(paths.storage.zarr(paths.store))
        group = zarr.open_group(store, mode="r+", zarr_format=3, use_consolidated=True)
        _last.update(key=key, opened=(group, store))
    opened: tuple[zarr.Group, _Measured] = _last["opened"]
    return opened
