"""Platen's explicit scheme of weak order two for any noise, without derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.stepping.problem import Advance, Noise, Problem
from limitbench.numerics.stepping.stepper import Stepper


@final
@dataclass(frozen=True)
class Platen(Stepper):
    """Weak order two by supporting values Y_pm^j = X + a h pm b_j sqrt(h) and U_pm^j = X pm b_j sqrt(h).

        X' = X + h (a + a(X + a h + sum_j b_j dB_j))/2
           + 1/4 sum_j { (b_j(Y_+^j) + b_j(Y_-^j) + 2 b_j) dB_j + (b_j(Y_+^j) - b_j(Y_-^j)) (dB_j^2 - h)/sqrt(h) }
           + 1/4 sum_{j != r} { (b_j(U_+^r) + b_j(U_-^r) - 2 b_j) dB_j
                                + (b_j(U_+^r) - b_j(U_-^r)) (dB_j dB_r + V_rj)/sqrt(h) },

    V_rj = -V_jr = pm h with equal probability, the sign of a further normal. Kloeden & Platen 1992, section 15.1,
    equation (1.3). Cost: two calls of the drift, 3 + 2 (m - 1) of each of m functions b_j.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"additive": 1.0, "scalar": 1.0, "general": 0.5}
    weak_order: ClassVar[dict[Noise, int]] = {"additive": 2, "scalar": 2, "general": 2}

    def normals(self, problem: Problem) -> int:
        """One for every noise, and one for the sign of every pair."""
        m = problem.noises
        return m + m * (m - 1) // 2

    def block_bytes(self, problem: Problem) -> int:
        """Small for a scalar: the allocator hands larger temporaries back to the system every time."""
        return 1 << 17 if problem.noises == 1 else super().block_bytes(problem)

    def join(
        self,
        problem: Problem,
        first: Float[Tensor, "normals paths"],
        second: Float[Tensor, "normals paths"],
    ) -> Float[Tensor, "normals paths"]:
        """Increments add; signs belong to no Brownian path."""
        joined = first.clone()
        joined[: problem.noises].add_(second[: problem.noises]).mul_(math.sqrt(0.5))
        return joined

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """Not in place: about 12 m^2 tensors of the size of the state."""
        root, m = math.sqrt(h), problem.noises
        b = problem.diffusion

        def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
            db, signs = xi[:m] * root, iter(torch.sign(xi[m:]))
            area = {}
            for r in range(m):
                for j in range(r):
                    area[j, r] = h * next(signs)
                    area[r, j] = -area[j, r]
            slope = problem.drift(x)
            column = [b(x, j) for j in range(m)]
            carried = x + h * slope
            change = h / 2 * slope
            ahead = carried.clone()
            for j in range(m):
                ahead.addcmul_(column[j], db[j])
                up, down = b(carried + root * column[j], j), b(carried - root * column[j], j)
                change += (up + down + 2 * column[j]) * (db[j] / 4)
                change += (up - down) * ((db[j] ** 2 - h) / (4 * root))
            for r in range(m):
                above, below = x + root * column[r], x - root * column[r]
                for j in range(m):
                    if j == r:
                        continue
                    up, down = b(above, j), b(below, j)
                    change += (up + down - 2 * column[j]) * (db[j] / 4)
                    change += (up - down) * ((db[j] * db[r] + area[r, j]) / (4 * root))
            x += change.add_(problem.drift(ahead), alpha=h / 2)
            problem.project(x)

        return advance
