"""The single writer that ends a run: status of every cell, claims, gathered metadata."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.evidence import missing
from limitbench.sweep.cell_status import run_table as run_table
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import consolidate, open_root, open_study, set_attributes, write_coordinate

if TYPE_CHECKING:
    from limitbench.studies.base import Claim, Study

CLAIM_FIELDS = ("predicted", "measured", "se", "distance", "seconds")


def finalise(study: Study, paths: Paths, spec: Spec) -> None:
    """Write `/run` and `/claims` from markers and scores, then gather the metadata."""
    root = open_root(paths, consolidated=False, read_only=False)
    done, failed = read_markers(paths, DONE), read_markers(paths, FAILED)
    for name, values in run_table(spec, done, failed).items():
        root[f"run/{name}"][...] = values  # type: ignore[index]
    try:
        tree = open_study(paths)
    except InputError:  # damaged claims, which are made anew below
        paths.storage.remove_all(f"{paths.store}/claims")
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
    _write_claims(root, claims)
    consolidate(root.store)
    set_attributes(paths, finalised=True)


def mark_unfinished(paths: Paths) -> None:
    """Say in the store that its group `run` is behind its markers, as it is while units are being done."""
    set_attributes(paths, finalised=False)


def _write_claims(root: Any, claims: list[Claim]) -> None:
    group = root.create_group("claims", overwrite=True)
    write_coordinate(group, "claim", ("claim",), np.array([claim.name for claim in claims], dtype=object))
    for field in CLAIM_FIELDS:
        write_coordinate(
            group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype="float64")
        )
    for field in ("verdict", "relation", "text", "command"):
        write_coordinate(group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype=object))
