"""The interface of a law, its moments by quadrature of the quantile function, and the levels that stores keep."""

from __future__ import annotations

import abc
import math

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.display import curve, facts


class Law(abc.ABC):
    """The probability law of one observable.

    `cdf` and `quantile` are vectorised over any shape, float64 in and out; `quantile` is the generalised inverse of
    `cdf` on (0, 1).
    """

    #: True for a deterministic prediction: all mass at one point.
    is_point_mass: bool = False
    #: Number of draws behind an estimated law (then tests are two-sample tests), None for an exact one.
    reference_size: int | None = None
    #: Bound on the error of `cdf`; 0 for closed forms.
    cdf_error: float = 0.0

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """Mean; NaN where it does not exist."""

    @property
    @abc.abstractmethod
    def std(self) -> float:
        """Standard deviation; NaN where it does not exist."""

    @abc.abstractmethod
    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """P(X <= x)."""

    @abc.abstractmethod
    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """The generalised inverse of the cdf at levels u in (0, 1)."""

    def sample(self, n: int, *, seed: int = 0) -> Float[np.ndarray, " n"]:
        """`n` independent draws by inversion; the same seed gives the same draws."""
        u = np.random.Generator(np.random.SFC64(seed)).random(n)
        return self.quantile(np.clip(u, np.finfo(float).tiny, 1 - np.finfo(float).epsneg))

    def _repr_html_(self) -> str:
        """Density, moments and quantiles, for notebooks."""
        kind = type(self).__name__
        if self.is_point_mass:
            return facts(kind, [("value", self.mean)])
        levels = (0.01, 0.05, 0.5, 0.95, 0.99)
        rows = [("mean", self.mean), ("standard deviation", self.std)]
        rows += [(f"{level:.0%} quantile", float(self.quantile(level))) for level in levels]
        edges = np.linspace(float(self.quantile(0.002)), float(self.quantile(0.998)), 66)
        density = curve((edges[1:] + edges[:-1]) / 2, np.diff(self.cdf(edges)), "density, 0.2 % to 99.8 %")
        return facts(kind, [*rows, ("draws behind it", self.reference_size)], density)


def quantile_levels() -> Float[np.ndarray, " 513"]:
    """The 513 levels at which stores keep a law: 1e-4 to 1 - 1e-4, evenly spaced in ndtri(u), symmetric about 1/2."""
    half = ndtri(1e-4)
    lower = ndtr(np.linspace(half, 0.0, 257))
    lower[0], lower[-1] = 1e-4, 0.5
    return np.concatenate([lower, 1.0 - lower[-2::-1]])


def quantile_moments(law: Law, *, nodes: int = 4097) -> tuple[float, float]:
    """Mean and standard deviation of `law`: the trapezoid rule for ∫ Q(Φ(z))^k φ(z) dz on |z| <= 8.2.

    The integrand and all its derivatives vanish at the ends, so the rule converges faster than any power for a smooth
    quantile function Q. Mass beyond |z| = 8.2 (2e-16) is left out: use a closed form for laws with power-law tails.
    """
    z, step = np.linspace(-8.2, 8.2, nodes, retstep=True)
    weight = np.exp(-z * z / 2) * (step / math.sqrt(2 * math.pi))
    weight /= weight.sum()
    x = law.quantile(ndtr(z))
    mean = float((weight * x).sum())
    return mean, math.sqrt(max(float((weight * (x - mean) ** 2).sum()), 0.0))
