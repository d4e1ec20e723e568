"""Infinite width at fixed depth: the mixing matrix is the identity and the outputs are independent Gaussians (NNGP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.deep_linear.outputs import log_output_law, output_observables
from limitbench.theories.deep_linear.parameters import check_count, mixing_observables


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """Q = I: every observable of the mixing matrix is a point mass at 0, the outputs are independent N(0, 1).

    `log_output` is the log of a chi-square variable with D degrees of freedom.

    Arguments:
        outputs: D, number of outputs.

    Raises `InputError` where `outputs` is not a positive integer. Cost: 20 ms for `log_output`, cached.
    """

    outputs: int = 2

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width (NNGP)"
    reference: ClassVar[str] = "Lee et al. 2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271"
    time_variable: ClassVar[str] = "none: depth does not enter"
    validity: ClassVar[str] = "sum of 1/width over the hidden layers -> 0"

    def __post_init__(self) -> None:
        check_count("outputs", self.outputs)

    @property
    def observables(self) -> tuple[str, ...]:
        """All observables of Q and of the outputs; `q12` and `output_2` from two outputs on."""
        return (*mixing_observables(self.outputs), *output_observables(self.outputs))

    def _law(self, observable: str) -> Law:
        if observable == "log_output":
            return log_output_law(self.outputs, None, 0.0, 0.0)
        return Normal(0.0, 1.0) if observable.startswith("output") else PointMass(0.0)
