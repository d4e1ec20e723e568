"""One number of any network of one input: its log squared norm, where the network is alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks.base import Network, Sampler


class Surviving(Network):
    """Some logs of `network` alone, NaN where they are -inf because a layer is dead. Implementations name them."""

    network: Network

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

    def method(self, sampler: Sampler) -> str:
        """That of `network`."""
        return self.network.method(sampler)

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch of `network`."""
        drawn = self.network.sample_batch(seed, depths=depths, sampler=sampler, device=device, generator=generator)
        return {name: np.where(np.isneginf(drawn[name]), np.nan, drawn[name]) for name in self.observables}


@final
@dataclass(frozen=True)
class SurvivingNorm(Surviving):
    """`log_norm` of `network` alone, so that families with different observables can be compared.

    A dead network (every unit off in some layer) has log norm -inf and no share in any limit: it is NaN here.

    Arguments:
        network: a network that gives `log_norm`.

    Raises `InputError` where it gives none, or where its law depends on the final depth.
    """

    network: Network
    depth: int = field(init=False)

    family: ClassVar[str] = "surviving-norm"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if "log_norm" not in self.network.observables or self.network.depends_on_final_depth:
            accepted = "a network with log_norm whose law does not depend on the final depth"
            raise InputError("network", self.network, accepted)
        object.__setattr__(self, "depth", self.network.depth)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)
