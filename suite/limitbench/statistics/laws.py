"""Laws: the probability law of one observable, by its cdf and quantile function.

A law is closed form, tabulated (from a partial differential equation or a characteristic function), empirical (from
simulated paths), a monotone function of another law, or a point mass. Scores use `cdf` and `quantile`, never a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.errors import InputError
from limitbench.statistics.base import Law, quantile_levels, quantile_moments
from limitbench.statistics.tabulated import Tabulated

__all__ = ["Empirical", "Law", "Normal", "PointMass", "Tabulated", "Transformed", "quantile_levels"]


@final
@dataclass(frozen=True)
class PointMass(Law):
    """The deterministic prediction X = x.

    Raises `InputError` where x is not finite.
    """

    x: float
    is_point_mass = True

    def __post_init__(self) -> None:
        if not np.isfinite(self.x):
            raise InputError("x", self.x, "a finite number")

    @property
    def mean(self) -> float:
        """x."""
        return float(self.x)

    @property
    def std(self) -> float:
        """0."""
        return 0.0

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """1 where the argument is at least x, else 0."""
        return np.asarray(np.asarray(x) >= self.x, dtype=float)

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """x at every level."""
        return np.full(np.shape(u), float(self.x))


@final
@dataclass(frozen=True)
class Bernoulli(Law):
    """X = 1 with the given probability, else 0: whether a network has died or exploded.

    Scored by the difference of the two frequencies, `reference_size` draws behind an estimated probability included.

    Raises `InputError` where the probability is not in (0, 1); use `PointMass` at its ends.
    """

    probability: float
    reference_size: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise InputError("probability", self.probability, "a number between 0 and 1, ends excluded")

    @property
    def mean(self) -> float:
        """The probability."""
        return float(self.probability)

    @property
    def std(self) -> float:
        """√(p (1 - p))."""
        return float(np.sqrt(self.probability * (1 - self.probability)))

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """0 below 0, 1 - p from 0 on, 1 from 1 on."""
        at = np.asarray(x)
        return np.where(at >= 1, 1.0, np.where(at >= 0, 1.0 - self.probability, 0.0))

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """0 up to level 1 - p, then 1."""
        return np.asarray(np.asarray(u) > 1.0 - self.probability, dtype=float)


@final
@dataclass(frozen=True, init=False)
class Normal(Law):
    """The normal law with the given mean and standard deviation.

    F(x) = Φ((x - mean)/std); relative accuracy 1e-14 in the lower tail down to 1e-300.

    Raises `InputError` where mean is not finite or std not positive and finite (use `PointMass` for std = 0).

    >>> float(Normal(0.0, 2.0).quantile(0.975).round(3))
    3.92
    """

    location: float
    scale: float

    def __init__(self, mean: float, std: float) -> None:
        if not np.isfinite(mean):
            raise InputError("mean", mean, "a finite number")
        if not (np.isfinite(std) and std > 0):
            raise InputError("std", std, "a positive finite number")
        object.__setattr__(self, "location", float(mean))
        object.__setattr__(self, "scale", float(std))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.location

    @property
    def std(self) -> float:
        """The standard deviation."""
        return self.scale

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Φ((x - mean)/std)."""
        return np.asarray(ndtr((np.asarray(x) - self.location) / self.scale))

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Mean + std Φ^-1(u)."""
        return np.asarray(self.location + self.scale * ndtri(np.asarray(u)))


@final
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Empirical(Law):
    """The law estimated by M draws: F(x) = #{draws <= x}/M, Q(u) = the ceil(uM)-th smallest draw.

    Tests against it are two-sample tests; scores resample the draws, in their given order, inside the bootstrap.

    Raises `InputError` where a draw is not finite or there are none.

    >>> law = Empirical([3.0, 1.0, 2.0, 4.0])
    >>> float(law.cdf(2.5)), float(law.quantile(0.5)), law.reference_size
    (0.5, 2.0, 4)
    """

    draws: Float[np.ndarray, " M"]
    ordered: Float[np.ndarray, " M"]

    def __init__(self, draws: Any) -> None:
        values = np.array(draws, dtype=float).ravel()
        if not values.size or not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise InputError("draws", f"{values.size} values, {bad} not finite", "at least one draw, all finite")
        ordered = np.sort(values)
        values.setflags(write=False)
        ordered.setflags(write=False)
        object.__setattr__(self, "draws", values)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "reference_size", int(values.size))

    def __repr__(self) -> str:
        return f"Empirical({self.reference_size} draws, mean {self.mean:.6g}, std {self.std:.6g})"

    @property
    def mean(self) -> float:
        """Mean of the draws."""
        return float(self.ordered.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the draws (divisor M)."""
        return float(self.ordered.std())

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Fraction of draws <= x (right-continuous)."""
        return np.asarray(np.searchsorted(self.ordered, np.asarray(x), side="right") / self.ordered.size)

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """The smallest draw whose cdf is at least u."""
        # the relative slack keeps u = k/M at the k-th draw although u M rounds up
        at = np.ceil(np.asarray(u) * self.ordered.size * (1 - 4e-16)).astype(np.int64) - 1
        return np.asarray(self.ordered[np.clip(at, 0, self.ordered.size - 1)])


@final
@dataclass(frozen=True, eq=False)
class Transformed(Law):
    """The law of Y = g(X) for a strictly monotone g.

    F_Y(y) = F_X(g^-1(y)), or 1 - F_X(g^-1(y)) for decreasing g (X then needs a continuous law); Q_Y(u) = g(Q_X(u)) or
    g(Q_X(1 - u)). Mean and standard deviation by quadrature over quantiles (`quantile_moments`).

    Arguments:
        law: the law of X.
        forward: g, vectorised.
        inverse: g^-1, vectorised; outside the range of g it may be infinite or NaN.
        increasing: whether g increases.

    Module-level functions keep it picklable.
    """

    law: Law
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    increasing: bool = True

    def __post_init__(self) -> None:
        for name in ("is_point_mass", "reference_size", "cdf_error"):
            object.__setattr__(self, name, getattr(self.law, name))

    @cached_property
    def _moments(self) -> tuple[float, float]:
        return quantile_moments(self)

    @property
    def mean(self) -> float:
        """∫ g(Q(u)) du."""
        return self._moments[0]

    @property
    def std(self) -> float:
        """Standard deviation, by the same quadrature."""
        return self._moments[1]

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """P(g(X) <= x)."""
        with np.errstate(all="ignore"):
            before = np.asarray(self.inverse(np.asarray(x)), dtype=float)
        inner = self.law.cdf(before)
        value = inner if self.increasing else 1.0 - inner
        outside = np.isnan(before) & ~np.isnan(x)
        return np.where(outside, np.asarray(x) > self.quantile(0.5), value)

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """g of the quantile of X at u, or at 1 - u for decreasing g."""
        level = np.asarray(u)
        if not self.increasing:
            level = np.clip(1.0 - level, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)
        return np.asarray(self.forward(self.law.quantile(level)), dtype=float)
