"""Heun's scheme for additive noise."""

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
class Heun(Stepper):
    """X' = X + h (a(X) + a(X + h a(X) + b dB))/2 + b dB.

    Weak order two for noise that does not depend on the state, at the cost of two calls of the drift. Kloeden & Platen
    1992, section 15.1.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"additive": 1.0}
    weak_order: ClassVar[dict[Noise, int]] = {"additive": 2}

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """The noise first, then the mean of both slopes."""
        root = math.sqrt(h)

        def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
            slope = problem.drift(x)
            for j, normal in enumerate(xi):
                x.addcmul_(problem.diffusion(x, j), normal, value=root)
            ahead = problem.drift(x + h * slope)
            x.add_(slope.add_(ahead), alpha=h / 2)
            problem.project(x)

        return advance
