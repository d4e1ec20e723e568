"""The Euler-Maruyama scheme."""

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
class EulerMaruyama(Stepper):
    """X' = X + a(X) h + sum_j b_j(X) dB_j.

    The cheapest step, for any noise. Problems that have a fused step of their own are stepped by it. Kloeden & Platen
    1992, section 10.2. Cost: one call of the drift and one of each b_j.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"additive": 1.0, "scalar": 0.5, "general": 0.5}
    weak_order: ClassVar[dict[Noise, int]] = {"additive": 1, "scalar": 1, "general": 1}

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """The problem's own step where it has one."""
        return problem.euler(h, like) or _plain(problem, h)


def _plain(problem: Problem, h: float) -> Advance:
    root = math.sqrt(h)

    def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
        columns = [problem.diffusion(x, j) for j in range(problem.noises)]
        x.add_(problem.drift(x), alpha=h)
        for column, normal in zip(columns, xi, strict=True):
            x.addcmul_(column, normal, value=root)
        problem.project(x)

    return advance
