"""The density of a sum of log-gamma variables, with small relative error however far in the tails.

X = sum of `count` independent ln(gamma_a / b) has E exp(sX) = [Gamma(a + s)/Gamma(a) b^-s]^count. Its density is

    p(x) = (1/2 pi) int exp(K(c + iu) - (c + iu) x) du,    K = ln E exp(sX),

on the line through the saddle point K'(c) = x, where the integrand does not oscillate: the trapezoidal rule converges
geometrically and nothing cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy.special import digamma, gammaln, loggamma, polygamma

#: Tolerated logarithm of the relative truncation and aliasing errors.
_LOG_ERROR = 38.0


@dataclass(frozen=True)
class LogGammaSum:
    """X = sum of `count` independent ln(gamma_`shape` / `scale`); 2 gamma_a is a chi-square of 2a degrees of freedom.

    Arguments:
        shape: a, positive, any number.
        scale: b.
        count: number of terms.
    """

    shape: float
    scale: float
    count: int

    @property
    def edge(self) -> float:
        """Left edge -a of the strip where E exp(sX) is finite."""
        return -self.shape

    def log_mgf(self, s: Complex[np.ndarray, "*shape"]) -> Complex[np.ndarray, "*shape"]:
        """K(s); relative to 1, the rounding error is 1e-16 `count` a ln a."""
        return np.asarray(self.count * (loggamma(self.shape + s) - loggamma(self.shape) - s * math.log(self.scale)))

    def slope(self, s: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """K'(s)."""
        return np.asarray(self.count * (digamma(self.shape + s) - math.log(self.scale)))

    def log_density(self, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """ln p(x) up to the rounding of K; closed form for one term. Cost: some hundred evaluations of K a point."""
        if self.count == 1:
            return np.asarray(self.shape * (x + math.log(self.scale)) - self.scale * np.exp(x) - gammaln(self.shape))
        return self.inverted_log_density(x)

    def inverted_log_density(self, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """ln p(x) by inversion for any number of terms."""
        c = self._saddle(x)
        spread = np.sqrt(self.count * polygamma(1, self.shape + c))
        # aliases lie 2 pi / step away: beyond the bulk of the law tilted by exp(cX), and its exponential left tail
        step = 2 * math.pi / np.maximum(16 * spread, _LOG_ERROR / (self.shape + c))
        base = self.log_mgf(c.astype(complex)).real
        reach = step.copy()
        while np.any(short := self.log_mgf(c + 1j * reach).real - base > -_LOG_ERROR):
            reach[short] *= 1.5
        u = np.arange(math.ceil(float(np.max(reach / step))) + 1)
        s = c[:, None] + 1j * step[:, None] * u
        terms = np.exp(self.log_mgf(s) - base[:, None] - 1j * step[:, None] * u * x[:, None]).real
        terms[:, 0] /= 2
        return np.asarray(base - c * x + np.log(step / math.pi * terms.sum(axis=1)))

    def _saddle(self, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The root c of K'(c) = x, by bisection in ln(a + c)."""
        low, high = np.full_like(x, -700.0), np.full_like(x, math.log(self.shape) + 1)
        while np.any(short := self.slope(np.exp(high) - self.shape) < x):
            high[short] += 1
        for _ in range(60):
            middle = (low + high) / 2
            below = self.slope(np.exp(middle) - self.shape) < x
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(np.exp((low + high) / 2) - self.shape)
