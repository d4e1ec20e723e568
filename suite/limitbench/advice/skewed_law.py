"""A smooth law with three given cumulants: what a sum of many independent layers looks like, without inversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.statistics.base import Law


@final
@dataclass(frozen=True)
class SkewedLaw(Law):
    """X = mean + std (exp(k xi - k^2/2) - 1)/s for a standard normal xi, k^2 = ln(1 + s^2), sign(k) = sign(s).

    s solves s^3 + 3 s = skewness, so mean, std and third cumulant are exact. For a sum of d independent layers of
    width n the next cumulant is O(1/(d n)) in standard units: that is the error of the quantiles, in units of D.

    Arguments:
        location, scale: mean and standard deviation.
        skewness: third cumulant over scale^3; 0 gives the normal law.
    """

    location: float
    scale: float
    skewness: float = 0.0

    @property
    def mean(self) -> float:
        """The mean."""
        return self.location

    @property
    def std(self) -> float:
        """The standard deviation."""
        return self.scale

    @cached_property
    def _shape(self) -> tuple[float, float]:
        s = 2 * math.sinh(math.asinh(self.skewness / 2) / 3)
        s = s if abs(s) > 1e-9 else 1e-9  # normal to rounding
        return s, math.copysign(math.sqrt(math.log1p(s * s)), s)

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Increasing in the normal score of u."""
        s, k = self._shape
        return np.asarray(self.location + self.scale * np.expm1(k * ndtri(np.asarray(u)) - k * k / 2) / s)

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Phi of the score; 0 or 1 beyond the end of the support."""
        s, k = self._shape
        with np.errstate(divide="ignore"):
            inside: Any = np.log(np.maximum(1 + s * (np.asarray(x) - self.location) / self.scale, 0))
        return np.asarray(ndtr((inside + k * k / 2) / k))
