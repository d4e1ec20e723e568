"""The single writer that ends a run: status of every cell, claims, gathered metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.sweep.blocks import block_id, score_id
from limitbench.sweep.markers import DONE, FAILED, Marker, read_markers
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import STATUSES, Paths, consolidate, open_results, write_coordinate

if TYPE_CHECKING:
    from limitbench.studies.base import Claim, Study

CLAIM_FIELDS = ("predicted", "measured", "se", "seconds")


def finalise(study: Study, paths: Paths, spec: Spec) -> None:
    """Write `/run` and `/claims` from markers and scores, then gather the metadata."""
    import zarr

    root = zarr.open_group(paths.store, mode="r+", zarr_format=3, use_consolidated=False)
    done, failed = read_markers(paths.run, DONE), read_markers(paths.run, FAILED)
    for name, values in run_table(spec, done, failed).items():
        root[f"run/{name}"][...] = values  # type: ignore[index]
    tree = open_results(paths.store)
    try:
        claims = study.claims(tree)
    finally:
        tree.close()
    _write_claims(root, claims)
    consolidate(paths.store)


def run_table(spec: Spec, done: Mapping[str, Marker], failed: Mapping[str, Marker]) -> dict[str, np.ndarray]:
    """The variables of `/run`, dims (*axes) and for `skipped` (*axes, theory), from the markers of a run."""
    grid, theories = spec.axis_grid(), spec.meaning.theories
    shape, cells = grid.shape, grid.shape[-1]
    table: dict[str, np.ndarray] = {
        "n_samples": np.zeros(shape, dtype="int64"),
        "attempts": np.zeros(shape, dtype="int64"),
        "seconds": np.zeros(shape),
        "status": np.zeros(shape, dtype="int8"),
        "host": np.full(shape, "", dtype=object),
        "device": np.full(shape, "", dtype=object),
        "error": np.full(shape, "", dtype=object),
        "skipped": np.full((*shape, len(theories)), "", dtype=object),
    }
    for position, column in grid.columns():
        count = spec.samples[column.slug] // spec.meaning.block_samples
        names = [*(block_id(column, k) for k in range(count)), score_id(column)]
        ended = [m for m in map(done.get, names) if m is not None and m.get("depths") == list(column.depths)]
        broken = [failed[name] for name in names if name in failed]
        table["n_samples"][position] = sum(m.get("samples", 0) for m in ended)
        table["attempts"][position] = sum(m.get("attempt", 1) for m in ended) + sum(m["attempts"] for m in broken)
        table["seconds"][position] = sum(m.get("seconds", 0.0) for m in ended) / cells
        table["status"][position] = STATUSES.index(_status(len(ended), len(broken), len(names)))
        for name in ("host", "device"):
            table[name][position] = ", ".join(sorted({m[name] for m in ended}))
        table["error"][position] = "; ".join(m["error"] for m in broken)
        skipped: dict[str, Any] = done.get(names[-1], {}).get("skipped", {})
        for t, theory in enumerate(theories):
            reasons = skipped.get(theory, [])
            if len(reasons) == cells:
                table["skipped"][(*position, slice(None), t)] = reasons
    return table


def _status(done: int, failed: int, total: int) -> str:
    if failed:
        return "failed"
    return "done" if done == total else "partial" if done else "missing"


def _write_claims(root: Any, claims: list[Claim]) -> None:
    group = root.create_group("claims", overwrite=True)
    write_coordinate(group, "claim", ("claim",), np.array([claim.name for claim in claims], dtype=object))
    for field in CLAIM_FIELDS:
        write_coordinate(group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype="float64"))
    for field in ("verdict", "text", "command"):
        write_coordinate(group, field, ("claim",), np.array([getattr(claim, field) for claim in claims], dtype=object))
