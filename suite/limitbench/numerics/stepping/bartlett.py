"""Bartlett's step of covariance SDEs: random lower triangular factors, so that V stays a covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.stepping.covariance import CovarianceProblem, Factors
from limitbench.numerics.stepping.problem import Advance, Noise, Problem
from limitbench.numerics.stepping.stepper import Stepper


@final
@dataclass(frozen=True)
class Bartlett(Stepper):
    """Half a step of drift, the noise over h, half a step of drift (Strang), for a `CovarianceProblem` alone.

    The noise is C <- C D U D with D = diag exp(sqrt(h/4) xi_i - i h/4) the exact flow of the diagonal over h/2 and U
    unit lower triangular with entries sqrt(h) eta_ij plus the iterated integrals (eta_ik eta_kj + sign) h/2 (Talay), so
    that V keeps its mean and stays positive semi-definite; norms and determinant have no step error where the drift
    leaves them alone. Weak order two. Halves of drift that meet are one.

    Cost: m exponentials twice, m (m - 1)/2 normals and m^3/3 multiplications, and one call of the flow.
    """

    strong_order: ClassVar[dict[Noise, float | None]] = {"general": 0.5}
    weak_order: ClassVar[dict[Noise, int]] = {"general": 2}

    def normals(self, problem: Problem) -> int:
        """Two for every input, and one for each iterated integral of two inputs or three."""
        m = _covariance(problem).inputs
        return 2 * m + m * (m - 1) // 2 + m * (m - 1) * (m - 2) // 6

    def block_bytes(self, problem: Problem) -> int:
        """Twice the usual: its many short calls work on rows of the state."""
        return 3 << 19

    def join(
        self,
        problem: Problem,
        first: Float[Tensor, "normals paths"],
        second: Float[Tensor, "normals paths"],
    ) -> Float[Tensor, "normals paths"]:
        """Increments add; signs belong to no Brownian path."""
        m = _covariance(problem).inputs
        below = slice(2 * m, 2 * m + m * (m - 1) // 2)
        joined = first.clone()  # with its signs
        joined[:m] += first[m : 2 * m]
        joined[m : 2 * m] = second[:m] + second[m : 2 * m]
        joined[below] += second[below]
        joined[: below.stop] *= math.sqrt(0.5)
        return joined

    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """Drift and noise in place."""
        return _Strang(_covariance(problem), h, like)

    def finish(self, problem: Problem, advance: Advance, x: Float[Tensor, "*state"]) -> None:
        """The half step of drift that is due."""
        assert isinstance(advance, _Strang)
        advance.finish(x)


@final
class BartlettNoise:
    """The noise of a covariance SDE over a step of length `h`, by right multiplication of m x m factors.

    Arguments:
        inputs: m.
        h: length of the step.
        like: a tensor of the states' dtype and device.
    """

    def __init__(self, inputs: int, h: float, like: Tensor) -> None:
        self.inputs, self.h = inputs, h
        self._shift = h / 4 * torch.arange(1, inputs + 1, dtype=like.dtype, device=like.device)[:, None]

    def scale(self, x: Factors, xi: Float[Tensor, "inputs paths"]) -> None:
        """Multiply column i by exp(sqrt(h/4) xi_i - i h/4), i = 1 .. m: the diagonal over h/2."""
        x.mul_(xi.mul_(math.sqrt(self.h / 4)).sub_(self._shift).exp_())

    def shear(self, x: Factors, xi: Float[Tensor, "normals paths"]) -> None:
        """Multiply from the right by the flow of the below-diagonal noise over h, with unit diagonal."""
        m, root = self.inputs, math.sqrt(self.h)
        increment = {pair: xi[at] for at, pair in enumerate((i, j) for i in range(1, m) for j in range(i))}
        signs = iter(xi[len(increment) :].sign_())
        for j in range(m - 1):
            for i in range(j + 1, m):
                entry = increment[i, j]
                for k in range(j + 1, i):
                    # Iterated integral of two independent increments (Talay): same moments to second order.
                    area = torch.addcmul(next(signs), increment[i, k], increment[k, j])
                    entry = torch.add(entry, area, alpha=root / 2)
                # Columns from left to right read only columns to their right, which are still those before the step.
                x[i:, j].addcmul_(x[i:, i], entry, value=root)


@final
class _Strang:
    """Steps of which the drift's halves that meet are one: what is due of it comes before the next noise."""

    def __init__(self, problem: CovarianceProblem, h: float, like: Factors) -> None:
        self._problem, self._h, self._due = problem, h, h / 2
        self._noise = BartlettNoise(problem.inputs, h, like)

    def __call__(self, x: Factors, xi: Float[Tensor, "normals paths"]) -> None:
        m = self._problem.inputs
        self._problem.flow(x, self._due)
        self._due = self._h
        self._noise.scale(x, xi[:m])
        self._noise.shear(x, xi[2 * m :])
        self._noise.scale(x, xi[m : 2 * m])

    def finish(self, x: Factors) -> None:
        self._problem.flow(x, self._due - self._h / 2)
        self._due = self._h / 2


def _covariance(problem: Problem) -> CovarianceProblem:
    if not isinstance(problem, CovarianceProblem):
        raise InputError("problem", type(problem).__name__, "a covariance SDE for Bartlett's step")
    return problem
