"""The first Gaussian fluctuation of a shaped MLP around its deterministic limit, in continuous time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.equivalence.shaping_ode import correlation_and_variance
from limitbench.theories.shaped_relu.parameters import count, number, positive_time

#: Standard deviations below this are rounding noise of a law without fluctuations.
_NEGLIGIBLE = 1e-9


@final
@dataclass(frozen=True)
class GaussianFluctuation(Theory):
    """rho_l ~ N(rho_t, (d/n) s_t) for an MLP with slopes 1 + c_pm d^-1/2, time t = l/d.

        d rho/dt = nu(rho),   s' = 2 nu'(rho) s + (1 - rho^2)^2,   s_0 = 0,   nu'(rho) = -Delta^2 arccos(rho)/(2 pi).

    In the words of the exponent p of the shaping: d = n^{2p}, so n^{1/2-p} (rho_l - rho_t) -> N(0, s_t). The error of
    the mean, O(d^-1/2) where c_+ + c_- is not 0 and O(1/d) where it is, is not part of it: at p = 1/4 the former is as
    large as the fluctuation. A residual network has other fluctuations (`KernelFluctuation`).

    Arguments:
        time: t in (0, 64].
        slope_difference: Delta = c_+ - c_-.
        rho0: correlation of the two inputs, in [-1, 1].
        depth: d, the number of layers at t = 1.
        width: n.

    Raises `InputError` where a value cannot be accepted. Cost: milliseconds, cached.
    """

    time: float
    slope_difference: float
    rho0: float
    depth: int
    width: int

    name: ClassVar[str] = "gaussian-fluctuation"
    title: ClassVar[str] = "ODE + Gaussian fluctuation"
    reference: ClassVar[str] = "Li & Nica 2023, arXiv 2310.12079"
    time_variable: ClassVar[str] = "t = l/d"
    validity: ClassVar[str] = "shaped MLPs with 1 << d << n and c_+ = -c_-"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        object.__setattr__(self, "slope_difference", number("slope_difference", self.slope_difference))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1, 1))
        for field in ("depth", "width"):
            object.__setattr__(self, field, count(field, getattr(self, field)))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`."""
        return ("correlation",)

    @property
    def scaled_std(self) -> float:
        """sqrt(s_t), the standard deviation of the correlation over (d/n)^1/2."""
        return math.sqrt(max(correlation_and_variance(self.time, self.slope_difference, self.rho0)[1], 0.0))

    def _law(self, observable: str) -> Law:
        rho, _ = correlation_and_variance(self.time, self.slope_difference, self.rho0)
        std = self.scaled_std * math.sqrt(self.depth / self.width)
        return Normal(rho, std) if std > _NEGLIGIBLE else PointMass(rho)
