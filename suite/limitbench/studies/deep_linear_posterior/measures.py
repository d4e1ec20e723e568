"""Posterior moments of networks by importance sampling: prior networks weighed by their likelihood.

E[f | Y] = sum_k w_k f_k / sum_k w_k with w = exp(-|Y - S|^2/(2T)) <= 1, standard errors by the delta method, and the
effective sample size (sum w)^2 / sum w^2. Weights are bounded, so a large effective size can be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.measured import Measured, column_values

#: Effective sample size below which standard errors are not given.
ENOUGH = 100.0
#: From this on an estimate, a variance too, is normal 5.8 standard errors out; at 300 it is beyond 2e-5 of the time.
NORMAL = 3000.0


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


@dataclass(frozen=True, eq=False)
class CellPosterior:
    """What the networks of one cell say about the posterior.

    Attributes:
        networks: prior networks.
        effective: how many of them count.
        mean, variance: of the first output.
        coupling: covariance of both outputs, NaN for one.
        draws: accepted networks, by output.
    """

    networks: int
    effective: float
    mean: Measured
    variance: Measured
    coupling: Measured
    draws: tuple[Float[np.ndarray, " accepted"], ...]


_KNOWN: WeakKeyDictionary[Evidence, dict[tuple[int, ...], CellPosterior]] = WeakKeyDictionary()


def posterior_of(evidence: Evidence, cell: CellEvidence) -> CellPosterior:
    """The posterior of a cell of `evidence`; a column is read once, for its chunks hold all depths."""
    known = _KNOWN.setdefault(evidence, {})
    if tuple(cell.at.values()) not in known:
        axis = evidence.axes[-1]
        column = [c for c in evidence.cells if all(c.at[a] == i for a, i in cell.at.items() if a != axis)]
        outputs = ("output_1", "output_2")[: 1 if cell.parameters["labels"] == "one" else 2]
        names = ("log_weight", *outputs, *(f"posterior_{name}" for name in outputs))
        read = {name: column_values(column, name) for name in names}
        for row, c in enumerate(column):
            known[tuple(c.at.values())] = _summarise({name: x[row] for name, x in read.items()}, len(outputs))
    return known[tuple(cell.at.values())]


def _summarise(values: dict[str, Float[np.ndarray, " networks"]], outputs: int) -> CellPosterior:
    drawn = np.isfinite(values["log_weight"])
    names = ("output_1", "output_2")[:outputs]
    seen = Weighted(np.exp(values["log_weight"][drawn]), np.stack([values[name][drawn] for name in names], axis=1))
    accepted = [values[f"posterior_{name}"] for name in names]
    return CellPosterior(
        networks=int(drawn.sum()),
        effective=seen.effective,
        mean=seen.mean(),
        variance=seen.covariance(),
        coupling=seen.covariance(0, 1) if outputs > 1 else Measured(math.nan, math.nan),
        draws=tuple(x[np.isfinite(x)] for x in accepted),
    )
