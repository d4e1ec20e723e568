"""What happened to every cell, told by markers: the variables of the group `run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from limitbench.sweep.blocks import block_id, score_id
from limitbench.sweep.grid import Column
from limitbench.sweep.markers import Marker
from limitbench.sweep.spec import Spec

STATUSES = ("missing", "partial", "done", "failed")


def run_table(spec: Spec, done: Mapping[str, Marker], failed: Mapping[str, Marker]) -> dict[str, np.ndarray]:
    """The variables of `/run`, dims (*axes) and for `skipped` (*axes, theory), from the markers of a run."""
    grid, theories = spec.axis_grid(), spec.meaning.theories
    shape, cells = grid.shape, grid.shape[-1]
    table: dict[str, np.ndarray] = {
        "n_samples": np.zeros(shape, dtype="int64"),
        "n_requested": np.zeros(shape, dtype="int64"),
        "attempts": np.zeros(shape, dtype="int64"),
        "seconds": np.zeros(shape),
        "status": np.zeros(shape, dtype="int8"),
        "host": np.full(shape, "", dtype=object),
        "device": np.full(shape, "", dtype=object),
        "error": np.full(shape, "", dtype=object),
        "skipped": np.full((*shape, len(theories)), "", dtype=object),
    }
    for position, column in grid.columns():
        names = [*(block_id(column, k) for k in range(blocks_of(spec, column, done))), score_id(column)]
        ended = [m for m in map(done.get, names) if m is not None and _is_of(m, column, spec)]
        broken = [failed[name] for name in names if name in failed]
        table["n_requested"][position] = spec.samples[column.slug]
        for m in ended:
            table["n_samples"][position] += m.get("samples", 0) * np.isin(column.depths, m["depths"])
        table["attempts"][position] = sum(m.get("attempt", 1) for m in ended) + sum(m["attempts"] for m in broken)
        table["seconds"][position] = sum(m.get("seconds", 0.0) for m in ended) / cells
        table["status"][position] = STATUSES.index(_status(len(ended), len(broken), len(names)))
        for name in ("host", "device"):
            table[name][position] = ", ".join(sorted({m[name] for m in ended}))
        table["error"][position] = "; ".join(_reasons(m["error"] for m in broken))
        skipped: dict[str, Any] = done.get(names[-1], {}).get("skipped", {})
        for t, theory in enumerate(theories):
            reasons = skipped.get(theory, [])
            if len(reasons) == cells:
                table["skipped"][position][:, t] = reasons
    return table


def blocks_of(spec: Spec, column: Column, done: Mapping[str, Marker]) -> int:
    """Blocks that make `column` complete: fewer than it may have where its scores say that every verdict is clear."""
    most = spec.samples[column.slug] // spec.meaning.block_samples
    scores = done.get(score_id(column), {})
    if column.slug not in spec.first or scores.get("unclear", True):
        return most
    key = scores["key"]
    return max((key["sizes"][look] for look in key.get("looks", ())), default=most)


def _is_of(marker: Marker, column: Column, spec: Spec) -> bool:
    """Whether a marker tells of cells of `column`; of all of them, unless its sampling is sequential."""
    depths = marker.get("depths", [])
    return depths == list(column.depths) or (column.slug in spec.first and set(depths) < set(column.depths))


def _reasons(errors: Iterable[str]) -> list[str]:
    """Each error once, with the number of blocks that it struck where there are several."""
    return [error if n == 1 else f"{error} ({n} blocks)" for error, n in Counter(errors).items()]


def _status(done: int, failed: int, total: int) -> str:
    if failed:
        return "failed"
    return "done" if done == total else "partial" if done else "missing"
