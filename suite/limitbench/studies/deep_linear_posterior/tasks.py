"""The regression tasks of `deep-linear-posterior`: fixed inputs and labels, and what theory says at a cell.

All inputs have small norms and correlations of both signs; the test input has |x|^2 = n_0. Labels are moderate: a
prior network fits them within the noise often enough for importance sampling.
"""

from __future__ import annotations

from functools import lru_cache

from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.studies.base import Cell
from limitbench.theories.linear_posterior import FiniteWidth, InfiniteWidth, ProportionalLimit

#: Three training inputs and the test input, one output.
_GRAM_ONE = ((1.0, 0.3, -0.2, 0.5), (0.3, 1.2, 0.1, -0.4), (-0.2, 0.1, 0.8, 0.2), (0.5, -0.4, 0.2, 1.0))
#: Two training inputs and the test input, two outputs with equal or opposite labels.
_GRAM_TWO = ((1.0, 0.4, 0.7), (0.4, 1.0, 0.5), (0.7, 0.5, 1.0))
_LABELS = {
    "one": ((0.5, -0.4, 0.2),),
    "equal": ((1.0, 0.6), (1.0, 0.6)),
    "opposite": ((1.0, 0.6), (-1.0, -0.6)),
}
LABELS = tuple(sorted(_LABELS))


@lru_cache(maxsize=256)
def regression(labels: str, noise: float) -> GaussianRegression:
    """The task with these labels and this noise variance T."""
    return GaussianRegression(_GRAM_ONE if labels == "one" else _GRAM_TWO, _LABELS[labels], noise)


def task(cell: Cell) -> GaussianRegression:
    """The task of a cell."""
    return regression(str(cell["labels"]), float(cell["noise"]))


def aspect(cell: Cell) -> float:
    """alpha = L/N."""
    return float(cell["depth"]) / float(cell["width"])


def nngp(cell: Cell) -> InfiniteWidth:
    """Infinite width at a cell."""
    return InfiniteWidth(task(cell))


def limit(cell: Cell) -> ProportionalLimit:
    """The proportional limit at a cell."""
    return ProportionalLimit(aspect(cell), task(cell))


def finite(cell: Cell) -> FiniteWidth:
    """The exact finite mixture at a cell."""
    return FiniteWidth(int(cell["width"]), int(cell["depth"]), task(cell))
