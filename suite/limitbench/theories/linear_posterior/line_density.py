"""The density on the line behind the law of the mixing matrix: a normal in the limit, a log-gamma sum at finite size.

For one output it is the density of ln Q itself; for two, the law of Q follows from it by one integral (`mixing_law`).
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, polygamma

from limitbench.numerics.characteristic import score_nodes
from limitbench.numerics.log_gamma_sum import LogGammaSum

#: Normal scores within which a density is resolved: e^{-100} of its peak.
_SCORE = 14.0

Points = Float[np.ndarray, "*shape"]


class LineDensity(abc.ABC):
    """A log-concave density p on the line and the constant C that belongs to it."""

    #: ln C.
    log_constant: float

    @property
    @abc.abstractmethod
    def ends(self) -> tuple[float, float]:
        """Where ln p has fallen by about 100 from its peak, left and right."""

    @property
    @abc.abstractmethod
    def std(self) -> float:
        """Standard deviation."""

    @abc.abstractmethod
    def log_density(self, x: Points) -> Points:
        """ln p."""

    @abc.abstractmethod
    def slope(self, x: Points) -> Points:
        """Derivative of ln p."""


@final
@dataclass(frozen=True)
class LimitDensity(LineDensity):
    """N(-(D + 1) alpha/2, 2 alpha) for D = 1, 2 outputs."""

    alpha: float
    outputs: int

    @property
    def log_constant(self) -> float:  # type: ignore[override]
        """0 for one output, -alpha/8 for two."""
        return -self.alpha / 8 if self.outputs == 2 else 0.0

    @property
    def mean(self) -> float:
        """-(D + 1) alpha/2."""
        return -(self.outputs + 1) * self.alpha / 2

    @property
    def std(self) -> float:
        """sqrt(2 alpha)."""
        return math.sqrt(2 * self.alpha)

    @property
    def ends(self) -> tuple[float, float]:
        """Mean -+ 14 standard deviations."""
        return self.mean - _SCORE * self.std, self.mean + _SCORE * self.std

    def log_density(self, x: Points) -> Points:
        """Closed form."""
        return np.asarray(-(((x - self.mean) / self.std) ** 2) / 2 - math.log(self.std * math.sqrt(2 * math.pi)))

    def slope(self, x: Points) -> Points:
        """Closed form."""
        return np.asarray((self.mean - x) / self.std**2)


@final
@dataclass(frozen=True)
class FiniteDensity(LineDensity):
    """Sum of L terms ln(2 gamma_a/N) with a = N/2 - (D - 1)/4, for D = 1, 2 outputs."""

    width: int
    depth: int
    outputs: int

    @property
    def log_constant(self) -> float:  # type: ignore[override]
        """0 for one output, L [2 ln Gamma(a) - ln Gamma(a - 1/4) - ln Gamma(a + 1/4)] for two."""
        if self.outputs == 1:
            return 0.0
        a = self._sum.shape
        return float(self.depth * (2 * gammaln(a) - gammaln(a - 0.25) - gammaln(a + 0.25)))

    @cached_property
    def _sum(self) -> LogGammaSum:
        return LogGammaSum(self.width / 2 - (self.outputs - 1) / 4, self.width / 2, self.depth)

    @cached_property
    def _spline(self) -> CubicSpline:
        x = score_nodes(self._sum, 801, score=_SCORE)
        return CubicSpline(x, self._sum.log_density(x))

    @property
    def std(self) -> float:
        """sqrt(L psi_1(a))."""
        return math.sqrt(self.depth * float(polygamma(1, self._sum.shape)))

    @property
    def ends(self) -> tuple[float, float]:
        """Normal scores -+14."""
        return float(self._spline.x[0]), float(self._spline.x[-1])

    def log_density(self, x: Points) -> Points:
        """Cubic spline of the inverted generating function, continued linearly."""
        inside = np.clip(x, *self.ends)
        value = np.asarray(self._spline(inside))
        beyond = inside != x
        value[beyond] += self._spline(inside[beyond], 1) * (x - inside)[beyond]
        return value

    def slope(self, x: Points) -> Points:
        """Derivative of that spline."""
        return np.asarray(self._spline(np.clip(x, *self.ends), 1))
