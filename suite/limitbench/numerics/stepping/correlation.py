"""The correlation SDE of shaped ReLU networks in rho itself, with an Euler-Maruyama step of twelve passes over memory.

d rho = [nu(rho) - rho (1 - rho^2)/2] dt + (1 - rho^2) dB,   nu(rho) = kappa (sqrt(1 - rho^2) - rho arccos rho),
kappa = (c_+ - c_-)^2/(2 pi) (arXiv 2206.02768). nu/kappa = pi/2 (1 - rho) + s^2 Q(s), where s = sqrt(1 - rho^2) and Q
is analytic on [0, 1]: a polynomial takes the place of the arc cosine, and all of drift and noise but one term has the
factor s^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.random import Stream
from limitbench.numerics.shaping import arc_term
from limitbench.numerics.stepping.euler import EulerMaruyama
from limitbench.numerics.stepping.problem import Advance, Noise, Problem
from limitbench.numerics.stepping.simulate import simulate
from limitbench.numerics.stepping.stepper import Stepper

#: Degrees of the polynomial Q: errors of nu of 2e-6 and 1e-13 kappa.
_DEGREES = {torch.float32: 5, torch.float64: 14}


@final
@dataclass(frozen=True)
class CorrelationSDE(Problem):
    """The correlation of two inputs; states stay in [-1, 1].

    Arguments:
        coefficient: kappa = (c_+ - c_-)^2/(2 pi), at least 0.
    """

    coefficient: float
    noise: ClassVar[Noise] = "scalar"

    def __post_init__(self) -> None:
        if not 0 <= self.coefficient < math.inf:
            raise InputError("coefficient", self.coefficient, "a number of at least 0")

    def drift(self, x: Float[Tensor, "*state"]) -> Float[Tensor, "*state"]:
        """nu(x) - x (1 - x^2)/2, continued as a constant outside [-1, 1]."""
        x = x.clamp(-1, 1)
        gap = 1 - x * x
        return self.coefficient * (gap.sqrt() - x * torch.acos(x)) - x * gap / 2

    def diffusion(self, x: Float[Tensor, "*state"], j: int = 0) -> Float[Tensor, "*state"]:
        """1 - x^2."""
        return 1 - x * x

    def diffusion_derivative(self, x: Float[Tensor, " paths"]) -> Float[Tensor, " paths"]:
        """-2 x."""
        return -2 * x

    def project(self, x: Float[Tensor, "*state"]) -> None:
        """To [-1, 1]."""
        x.clamp_(-1, 1)

    def euler(self, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """The step in twelve operations in place, with three buffers."""
        root, pull = math.sqrt(h), h * self.coefficient * math.pi / 2
        # x' = x + pull (1 - x) + root s^2 [xi + h kappa/root Q(s) - root/2 x], Q by Horner's rule
        lowest, *inner, highest = (h * self.coefficient / root * arc_polynomial(_DEGREES[like.dtype])).tolist()
        one, carried, *rest = (like.new_tensor(value) for value in (1.0, pull, *reversed([lowest, *inner])))
        square, sine, q = (torch.empty_like(like) for _ in range(3))

        def advance(x: Float[Tensor, "*state"], xi: Float[Tensor, "normals paths"]) -> None:
            (normal,) = xi
            torch.addcmul(one, x, x, value=-1, out=square)
            torch.sqrt(square, out=sine)
            torch.add(rest[0], sine, alpha=highest, out=q)
            for coefficient in rest[1:]:
                torch.addcmul(coefficient, q, sine, out=q)
            normal.add_(q).add_(x, alpha=-root / 2)
            torch.add(carried, x, alpha=1 - pull, out=x)
            x.addcmul_(square, normal, value=root)
            x.clamp_(-1, 1)

        return advance


@lru_cache
def arc_polynomial(degree: int) -> Float[np.ndarray, " coefficients"]:
    """Coefficients of Q(s), ascending: sqrt(1 - rho^2) - rho arccos rho = pi/2 (1 - rho) + s^2 Q(s), s^2 = 1 - rho^2.

    Q is even in rho, so that rho > 0 gives all of it; interpolated at Chebyshev nodes.
    """

    def q(s: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, " nodes"]:
        theta = np.arcsin(s)
        return np.asarray((arc_term(theta) - math.pi * np.sin(theta / 2) ** 2) / s**2)

    series = np.polynomial.Chebyshev.interpolate(q, degree, domain=[0, 1])
    return np.asarray(series.convert(kind=np.polynomial.Polynomial).coef)


def correlation_paths(
    coefficient: float,
    *,
    rho0: float,
    times: Sequence[float],
    steps: int,
    paths: int,
    seed: int,
    stepper: Stepper | None = None,
    generator: str = "torch",
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "times paths"]:
    """Correlations of two inputs under the correlation SDE at several times t = sum_l 1/n_l, from one pass.

    Arguments:
        coefficient: kappa = (c_+ - c_-)^2/(2 pi).
        rho0: correlation at time 0, in [-1, 1].
        times: increasing positive times.
        steps: steps up to the last time.
        paths: number of paths.
        seed: start of the stream.
        stepper: `EulerMaruyama()` where it is None; also `Milstein()`, `Platen()`.
        generator: `torch` or `vsl`.
        dtype: float32 or float64.

    Raises `InputError` where a value cannot be accepted. Cost: steps x paths Euler steps at 0.6 of the rate of torch's
    normals, 0.4 of vsl's.
    """
    if not -1 <= rho0 <= 1:
        raise InputError("rho0", rho0, "a number in [-1, 1]")
    return simulate(
        CorrelationSDE(coefficient),
        stepper or EulerMaruyama(),
        start=rho0,
        times=times,
        steps=steps,
        paths=paths,
        stream=Stream(seed, generator=generator),
        dtype=dtype,
    )
