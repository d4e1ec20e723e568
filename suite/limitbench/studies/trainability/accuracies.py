"""Test accuracies of one design as a table over depth and sigma_w^2, with their noise.

Replicates are independent over cells, so a bootstrap draws replicates within each cell; it draws one fewer than there
are, which makes the variance of a mean right for few replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.measured import values
from limitbench.studies.trainability.predictors import predictor

#: Resamples of every bootstrap.
RESAMPLES = 200
#: Replicates that a cell must have for a verdict.
ENOUGH = 5


@dataclass(frozen=True, eq=False)
class Accuracies:
    """Accuracies of one design at one width, NaN where a replicate or a cell is missing.

    Attributes:
        design: name of the design.
        depths, variances: depths L and sigma_w^2, increasing.
        table: one replicate in each entry, those of a cell in increasing order, NaN last.
        cells: the cells that have networks.
    """

    design: str
    depths: Float[np.ndarray, " depths"]
    variances: Float[np.ndarray, " variances"]
    table: Float[np.ndarray, "depths variances replicates"]
    cells: Sequence[CellEvidence]

    @property
    def mean(self) -> Float[np.ndarray, "depths variances"]:
        """Mean over replicates, NaN where there is none."""
        counts = np.isfinite(self.table).sum(axis=2)
        return np.where(counts > 0, np.nansum(self.table, axis=2) / np.maximum(counts, 1), np.nan)

    @property
    def se(self) -> Float[np.ndarray, "depths variances"]:
        """Standard error of the mean, NaN below two replicates."""
        counts = np.isfinite(self.table).sum(axis=2)
        squares = np.nansum((self.table - self.mean[..., None]) ** 2, axis=2)
        return np.where(counts > 1, np.sqrt(squares / np.maximum(counts * (counts - 1), 1)), np.nan)

    @property
    def replicates(self) -> int:
        """The smallest number of replicates of a cell that has any."""
        counts = np.isfinite(self.table).sum(axis=2)
        return int(counts[counts > 0].min()) if counts.any() else 0

    def resampled(self, random: np.random.Generator) -> Float[np.ndarray, "resamples depths variances"]:
        """Means of `RESAMPLES` bootstrap tables; the mean itself where a cell has one replicate."""
        counts = np.isfinite(self.table).sum(axis=2)
        drawn = np.zeros((RESAMPLES, *counts.shape))
        most = self.table.shape[2]
        filled = np.nan_to_num(self.table)
        for k in range(max(most - 1, 1)):
            index = (random.random(drawn.shape) * np.maximum(counts, 1)).astype(int)
            chosen = np.take_along_axis(filled[None], index[..., None], axis=3)[..., 0]
            drawn += np.where(k < counts - 1, chosen, 0.0)
        means = drawn / np.maximum(counts - 1, 1)
        return np.where(counts > 1, means, self.mean)

    def predictors(self, name: str) -> Float[np.ndarray, "depths variances"]:
        """One of `PREDICTORS` in every cell, NaN where there is none. Raises `InputError` where data are missing."""
        found = np.full(self.table.shape[:2], np.nan)
        for cell in self.cells:
            found[self.place(cell)] = predictor(name, cell.parameters)
        return found

    def place(self, cell: CellEvidence) -> tuple[int, int]:
        """Row and column of a cell."""
        depth, variance = float(cell.parameters["depth"]), float(cell.parameters["sigma_w2"])
        return int(np.searchsorted(self.depths, depth)), int(np.searchsorted(self.variances, variance))


def accuracies(evidence: Evidence, design: str, data: str) -> Accuracies | None:
    """The table of a design at the largest width that it has; None where it has no networks."""
    cells = evidence.where(design=design, data=data)
    widest = max((float(cell.parameters["width"]) for cell in cells), default=0.0)
    cells = [cell for cell in cells if float(cell.parameters["width"]) == widest]
    found = [values(cell, "test_accuracy") for cell in cells]
    if not any(np.isfinite(x).any() for x in found):
        return None
    depths = np.unique([float(cell.parameters["depth"]) for cell in cells])
    variances = np.unique([float(cell.parameters["sigma_w2"]) for cell in cells])
    most = max(int(np.isfinite(x).sum()) for x in found)
    made = Accuracies(design, depths, variances, np.full((len(depths), len(variances), most), np.nan), cells)
    for cell, x in zip(cells, found, strict=True):
        made.table[made.place(cell)] = np.sort(x)[:most]
    return made
