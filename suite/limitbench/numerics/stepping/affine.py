"""Affine diffusions dX = (growth X + source) dt - sigma X dB, and the step that is exact but for the source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.stepping.problem import Advance, Noise, Problem
from limitbench.numerics.stepping.stepper import Stepper


@final
@dataclass(frozen=True)
class Affine(Problem):
    """dX = (growth X + source) dt - sigma X dB: geometric Brownian motion where the source is 0.

    At growth 0 and sigma sqrt(2) it is the variance of a shaped ReLU network.
    """

    growth: float
    source: float
    sigma: float
    noise: ClassVar[Noise] = "scalar"

    def drift(self, x: Float[Tensor, "*state"]) -> Float[Tensor, "*state"]:
        """growth x + source."""
        return self.growth * x + self.source

    def diffusion(self, x: Float[Tensor, "*state"], j: int = 0) -> Float[Tensor, "*state"]:
        """-sigma x."""
        return -self.sigma * x

    def diffusion_derivative(self, x: Float[Tensor, " paths"]) -> Float[Tensor, " paths"]:
        """-sigma."""
        return torch.full_like(x, -self.sigma)


@final
@dataclass(frozen=True)
class Trapezium(Stepper):
    """X' = M (X + source h/2) + source h/2, M = exp((growth - sigma^2/2) h - sigma dB), for `Affine` problems alone.

    The trapezoidal rule for the exponential functional int M_t/M_s ds: weak order two, exact without source, and X
    stays positive. Cost: one exponential.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"scalar": 1.0}
    weak_order: ClassVar[dict[Noise, int]] = {"scalar": 2}

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """One multiplication by M between two halves of the source."""
        if not isinstance(problem, Affine):
            raise InputError("problem", type(problem).__name__, "an affine diffusion for the trapezoidal step")
        fed = problem.source * h / 2
        steady, noise = (problem.growth - problem.sigma**2 / 2) * h, -problem.sigma * math.sqrt(h)

        def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
            (normal,) = xi
            x.add_(fed).mul_(normal.mul_(noise).add_(steady).exp_()).add_(fed)

        return advance
