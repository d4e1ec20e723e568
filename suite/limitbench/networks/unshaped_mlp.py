"""Unshaped multilayer perceptrons at initialisation, ReLU and leaky ReLU: fixed slopes, whatever the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.networks.base import Network, Sampler, check_depths
from limitbench.networks.checks import number, whole
from limitbench.networks.shaped_mlp import ShapedMLP


@dataclass(frozen=True)
class UnshapedMLP(Network):
    """A network of two inputs without biases and with slopes that do not change with the width, weights N(0, 1).

        z_{l+1} = sqrt(c/n) W_l phi(z_l),   phi(x) = max(x, 0) + s_- min(x, 0),   c = 2/(1 + s_-^2)

    (arXiv 2310.12079, 2302.09712): `ShapedMLP` at rate 0. Correlations of inputs approach 1 as
    1 - rho_l ~ q/l^2, so that the observable is `log_q` = ln(l^2 (1 - rho_l)), beside `log_norm`; ln(1 - rho_l) is
    `log_q` less 2 ln l. Values of parallel and dead features are those of `ShapedMLP`: -inf and NaN.

    Arguments:
        depth: number of hidden layers.
        width: units of every hidden layer.
        slope_minus: slope s_- of negative arguments in [-1, 1]; 0 is ReLU, 1 a linear network. Other slopes of
            positive arguments and larger s_- are the same network up to a constant.
        rho0: correlation of the two inputs, of equal norm.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    slope_minus: float = field(default=0.0, kw_only=True)
    rho0: float = field(default=0.3, kw_only=True)

    family: ClassVar[str] = "unshaped-mlp"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth))
        object.__setattr__(self, "width", whole("width", self.width))
        object.__setattr__(self, "slope_minus", number("slope_minus", self.slope_minus, -1.0, 1.0))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1.0, 1.0))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_norm`."""
        return ("log_q", "log_norm")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width, slope and the correlation of the inputs."""
        return {"width": self.width, "slope_minus": self.slope_minus, "rho0": self.rho0}

    def batch_size(self, sampler: Sampler) -> int:
        """That of `ShapedMLP`."""
        return self._shaped.batch_size(sampler)

    def cost(self, sampler: Sampler) -> float:
        """That of `ShapedMLP`."""
        return self._shaped.cost(sampler)

    def method(self, sampler: Sampler) -> str:
        """That of `ShapedMLP`."""
        return self._shaped.method(sampler)

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch of `ShapedMLP`; ln q_l = 2 ln l + ln(1 - rho_l)."""
        at = check_depths(depths, self.depth)
        drawn = self._shaped.sample_batch(seed, depths=at, sampler=sampler, device=device, generator=generator)
        return {"log_q": drawn["log_gap"] + 2.0 * np.log(at), "log_norm": drawn["log_norm"]}

    @property
    def _shaped(self) -> ShapedMLP:
        return ShapedMLP(self.depth, self.width, c_minus=self.slope_minus - 1.0, rate=0.0, rho0=self.rho0)
