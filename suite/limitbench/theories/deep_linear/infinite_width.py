"""Infinite width at fixed depth: the mixing matrix is the identity and the outputs are independent Gaussians (NNGP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.deep_linear.parameters import check_count, mixing_observables


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """Q = I: every observable of the mixing matrix is a point mass at 0.

    Arguments:
        outputs: D, number of outputs.

    Raises `InputError` where `outputs` is not a positive integer. Cost: none.
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
        """All observables of Q; `q12` from two outputs on."""
        return mixing_observables(self.outputs)

    def _law(self, observable: str) -> Law:
        return PointMass(0.0)
