"""Infinite width at fixed depth: norms do not fluctuate, outputs are independent Gaussians (NNGP)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian.outputs import output_law
from limitbench.theories.log_gaussian.parameters import count


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """Width to infinity at fixed depth, for a ReLU network whose layers preserve the mean squared norm.

    `log_norm` and `log_jacobian` are point masses at 0, `log_output` is ln chi2_D (for s = 1, |x|^2 = n_in),
    `relu_share` is N(1/2, 3/(4n)): the central limit theorem over n independent Gaussian units.

    Arguments:
        outputs: D, number of outputs.
        width: n, for `relu_share` only.

    Raises `InputError` for anything but positive integers. Cost: 0.05 s for `log_output`, cached.
    """

    outputs: int = 1
    width: int | None = None

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width (NNGP)"
    reference: ClassVar[str] = "Lee et al. 2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271"
    time_variable: ClassVar[str] = "none: depth does not enter"
    validity: ClassVar[str] = "sum of 1/width over the hidden layers -> 0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", count("outputs", self.outputs))
        if self.width is not None:
            object.__setattr__(self, "width", count("width", self.width))

    @property
    def observables(self) -> tuple[str, ...]:
        """`relu_share` where the width is given."""
        share = () if self.width is None else ("relu_share",)
        return ("log_norm", "log_output", "log_jacobian", *share)

    def _law(self, observable: str) -> Law:
        if observable == "log_output":
            return output_law(0.0, 0.0, self.outputs)
        if observable == "relu_share" and self.width is not None:
            return Normal(0.5, math.sqrt(0.75 / self.width))
        return PointMass(0.0)
