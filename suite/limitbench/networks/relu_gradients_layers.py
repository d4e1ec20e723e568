"""Layers whose units a mask switches on and off: by their sign (ReLU), at random (dropout), by both or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.numerics.random import Stream


@dataclass(frozen=True)
class MaskedLayers:
    """x_l = D_l z_l with D_l the units that are on: z > 0 if `relu`, and of those a random share `keep`."""

    widths: tuple[int, ...]
    relu: bool
    keep: float

    @property
    def passing(self) -> float:
        """p, the probability that a unit is on."""
        return self.keep / 2 if self.relu else self.keep

    def scale(self, units: int) -> float:
        """(p n)^{-1/2}, the factor of weights N(0, 1) that read n units."""
        return 1.0 / math.sqrt(self.passing * units)

    def mask(self, z: Float[Tensor, "batch width"], stream: Stream) -> Float[Tensor, "batch width"]:
        """1 for the units that are on, else 0."""
        on = torch.gt(z, 0.0, out=torch.empty_like(z)) if self.relu else torch.ones_like(z)
        if self.keep < 1.0:
            drawn = stream.uniform_(torch.empty_like(z))
            on.mul_(torch.lt(drawn, self.keep, out=drawn))
        return on


class Gradients(NamedTuple):
    """The layers of a batch: logs as in `ReLUGradients`, and whether a unit of the layer is on."""

    log_norm: Float[Tensor, "batch layers"]
    log_jacobian: Float[Tensor, "batch layers"]
    log_gradient: Float[Tensor, "batch layers"]
    log_weight_gradient: Float[Tensor, "batch layers"]
    alive: Bool[Tensor, "batch layers"]
