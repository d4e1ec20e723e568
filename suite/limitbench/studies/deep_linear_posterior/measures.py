"""Posterior moments of networks by importance sampling: prior networks weighed by their likelihood.

E[f | Y] = sum_k w_k f_k / sum_k w_k with w = exp(-|Y - S|^2/(2T)) <= 1, standard errors by the delta method, and the
effective sample size (sum w)^2 / sum w^2. Weights are bounded, so a large effective size can be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence
from limitbench.studies.measured import Measured, values

#: Effective sample size below which standard errors are not given.
ENOUGH = 100.0


@dataclass(frozen=True, eq=False)
class Weighted:
    """Networks of one cell with their weights.

    Attributes:
        weights: likelihoods over their maximum.
        outputs: at the test input.
    """

    weights: Float[np.ndarray, " networks"]
    outputs: Float[np.ndarray, "networks outputs"]

    @property
    def effective(self) -> float:
        """(sum w)^2 / sum w^2; 0 without networks."""
        square = float((self.weights**2).sum())
        return float(self.weights.sum()) ** 2 / square if square > 0 else 0.0

    def mean(self, output: int = 0) -> Measured:
        """Posterior mean of an output (from 0)."""
        return self._average(self.outputs[:, output])

    def covariance(self, first: int = 0, second: int = 0) -> Measured:
        """Posterior covariance of two outputs."""
        x = self.outputs[:, first] - self.mean(first).value
        y = self.outputs[:, second] - self.mean(second).value
        return self._average(x * y)

    def _average(self, x: Float[np.ndarray, " networks"]) -> Measured:
        """Self-normalised average; the mean's own error has no first-order effect on a covariance."""
        total = float(self.weights.sum())
        if not total > 0:
            return Measured(math.nan, math.nan)
        value = float(self.weights @ x) / total
        se = math.sqrt(float(self.weights**2 @ (x - value) ** 2)) / total
        return Measured(value, se if self.effective >= ENOUGH else math.nan)


def weighted(cell: CellEvidence) -> Weighted:
    """The networks of a cell."""
    names = ("output_1", "output_2")[: 1 if cell.parameters["labels"] == "one" else 2]
    log_weight = values(cell, "log_weight")
    drawn = np.isfinite(log_weight)
    return Weighted(np.exp(log_weight[drawn]), np.stack([values(cell, name)[drawn] for name in names], axis=1))
