"""The single writer that ends a run: status of every cell, claims, gathered metadata."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.evidence import missing
from limitbench.sweep.cell_status import run_table as run_table
from limitbench.sweep.intact import damaged_chunks
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.results import open_study
from limitbench.sweep.spec import Spec
from limitbench.sweep.storage import Held
from limitbench.sweep.store import consolidate, metadata, read_root, write_coordinate

if TYPE_CHECKING:
    from limitbench.studies.base import Claim, Study

CLAIM_FIELDS = ("predicted", "measured", "se", "distance", "seconds")


def finalise(study: Study, paths: Paths, spec: Spec, held: Held) -> list[str]:
    """Write `/run` and `/claims` from markers and scores; names of chunks that turned out damaged and were removed.

    Where there are such, nothing is written: the units that they belong to are to do again. Readers must not rely on
    either group meanwhile: `mark_unfinished` comes before. Both are made in memory and written whole; the
    object of the root, which holds all metadata, comes last.
    """
    table = run_table(spec, read_markers(paths, DONE), read_markers(paths, FAILED))
    try:
        tree = open_study(paths, table)
    except InputError:
        if damaged := _remove_damaged(paths):
            return damaged
        raise
    try:
        claims = study.claims(tree)
    except Exception as error:  # a defect of a ledger must not cost a finished run
        if paths.storage.failure(error):
            raise
        if damaged := _remove_damaged(paths):
            return damaged
        text = f"The ledger could not be computed: {type(error).__name__}: {error}."
        claims = [missing("ledger", text, math.nan, "a mended study; the same command computes it again")]
    finally:
        tree.close()
    held.check(ask=True)  # claims may have taken long
    _, attributes = read_root(paths)
    objects = {
        f"{paths.store}/{name}": data
        for name, data in _objects(spec, str(attributes.get("created", "")), table, claims).items()
    }
    root = objects.pop(paths.root)
    paths.storage.write_many(objects)
    held.check(ask=True)
    paths.storage.write(paths.root, root)
    return []


def _remove_damaged(paths: Paths) -> list[str]:
    damaged = damaged_chunks(paths)
    for name in damaged:
        paths.storage.remove(f"{paths.store}/{name}")
    return damaged


def _objects(spec: Spec, created: str, table: dict[str, np.ndarray], claims: list[Claim]) -> dict[str, bytes]:
    """The objects of the groups `run` and `claims` and of the root, by name: every array is one chunk."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    buffer = default_buffer_prototype().buffer
    objects: dict[str, Any] = {name: buffer.from_bytes(data) for name, data in metadata(spec, created).items()}
    root = zarr.open_group(MemoryStore(objects), mode="r+", zarr_format=3, use_consolidated=False)
    with zarr.config.set({"array.write_empty_chunks": True}):  # each replaces that of an earlier run
        for name, values in table.items():
            root[f"run/{name}"][...] = values  # type: ignore[index]
        group = root.create_group("claims")
        write_coordinate(group, "claim", ("claim",), np.array([claim.name for claim in claims], dtype=object))
        for field in CLAIM_FIELDS:
            numbers = np.array([getattr(claim, field) for claim in claims], dtype="float64")
            write_coordinate(group, field, ("claim",), numbers)
        for field in ("verdict", "relation", "text", "command", "reference"):
            words = np.array([getattr(claim, field) for claim in claims], dtype=object)
            write_coordinate(group, field, ("claim",), words)
    root.attrs["finalised"] = True
    consolidate(root.store)
    made = {name: data.to_bytes() for name, data in objects.items()}
    return {name: data for name, data in made.items() if name.split("/")[0] in ("run", "claims", "zarr.json")}
