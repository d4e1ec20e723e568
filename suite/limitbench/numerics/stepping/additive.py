"""Diffusions with additive noise and any drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.stepping.problem import Noise, Problem


@final
@dataclass(frozen=True)
class AdditiveNoise(Problem):
    """dX = m(X) dt + sigma dB.

    Arguments:
        pull: m, a pure function of tensors.
        sigma: strength of the noise.
    """

    pull: Callable[[Float[Tensor, "*state"]], Float[Tensor, "*state"]]
    sigma: float = 1.0
    noise: ClassVar[Noise] = "additive"

    def drift(self, x: Float[Tensor, "*state"]) -> Float[Tensor, "*state"]:
        """m(x)."""
        return self.pull(x)

    def diffusion(self, x: Float[Tensor, "*state"], j: int = 0) -> Float[Tensor, "*state"]:
        """sigma."""
        return torch.full_like(x, self.sigma)

    def diffusion_derivative(self, x: Float[Tensor, " paths"]) -> Float[Tensor, " paths"]:
        """0."""
        return torch.zeros_like(x)


def ornstein_uhlenbeck(rate: float, sigma: float) -> AdditiveNoise:
    """dX = -rate X dt + sigma dB."""
    return AdditiveNoise(lambda x: -rate * x, sigma)
