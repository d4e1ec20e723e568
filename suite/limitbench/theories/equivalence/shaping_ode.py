"""The deterministic limit that a shaped MLP and a residual network share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from scipy.integrate import solve_ivp

from limitbench.numerics.shaping import arc_term, shaping_coefficient
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.equivalence.parameters import Gram, covariance_names, two_or_three_inputs
from limitbench.theories.shaped_relu.parameters import number, positive_time

#: Tolerance of the integration, in rho and in its variance.
_TOLERANCE = 1e-11
#: Of growth x time: e^700 is inside the range of floats.
_LARGEST = 700.0


@final
@dataclass(frozen=True)
class ShapingODE(Theory):
    """Depth d and width n to infinity, time t = l/d.

        d rho/dt = nu(rho) = Delta^2/(2 pi) (sqrt(1 - rho^2) - rho arccos rho),   V^aa_t = V^aa_0 e^{growth t}

    with Delta = c_+ - c_- for an MLP with slopes 1 + c_pm d^-1/2 (then d/n -> 0), Delta = s_+ - s_- for a residual
    network z + (d n)^-1/2 W phi(z) (then d and n at any relative rate). The norm of the MLP and of a residual network
    that is normalised at every layer is constant, growth = 0; that of the plain one has growth = (s_+^2 + s_-^2)/2.

    `correlation` is that of inputs 1 and 2, `covariance_ab` of two or three inputs of any norms, `log_norm` = 0, as
    the growth per layer is taken off. All are point masses.

    Arguments:
        time: t in (0, 64].
        slope_difference: Delta.
        gram: V_0 of two or three inputs.
        growth: rate at which squared norms grow, at most 700/t.

    Raises `InputError` where a value cannot be accepted. Cost: milliseconds, cached.
    """

    time: float
    slope_difference: float
    gram: Gram
    growth: float = 0.0

    name: ClassVar[str] = "shaping-ode"
    title: ClassVar[str] = "shaping ODE"
    reference: ClassVar[str] = "Li & Nica 2023, arXiv 2310.12079"
    time_variable: ClassVar[str] = "t = l/d"
    validity: ClassVar[str] = "errors O(1/d), O(d/n) for MLPs, and O(d^-1/2) where c_+ + c_- is not 0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        object.__setattr__(self, "slope_difference", number("slope_difference", self.slope_difference))
        object.__setattr__(self, "gram", two_or_three_inputs(self.gram))
        object.__setattr__(self, "growth", number("growth", self.growth, -math.inf, _LARGEST / self.time))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_norm`, `covariance_ab` for a <= b."""
        return ("correlation", "log_norm", *covariance_names(self.gram))

    def _law(self, observable: str) -> Law:
        if observable == "log_norm":
            return PointMass(0.0)
        a, b = covariance_names(self.gram).get(observable, (0, 1))
        scale = math.sqrt(self.gram[a][a]) * math.sqrt(self.gram[b][b])
        rho0 = min(max(self.gram[a][b] / scale, -1.0), 1.0) if a != b else 1.0
        rho, _ = correlation_and_variance(self.time, self.slope_difference, rho0)
        return PointMass(rho if observable == "correlation" else scale * math.exp(self.growth * self.time) * rho)


@lru_cache(maxsize=1024)
def correlation_and_variance(time: float, slope_difference: float, rho0: float) -> tuple[float, float]:
    """rho_t of the ODE and s_t of its fluctuation, s' = 2 nu'(rho) s + (1 - rho^2)^2, s_0 = 0.

    nu'(rho) = -Delta^2 arccos(rho)/(2 pi); both to 1e-9.
    """
    coefficient = shaping_coefficient(slope_difference, 0.0)

    def rates(_: float, state: np.ndarray) -> list[float]:
        rho = float(np.clip(state[0], -1.0, 1.0))
        angle = math.acos(rho)
        return [
            coefficient * float(arc_term(angle)),
            -2 * coefficient * angle * float(state[1]) + (1 - rho**2) ** 2,
        ]

    solved = solve_ivp(rates, (0.0, time), [rho0, 0.0], method="DOP853", rtol=_TOLERANCE, atol=_TOLERANCE)
    return min(float(solved.y[0, -1]), 1.0), float(solved.y[1, -1])
