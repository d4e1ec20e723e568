"""What theory knows of a network before it is trained: how gradients explode, and how far apart two images are.

Both come from the mean-field recurrences (arXiv 1712.08969): ln chi_0/chi_L, and ln s_L for two images of unit norm at
the typical cosine of the data. The networks of the study are measured for the same two numbers before training.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from limitbench.statistics.laws import Law, PointMass
from limitbench.studies.base import Cell
from limitbench.studies.trainability.designs import cosine, design_of, mean_field
from limitbench.theories.base import Theory
from limitbench.theories.mean_field import MeanField

#: Names of the predictors and words for them.
PREDICTORS: Mapping[str, str] = {
    "gradient": "ln χ₀/χ_L",
    "distance": "ln s_L",
    "product": "ln σ_w² L",
    "variance": "ln σ_w²",
}


@dataclass(frozen=True)
class InitialRecurrences(Theory):
    """Gradient ratio and distance of two images at infinite width, for a network that is not trained yet.

    Arguments:
        field: the recurrences.
        depth: number of blocks L.
        norm: |x_0|^2/N of both images.
        cosine: of the two images.
    """

    field: MeanField
    depth: int
    norm: float
    cosine: float

    name: ClassVar[str] = "recurrences"
    title: ClassVar[str] = "mean-field recurrences"
    reference: ClassVar[str] = "arXiv 1712.08969"
    time_variable: ClassVar[str] = "l"
    validity: ClassVar[str] = "infinite width, before training, for two images at the typical cosine"

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_gradient_ratio` and `log_image_distance`."""
        return ("log_gradient_ratio", "log_image_distance")

    def _law(self, observable: str) -> Law:
        gradient, distance = _run(self.field, self.depth, self.norm, self.cosine)
        return PointMass(gradient if observable == "log_gradient_ratio" else distance)


def initial_recurrences(cell: Cell) -> InitialRecurrences:
    """The recurrences of a cell. Raises `InputError` where its data are not at hand."""
    return InitialRecurrences(mean_field(cell), int(cell["depth"]), design_of(cell).input_norm, cosine(cell))


def predictor(name: str, cell: Cell) -> float:
    """One of `PREDICTORS` at a cell. Raises `InputError` where its data are not at hand."""
    variance, depth = float(cell["sigma_w2"]), int(cell["depth"])
    if name == "variance":
        return math.log(variance)
    if name == "product":
        return math.log(variance * depth)
    theory = initial_recurrences(cell)
    return _run(theory.field, depth, theory.norm, theory.cosine)[name == "distance"]


@functools.lru_cache(maxsize=4096)
def _run(field: MeanField, depth: int, norm: float, cosine: float) -> tuple[float, float]:
    path = field.run(depth, norm0=norm, rho0=cosine)
    return float(path.log_chi[0]), float(path.log_distance[-1])
