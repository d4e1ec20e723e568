"""Infinite width at fixed depth: norms and gradients do not fluctuate, and no layer dies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.relu_gradients.layers import LOGS


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """All logs are point masses at 0 where layers preserve mean squares; `dead` is 0.

    Arguments:
        dies: whether `dead` is a quantity of the network at all (residual networks with a skip have none).

    Cost: none.
    """

    dies: bool = True

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width (NNGP, mean field)"
    reference: ClassVar[str] = "Schoenholz et al. 2017, arXiv 1611.01232; Lee et al. 2018, arXiv 1711.00165"
    time_variable: ClassVar[str] = "none: depth does not enter"
    validity: ClassVar[str] = "sum of 1/width over the layers -> 0"

    @property
    def observables(self) -> tuple[str, ...]:
        """All logs and `dead`; without `dies`, those of a residual network."""
        return (*LOGS, "dead") if self.dies else LOGS[:3]

    def _law(self, observable: str) -> Law:
        return PointMass(0.0)
