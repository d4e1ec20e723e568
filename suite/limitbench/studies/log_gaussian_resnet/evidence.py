"""Reading a run of `log-gaussian-resnet`: the cells of one kind of network, and numbers made from layers together.

Cells of a column are the same networks at several depths, so covariances between layers are read from the depth axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.statistics.tests_of_difference import ks_two_sample
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.measured import (
    Measured,
    column_values,
    covariance_of,
    defined,
    mean_of,
    values,
    variance,
)
from limitbench.theories.log_gaussian import LogGaussianFiniteDepth

VANILLA, BALANCED = "vanilla", "balanced"
#: Equal weights of skip and branch, alpha = lambda.
EQUAL = 0.5
FINITE = "log-gaussian-finite-depth"


@dataclass(frozen=True)
class Family:
    """Cells of one kind of network at one residual weight, with the fewest outputs of the run."""

    evidence: Evidence
    network: str
    weight: float = EQUAL

    @property
    def cells(self) -> list[CellEvidence]:
        """By width, then depth."""
        found = self.evidence.where(network=self.network, residual_weight=self.weight)
        fewest = min((int(cell.parameters["outputs"]) for cell in found), default=1)
        return [cell for cell in found if cell.parameters["outputs"] == fewest]

    def at(self, width: int, depth: int) -> CellEvidence | None:
        """The cell of this width and depth, None where the run has none."""
        return next((c for c in self.cells if (c.parameters["width"], c.parameters["depth"]) == (width, depth)), None)

    def square(self, observable: str = "log_norm") -> Mapping[int, CellEvidence]:
        """Cells at d = n that have `observable`, by width."""
        cells = [c for c in self.cells if c.parameters["width"] == c.parameters["depth"]]
        return {int(c.parameters["width"]): c for c in cells if defined(c, observable)}

    def widths(self) -> dict[int, dict[int, CellEvidence]]:
        """Columns: cells by depth, by width."""
        columns: dict[int, dict[int, CellEvidence]] = {}
        for cell in self.cells:
            columns.setdefault(int(cell.parameters["width"]), {})[int(cell.parameters["depth"])] = cell
        return columns

    def widest(self, least: int = 1) -> tuple[int, dict[int, CellEvidence]]:
        """The largest width and its column, (0, {}) where the run has none of `least` or more."""
        columns = {width: column for width, column in self.widths().items() if width >= least}
        return (max(columns), columns[max(columns)]) if columns else (0, {})

    def theory(self, depth: int, width: int) -> LogGaussianFiniteDepth:
        """The log-Gaussian law with finite-depth sums at this size."""
        return LogGaussianFiniteDepth(depth, width, self.weight, self.network == BALANCED)


def log_mean_growth(log_norm: Float[np.ndarray, " networks"]) -> Measured:
    """ln E exp(log_norm); NaN where the relative standard error is 10 % or more: a few networks decide then."""
    mean = mean_of(np.exp(log_norm))
    if not mean.se < 0.1 * mean.value:
        return Measured(math.nan, math.nan)
    return Measured(math.log(mean.value), mean.se / mean.value)


def lag_covariances(column: Mapping[int, CellEvidence]) -> dict[int, Measured]:
    """4n Cov(A_l, A_{l+r}) by lag r, from the shallowest pair of recorded layers at that lag."""
    found: dict[int, Measured] = {}
    layers = sorted(column)
    if not layers:
        return found
    shares = column_values([column[layer] for layer in layers], "relu_share")
    for i, first in enumerate(layers):
        for second, share in zip(layers[i:], shares[i:], strict=True):
            if second - first not in found:
                n = float(column[first].parameters["width"])
                covariance = covariance_of(shares[i], share)
                cells = (column[first], column[second])
                found[second - first] = Measured(4 * n * covariance.value, 4 * n * covariance.se, cells)
    return dict(sorted(found.items()))


def excess(cells: Sequence[CellEvidence], observable: str) -> Measured:
    """n (mean - 1/2) of `active_fraction` or `relu_share`, averaged over these layers of the same networks."""
    n = float(cells[0].parameters["width"])
    return mean_of(n * (column_values(cells, observable).mean(axis=0) - 0.5), cells)


def halves_differ(cell: CellEvidence) -> tuple[float, float, int]:
    """KS of `log_norm` in one half of the networks to `log_jacobian` in the other, p-value, networks in all.

    In one network the two share their weights; two halves are independent.
    """
    norm, jacobian = values(cell, "log_norm"), values(cell, "log_jacobian")
    both = np.isfinite(norm) & np.isfinite(jacobian)
    norm, jacobian = norm[both], jacobian[both]
    half = norm.size // 2
    return (*ks_two_sample(norm[:half], jacobian[half:]), int(norm.size))


def fit_excess(squares: Mapping[int, CellEvidence], family: Family, until: int) -> Measured:
    """a in Var log_norm = v_d + a/n at d = n, by weighted least squares over the widths up to `until`."""
    found = {n: variance(cell) for n, cell in squares.items() if n <= until}
    weights = np.array([1 / (n * m.se) ** 2 for n, m in found.items()])
    over = np.array([n * (m.value - family.theory(n, n).variance) for n, m in found.items()])
    a = float(weights @ over / weights.sum())
    return Measured(a, float(weights.sum() ** -0.5), [cell for n, cell in squares.items() if n <= until])


def largest(cells: Mapping[int, CellEvidence], least: int = 1) -> CellEvidence | None:
    """The cell of the largest width, None where that is below `least`."""
    return cells[max(cells)] if cells and max(cells) >= least else None


def aspect(cell: CellEvidence) -> float:
    """d/n of a cell."""
    return float(cell.parameters["depth"]) / float(cell.parameters["width"])
