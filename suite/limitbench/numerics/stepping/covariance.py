"""Covariance SDEs in the coordinates of a lower triangular factor C of V = C C', where V is a covariance by itself.

dM^{ab} with d<M^{ab}, M^{cd}> = (V^{ac} V^{bd} + V^{ad} V^{bc}) dt is the noise of dC = C dA, A_ij = B_ij (i > j),
A_ii = B_ii/sqrt 2 - (i/2 - 1/4) t, i = 1 .. m: Bartlett's decomposition of a Wishart matrix in small steps.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.stepping.problem import Noise, Problem

Factors = Float[Tensor, "inputs inputs paths"]


class CovarianceProblem(Problem):
    """A covariance SDE of m inputs, V = C C'; states are factors C, lower triangular, (m, m, paths)."""

    noise: ClassVar[Noise] = "general"
    inputs: int

    @property
    def components(self) -> tuple[int, ...]:
        """(m, m)."""
        return self.inputs, self.inputs

    @property
    def noises(self) -> int:
        """m (m + 1)/2."""
        return self.inputs * (self.inputs + 1) // 2

    def diffusion(self, x: Float[Tensor, "*state"], j: int = 0) -> Float[Tensor, "*state"]:
        """C E_kl, for k = l divided by sqrt 2; the pairs k >= l row by row."""
        k = (math.isqrt(8 * j + 1) - 1) // 2
        column = j - k * (k + 1) // 2
        b = torch.zeros_like(x)
        b[:, column] = x[:, k] if k != column else x[:, k] * math.sqrt(0.5)
        return b

    def drift(self, x: Float[Tensor, "*state"]) -> Float[Tensor, "*state"]:
        """The shaping, and -C diag(i/2 - 1/4) of the noise in these coordinates."""
        column = torch.arange(1, self.inputs + 1, dtype=x.dtype, device=x.device)[:, None]
        return self.shaping(x) - x * (column / 2 - 0.25)

    @abc.abstractmethod
    def shaping(self, x: Factors) -> Factors:
        """Velocity of C by the drift of V."""

    @abc.abstractmethod
    def flow(self, x: Factors, h: float) -> None:
        """Move C in place over the time `h` by the drift of V alone, to second order in h."""


@final
@dataclass(frozen=True)
class CovarianceSDE(CovarianceProblem):
    """Shaped ReLU networks: dV^{ab} = nu(rho^{ab}) sqrt(V^{aa} V^{bb}) dt + dM^{ab} (arXiv 2206.02768).

    Arguments:
        inputs: m.
        coefficient: kappa = (c_+ - c_-)^2/(2 pi); nu = kappa (sin theta - theta cos theta), rho = cos theta.
    """

    inputs: int
    coefficient: float

    def __post_init__(self) -> None:
        if self.inputs < 1:
            raise InputError("inputs", self.inputs, "a positive number")
        if not 0 <= self.coefficient < math.inf:
            raise InputError("coefficient", self.coefficient, "a number of at least 0")

    def shaping(self, x: Factors) -> Factors:
        """Rows of C keep their lengths; infinite where inputs are parallel."""
        norms = x.square().sum(1, keepdim=True).sqrt_()
        unit = x / norms
        rate = torch.zeros_like(x)
        for a in range(1, self.inputs):
            for b in range(a):
                moved = (rate[a, :b] * unit[b, :b]).sum(0) + (unit[a, : b + 1] * rate[b, : b + 1]).sum(0)
                rate[a, b] = (self._nu(_product(unit, a, b)) - moved) / unit[b, b]
            rate[a, a] = -(unit[a, :a] * rate[a, :a]).sum(0) / unit[a, a]
        return rate * norms

    def flow(self, x: Factors, h: float) -> None:
        """Every correlation by Heun's rule for rho' = nu(rho), then a factor of the correlations."""
        if self.coefficient == 0 or self.inputs == 1:
            return
        rows = x[1:]  # those with correlations to rows above
        norms = rows.square().sum(1, keepdim=True).sqrt_()
        rows.div_(norms)
        moved = {(a, b): self._moved(_product(x, a, b), h) for a in range(1, self.inputs) for b in range(a)}
        for a in range(1, self.inputs):
            x[a, 0] = moved[a, 0]
            for b in range(1, a):
                rest = moved[a, b] - (x[a, :b] * x[b, :b]).sum(0)
                # a pivot that vanishes leaves a column of zeros
                torch.div(rest, x[b, b].masked_fill(x[b, b] <= 0, math.inf), out=x[a, b])
            torch.sqrt(x[a, :a].square().sum(0).neg_().add_(1).clamp_(min=0), out=x[a, a])
        rows.mul_(norms)

    def _moved(self, rho: Float[Tensor, " paths"], h: float) -> Float[Tensor, " paths"]:
        slope = self._nu(rho)
        ahead = torch.add(rho, slope, alpha=h).clamp_(-1, 1)
        return slope.add_(self._nu(ahead)).mul_(h / 2).add_(rho).clamp_(-1, 1)

    def _nu(self, rho: Float[Tensor, " paths"]) -> Float[Tensor, " paths"]:
        angle = torch.acos(rho).mul_(rho)
        return torch.addcmul(rho.new_ones(()), rho, rho, value=-1).sqrt_().sub_(angle).mul_(self.coefficient)


@final
@dataclass(frozen=True)
class FlowCovariance(CovarianceProblem):
    """A covariance SDE that is known by the flow of its drift; `Bartlett` steps it, no other stepper.

    Arguments:
        inputs: m.
        drift_flow: moves factors in place over a time, to second order in it. The row of an input that has left its
            domain may become NaN, which the other inputs do not feel.
    """

    inputs: int
    drift_flow: Callable[[Factors, float], None]

    def shaping(self, x: Factors) -> Factors:
        """Not known."""
        raise NotImplementedError("the drift is known by its flow alone")

    def flow(self, x: Factors, h: float) -> None:
        """`drift_flow`."""
        self.drift_flow(x, h)


def _product(x: Factors, a: int, b: int) -> Float[Tensor, " paths"]:
    """Correlation of inputs a > b, whose rows have length 1; that of the first input may have any."""
    return (x[a, 0] if b == 0 else (x[a, : b + 1] * x[b, : b + 1]).sum(0)).clamp(-1, 1)
