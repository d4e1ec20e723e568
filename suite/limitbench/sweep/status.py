"""State of stores on disk, whole or half finished, from markers and metadata alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from limitbench.errors import InputError
from limitbench.sweep.layout import valid_markers
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.store import Paths, check_arrays, find_stores, read_spec


@dataclass(frozen=True)
class StudyStatus:
    """State of one study's store.

    Attributes:
        study: name.
        cells: cells of the grid.
        blocks_done, blocks_failed, blocks_total: units of work, scores of columns among them.
        samples, samples_total: networks in the store, and those it is meant to hold.
        last_activity: time of the last marker, None where there is none.
        path: the store.
    """

    study: str
    cells: int
    blocks_done: int
    blocks_failed: int
    blocks_total: int
    samples: int
    samples_total: int
    last_activity: datetime | None
    path: Path


def status(directory: str | Path) -> list[StudyStatus]:
    """State of every store under `directory`, whole or half finished; reads markers and metadata only.

    Raises:
        InputError: no such directory, no store in it, or a store with damaged metadata.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError("directory", str(folder), "an existing directory")
    stores = find_stores(folder)
    if not stores:
        raise InputError("directory", str(folder), "a directory that holds a result store")
    found = []
    for store in stores:
        spec, _ = read_spec(store)
        check_arrays(store, spec)
        paths = Paths(folder, store.name.removesuffix(".zarr"))
        done, failed = valid_markers(paths, spec, spec), read_markers(paths.run, FAILED)
        columns, size = list(spec.axis_grid().columns()), spec.meaning.block_samples
        total = sum(spec.samples[column.slug] // size + 1 for _, column in columns)
        times = [path.stat().st_mtime for state in (DONE, FAILED) for path in (paths.run / state).glob("*.json")]
        found.append(
            StudyStatus(
                study=spec.meaning.study,
                cells=len(columns) * len(spec.axis_grid().values[-1]),
                blocks_done=len(done),
                blocks_failed=len(failed),
                blocks_total=total,
                samples=sum(marker.get("samples", 0) for marker in done.values()),
                samples_total=sum(spec.samples[column.slug] for _, column in columns),
                last_activity=datetime.fromtimestamp(max(times), UTC) if times else None,
                path=store,
            )
        )
    return found
