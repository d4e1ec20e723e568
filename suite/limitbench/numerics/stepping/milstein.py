"""Milstein's scheme for one noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.stepping.problem import Advance, Noise, Problem
from limitbench.numerics.stepping.stepper import Stepper


@final
@dataclass(frozen=True)
class Milstein(Stepper):
    """X' = X + a h + b dB + b b' (dB^2 - h)/2.

    Strong order one for a scalar state and noise: the scheme for multilevel Monte Carlo. Kloeden & Platen 1992,
    section 10.3. Cost: one call of the drift, of b and of its derivative b'.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"additive": 1.0, "scalar": 1.0}
    weak_order: ClassVar[dict[Noise, int]] = {"additive": 1, "scalar": 1}

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """Euler-Maruyama and the iterated integral of the noise."""
        root = math.sqrt(h)

        def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
            (normal,) = xi
            b = problem.diffusion(x)
            slope = problem.diffusion_derivative(x)
            x.add_(problem.drift(x), alpha=h)
            x.addcmul_(b, normal, value=root)
            normal.square_().sub_(1)
            x.addcmul_(b.mul(slope), normal, value=h / 2)
            problem.project(x)

        return advance
