"""The log-normal limit of norms, Jacobians and gradients of ReLU networks in the sum of inverse widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.relu_gradients.layers import LOGS, Layers


@final
@dataclass(frozen=True)
class LogNormal(Theory):
    """ln |J u|^2 ~ N(-beta/2, beta), beta = (3/p - 1) sum 1/n_l over the layers that enter: 5 for ReLU, 2 if linear.

    The same for |J'v|^2, and for gradients of weights with the sum over all layers. Only the sum matters, not how the
    widths are arranged.

    Arguments:
        layers: the layer and the network that it is in.

    Cost: none.
    """

    layers: Layers

    name: ClassVar[str] = "log-normal"
    title: ClassVar[str] = "log-normal"
    reference: ClassVar[str] = "Hanin & Nica 2018, arXiv 1812.05994"
    time_variable: ClassVar[str] = "t = sum of 1/n_l over the layers that enter"
    validity: ClassVar[str] = "every width large; the relative error is of order 1/width"

    @property
    def observables(self) -> tuple[str, ...]:
        """All logs."""
        return LOGS

    def variance(self, observable: str) -> float:
        """beta."""
        return self.layers.variance_rate * self.layers.time(observable)

    def _law(self, observable: str) -> Law:
        beta = self.variance(observable)
        return Normal(-beta / 2, beta**0.5)
