"""Scores of the cells of one column, each from the blocks that are its own, and which cells are to be drawn further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from limitbench.statistics.base import Law
from limitbench.statistics.scores import Score, score_cells
from limitbench.sweep.blocks import ScoreUnit
from limitbench.sweep.looks import ColumnLooks

if TYPE_CHECKING:
    from limitbench.studies.base import Study

#: Scores, one a cell, by observable and theory.
CellScores = dict[str, dict[str, list[Score | None]]]


def score_column(
    samples: Mapping[str, Float[np.ndarray, "networks cells"]],
    laws: Mapping[str, Mapping[str, Sequence[Law | None]]],
    unit: ScoreUnit,
    looks: ColumnLooks,
    *,
    block_samples: int,
    margin: float,
    seed: int,
) -> CellScores:
    """Every theory's score at every cell of `unit`.

    Arguments:
        samples: by observable, the networks of the blocks of `unit` in their order.
        laws: by observable and theory, one per cell.
        looks: of the column; a cell is scored by the blocks, and at the level, of the look at which it stands.
        block_samples: networks in a block.
        margin, seed: as in `score_cells`.
    """
    at = unit.looks or (len(looks.plan.sizes) - 1,) * len(unit.column.cells)
    found: CellScores = {}
    for observable, values in samples.items():
        by_theory = laws[observable]
        found[observable] = {theory: [None] * len(at) for theory in by_theory}
        for look in sorted(set(at)):
            cells = [c for c, stands in enumerate(at) if stands == look]
            blocks = sum(number < looks.plan.sizes[look] for number in unit.blocks)
            scored = score_cells(
                values[: blocks * block_samples, cells],
                {theory: [row[c] for c in cells] for theory, row in by_theory.items()},
                margin=margin,
                level=looks.plan.levels[look],
                seed=seed,
            )
            for theory, row in scored.items():
                for c, score in zip(cells, row, strict=True):
                    found[observable][theory][c] = score
    return found


def unclear(scores: CellScores, study: Study, unit: ScoreUnit, looks: ColumnLooks, *, margin: float) -> list[int]:
    """Positions of the cells for which sampling goes on: some competitor's verdict there is worth more networks."""
    if not looks.sequential:
        return []
    competitors = [theory.name for theory in study.theories if theory.role == "competitor"]
    return [
        c
        for c, look in enumerate(unit.looks)
        if any(
            score is not None and looks.plan.goes_on(score, look, margin=margin)
            for by_theory in scores.values()
            for score in (by_theory[name][c] for name in competitors)
        )
    ]
