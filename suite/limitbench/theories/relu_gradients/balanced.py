"""The log-normal limit of norms, Jacobians and gradients of Balanced ResNets: one law for all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.interlayer import Interlayer
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import parameters
from limitbench.theories.relu_gradients.layers import LOGS


@final
@dataclass(frozen=True)
class BalancedLogNormal(Theory):
    """N(-beta/2, beta), beta = (5 lambda^4 + 4 alpha^2 lambda^2)/(alpha^2 + lambda^2)^2 d/n; alpha = lambda: 2.25 d/n.

    For |z_d|^2 and |J u|^2, whose laws are equal at every width, and for |J'v|^2. Vanilla ResNets, whose masks depend
    on what they pass on, have another law for each of the three, and none is known here for their gradients.

    Arguments:
        time: t = d/n.
        residual_weight: alpha^2/(alpha^2 + lambda^2) in [0, 1).

    Raises `InputError` where a value cannot be accepted. Cost: none.
    """

    time: float
    residual_weight: float = 0.5

    name: ClassVar[str] = "balanced-log-normal"
    title: ClassVar[str] = "log-normal, Balanced ResNet"
    reference: ClassVar[str] = "Li, Nica & Roy 2021, arXiv 2106.04013"
    time_variable: ClassVar[str] = "t = d/n"
    validity: ClassVar[str] = "Balanced ResNets, width large; the relative error is of order 1/width"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", parameters.time(self.time))
        object.__setattr__(self, "residual_weight", parameters.residual_weight(self.residual_weight))

    @property
    def variance(self) -> float:
        """beta."""
        return Interlayer(self.residual_weight, balanced=True).base * self.time

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`, `log_jacobian`, `log_gradient`."""
        return LOGS[:3]

    def _law(self, observable: str) -> Law:
        return Normal(-self.variance / 2, self.variance**0.5)
