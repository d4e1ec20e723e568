"""What happened to every cell, told by markers: the variables of the group `run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from limitbench.sweep.blocks import block_id, score_id
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
        count = spec.samples[column.slug] // spec.meaning.block_samples
        names = [*(block_id(column, k) for k in range(count)), score_id(column)]
        ended = [m for m in map(done.get, names) if m is not None and m.get("depths") == list(column.depths)]
        broken = [failed[name] for name in names if name in failed]
        table["n_requested"][position] = spec.samples[column.slug]
        table["n_samples"][position] = sum(m.get("samples", 0) for m in ended)
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


def _reasons(errors: Iterable[str]) -> list[str]:
    """Each error once, with the number of blocks that it struck where there are several."""
    return [error if n == 1 else f"{error} ({n} blocks)" for error, n in Counter(errors).items()]


def _status(done: int, failed: int, total: int) -> str:
    if failed:
        return "failed"
    return "done" if done == total else "partial" if done else "missing"
