"""Smooth multilayer perceptrons at initialisation, shaped by stretching: phi_s(x) = s phi(x/s) with s = a n^p."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.networks import smooth_dense, smooth_exact
from limitbench.networks.base import Network, Sampler, check_depths
from limitbench.networks.checks import number, power_of_two_below, whole
from limitbench.numerics.activations import ACTIVATIONS, SmoothActivation, activation_of
from limitbench.numerics.random import Stream


@dataclass(frozen=True)
class SmoothMLP(Network):
    """A network with a smooth activation that approaches the identity, without biases, weights N(0, 1).

        z_1 ~ rows N(0, V_0),   z_{l+1} = sqrt(c/n) W_l phi_s(z_l),   V_l = (c/n) phi_s(z_l)' phi_s(z_l),
        phi_s(x) = s phi(x/s),   s = a n^p,   c = 1/E[phi_s(g)^2]

    (arXiv 2206.02768). Observables: `correlation` and `log_gap` of two inputs of equal norm, `log_norm` of input 1 and
    `exploded`, 1 where V^11 has exceeded 1e4 in some layer so far. `log_norm` is NaN where input 1 has exploded,
    `correlation` and `log_gap` where either has: laws are those given that it has not. Any depth: norms are kept as
    logs, gaps 1 - rho to 1e-28, below which `log_gap` may be -inf, and 1 + rho to 1e-6 absolute. One input has neither
    `correlation` nor `log_gap`.

    Arguments:
        depth: number of hidden layers.
        width: units n of every hidden layer.
        activation: a built-in name, `module:name`, or a `SmoothActivation`.
        scale: a.
        rate: p in s = a n^p; rate 1/2 is the critical shaping, 0 an activation that stays as it is.
        norm0: V_0^aa.
        rho0: correlation of the two inputs; None for one input.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    activation: str | SmoothActivation = field(default="tanh", kw_only=True)
    scale: float = field(default=1.0, kw_only=True)
    rate: float = field(default=0.5, kw_only=True)
    norm0: float = field(default=1.0, kw_only=True)
    rho0: float | None = field(default=0.3, kw_only=True)

    family: ClassVar[str] = "smooth-mlp"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        values: dict[str, object] = {"depth": whole("depth", self.depth), "width": whole("width", self.width)}
        activation_of(self.activation)
        values["scale"] = number("scale", self.scale, 1e-3, 1e6)
        values["rate"] = number("rate", self.rate, 0.0, 10.0)
        values["norm0"] = number("norm0", self.norm0, 1e-100, 1e4)
        if self.rho0 is not None:
            values["rho0"] = number("rho0", self.rho0, -1.0, 1.0)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> SmoothActivation:
        """The activation itself."""
        return activation_of(self.activation)

    @property
    def stretch(self) -> float:
        """s = a n^p."""
        return self.scale * math.pow(self.width, self.rate)

    @property
    def observables(self) -> tuple[str, ...]:
        """`exploded` and `log_norm` alone for one input."""
        return ("exploded", "log_norm") if self.rho0 is None else ("correlation", "log_gap", "exploded", "log_norm")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Everything but depth; a user's activation by its name and its derivatives at 0."""
        shape = self.shape
        derivatives = {} if ACTIVATIONS.get(shape.name) == shape else {"second": shape.second, "third": shape.third}
        inputs = {"inputs": 1} if self.rho0 is None else {"rho0": self.rho0}
        return {
            "width": self.width,
            "activation": shape.name,
            **derivatives,
            "scale": self.scale,
            "rate": self.rate,
            "norm0": self.norm0,
            **inputs,
        }

    def batch_size(self, sampler: Sampler) -> int:
        """exact: about 2^16 units of each input, in cache; dense: 2^20 weights."""
        if sampler == "exact":
            return min(max(power_of_two_below(2**16 // self.width), 16), 512)
        return max(min(power_of_two_below(2**20 // self.width**2), 256), 1)

    def cost(self, sampler: Sampler) -> float:
        """7 ns a unit of an input, 7.5 ns a weight, and 0.2 µs a layer and input."""
        inputs = 1 if self.rho0 is None else 2
        numbers = 7.5e-9 * self.width**2 if sampler == "dense" else 7e-9 * inputs * self.width
        return self.depth * (numbers + 2e-7 * inputs)

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(n) variates a layer and network if exact, n^2 if dense."""
        at, batch, stream = check_depths(depths, self.depth), self.batch_size(sampler), Stream(seed, device, generator)
        draw = smooth_exact.sample_smooth if sampler == "exact" else smooth_dense.sample_smooth
        norms, gaps, flags = draw(
            self.shape,
            self.stretch,
            self.width,
            self.norm0,
            self.rho0,
            depths=at,
            batch=batch,
            stream=stream,
        )
        exploded = flags.cpu().numpy()
        log_norm = norms[:, :, 0].cpu().numpy() - math.log(self.norm0)
        found = {
            "exploded": exploded[:, :, 0].astype(float),
            "log_norm": np.where(exploded[:, :, 0], np.nan, log_norm),
        }
        if gaps is None:
            return found
        log_gap = np.where(exploded.any(axis=2), np.nan, gaps.cpu().numpy())
        return {"correlation": 1.0 - np.exp(log_gap), "log_gap": log_gap, **found}
