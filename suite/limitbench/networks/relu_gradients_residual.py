"""Norms, Jacobians and gradients of a residual network, under the names that MLPs have for theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.networks.resnet import ResNet
from limitbench.networks.surviving_norm import Surviving


@final
@dataclass(frozen=True)
class ResidualGradients(Surviving):
    """`log_norm`, `log_jacobian` and `log_gradient` of `network` alone; layer l is the network of l blocks.

    A network without skip that is dead has norm and gradients 0 and is NaN here.

    Arguments:
        network: a `ResNet` of one input with `jacobian` and `gradient`.

    Raises `InputError` where it lacks them.
    """

    network: ResNet
    depth: int = field(init=False)

    family: ClassVar[str] = "residual-gradients"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not set(self.observables) <= set(self.network.observables):
            raise InputError("network", self.network, "a ResNet of one input with jacobian and gradient")
        object.__setattr__(self, "depth", self.network.depth)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`, `log_jacobian`, `log_gradient`."""
        return ("log_norm", "log_jacobian", "log_gradient")
