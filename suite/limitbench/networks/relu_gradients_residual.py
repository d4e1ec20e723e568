"""Norms, Jacobians and gradients of a residual network, under the names that MLPs have for theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks.base import Network, Sampler
from limitbench.networks.resnet import ResNet


@final
@dataclass(frozen=True)
class ResidualGradients(Network):
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

    @property
    def parameters(self) -> Mapping[str, object]:
        """Those of `network`, with its family and version."""
        return {"of": self.network.family, "version": self.network.version, **self.network.parameters}

    def batch_size(self, sampler: Sampler) -> int:
        """That of `network`."""
        return self.network.batch_size(sampler)

    def cost(self, sampler: Sampler) -> float:
        """That of `network`."""
        return self.network.cost(sampler)

    def sample_batch(
        self, seed: int, *, depths: Sequence[int], sampler: Sampler = "exact", device: str = "cpu"
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch of `network`."""
        drawn = self.network.sample_batch(seed, depths=depths, sampler=sampler, device=device)
        return {name: np.where(np.isneginf(drawn[name]), np.nan, drawn[name]) for name in self.observables}
