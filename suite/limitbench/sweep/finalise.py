"""The single writer that ends a run: status of every cell, claims, gathered metadata."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.studies.evidence import missing
from limitbench.sweep.cell_status import run_table as run_table
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import consolidate, open_root, open_study, set_finalised, write_coordinate

if TYPE_CHECKING:
    from limitbench.studies.base import Claim, Study

CLAIM_FIELDS = ("predicted", "measured", "se", "distance", "seconds")


def finalise(study: Study, paths: Paths, spec: Spec) -> None:
    """Write `/run` and `/claims` from markers and scores, then gather the metadata.

    Readers must not rely on either meanwhile: `set_finalised(paths, False)` comes before.
    """
    root = open_root(paths, consolidated=False, read_only=False)
    done, failed = read_markers(paths, DONE), read_markers(paths, FAILED)
    for name, values in run_table(spec, done, failed).items():
        root[f"run/{name}"][...] = values  # type: ignore[index]
    tree = open_study(paths)
    try:
        claims = study.claims(tree)
    except Exception as error:  # a defect of a ledger must not cost a finished run
        if paths.storage.failure(error):
            raise
        text = f"The ledger could not be computed: {type(error).__name__}: {error}."
        claims = [missing("ledger", text, math.nan, "a mended study; the same command computes it again")]
    finally:
        tree.close()
    paths.storage.write_many({f"{paths.store}/{name}": data for name, data in _claims_objects(claims).items()})
    consolidate(root.store)
    set_finalised(paths, True)


def _claims_objects(claims: list[Claim]) -> dict[str, bytes]:
    """The objects of the group `claims` by name: each array is one chunk, which replaces that of an earlier run."""
    import zarr
    from zarr.storage import MemoryStore

    objects: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(objects)).create_group("claims")
    write_coordinate(group, "claim", ("claim",), np.array([claim.name for claim in claims], dtype=object))
    for field in CLAIM_FIELDS:
        write_coordinate(
            group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype="float64")
        )
    for field in ("verdict", "relation", "text", "command"):
        write_coordinate(group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype=object))
    return {name: data.to_bytes() for name, data in objects.items() if name.startswith("claims/")}
