"""State of stores on disk, whole or half finished, from markers and metadata alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from limitbench.errors import InputError
from limitbench.sweep.layout import valid_markers
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.storage import open_storage
from limitbench.sweep.store import check_arrays, find_stores, read_root


@dataclass(frozen=True)
class StudyStatus:
    """State of one study's store.

    Attributes:
        study: name.
        cells: cells of the grid.
        blocks_done, blocks_failed, blocks_total: units of work, scores of columns among them.
        samples, samples_total: networks in the store, and those it is meant to hold.
        last_activity: time of the last marker, None where there is none.
        path: path or URL of the store.
    """

    study: str
    cells: int
    blocks_done: int
    blocks_failed: int
    blocks_total: int
    samples: int
    samples_total: int
    last_activity: datetime | None
    path: str


def status(directory: str | Path) -> list[StudyStatus]:
    """State of every store under `directory`, whole or half finished; reads markers and metadata only.

    Raises:
        InputError: no store there, or a store with damaged metadata.
        StoreError: the storage is out of reach.
    """
    storage = open_storage(directory)
    stores = find_stores(storage)
    if not stores:
        raise InputError("directory", str(directory), "an existing directory that holds a result store")
    found = []
    for paths in stores:
        spec, _ = read_root(paths)
        check_arrays(paths, spec)
        with storage.guarded():
            done, failed = valid_markers(paths, spec, spec), read_markers(paths, FAILED)
            times = [entry.modified for state in (DONE, FAILED) for entry in storage.entries(f"{paths.run}/{state}")]
        columns, size = list(spec.axis_grid().columns()), spec.meaning.block_samples
        total = sum(spec.samples[column.slug] // size + 1 for _, column in columns)
        found.append(
            StudyStatus(
                study=spec.meaning.study,
                cells=len(columns) * len(spec.axis_grid().values[-1]),
                blocks_done=len(done),
                blocks_failed=len(failed.keys() - done.keys()),
                blocks_total=total,
                samples=sum(marker.get("samples", 0) for marker in done.values()),
                samples_total=sum(spec.samples[column.slug] for _, column in columns),
                last_activity=max(times, default=None),
                path=paths.label,
            )
        )
    return found
