"""Where a study's results lie in a storage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from limitbench.sweep.storage import Storage, is_url, open_storage


@dataclass(frozen=True)
class Paths:
    """Names of a study's results in `storage`."""

    storage: Storage
    study: str

    @property
    def store(self) -> str:
        """The zarr hierarchy."""
        return f"{self.study}.zarr"

    @property
    def root(self) -> str:
        """The metadata of the whole hierarchy: one object, written last, so that it is whole or absent."""
        return f"{self.store}/zarr.json"

    @property
    def run(self) -> str:
        """Markers, beside the hierarchy."""
        return f"{self.study}.run"

    @property
    def label(self) -> str:
        """Path or URL of the hierarchy, for messages."""
        return f"{self.storage.root.rstrip('/')}/{self.store}"


def paths_of(store: str | Path) -> Paths:
    """The paths of a store given as `OUT/<study>.zarr`."""
    if is_url(store):
        parent, _, name = str(store).rstrip("/").rpartition("/")
        return Paths(open_storage(parent), name.removesuffix(".zarr"))
    path = Path(os.path.abspath(store))
    return Paths(open_storage(path.parent), path.name.removesuffix(".zarr"))
