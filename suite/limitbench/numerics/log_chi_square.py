"""Sums of logarithms of independent chi-square variables: generating function and cumulants.

X = sum_j count_j ln(chi2_{k_j} / N_j), for instance ln Q_11 of a deep linear network, has

    ln E exp(sX) = sum_j count_j [ln Gamma(k_j/2 + s) - ln Gamma(k_j/2) + s ln(2/N_j)],   Re s > -min k_j / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy.special import bernoulli, digamma, log1p, loggamma, polygamma

#: From this shape parameter on, differences of log-gamma functions are taken term by term in Stirling's series.
_STIRLING = 32.0
#: Terms of the series below this change nothing.
_ROUNDING = 1e-18
_SERIES = [(n, bernoulli(2 * n)[-1] / (2 * n * (2 * n - 1))) for n in range(1, 9)]

Shapes = float | Float[np.ndarray, "*shapes"]


@dataclass(frozen=True)
class LogChiSquareSum:
    """X = sum_j count_j ln(chi2_{degrees_j} / scale_j), all variables independent.

    Arguments:
        terms: triples (degrees k, scale N, count), each positive; equal pairs (k, N) may be merged by the caller.
    """

    terms: tuple[tuple[int, float, int], ...]

    @property
    def edge(self) -> float:
        """Left edge -min k / 2 of the strip where E exp(sX) is finite."""
        return -min(degrees for degrees, _, _ in self.terms) / 2

    def log_mgf(self, s: Complex[np.ndarray, "*shape"]) -> Complex[np.ndarray, "*shape"]:
        """ln E exp(sX)."""
        total = np.zeros_like(s)
        for degrees, scale, count in self.terms:
            total += count * (log_gamma_ratio(degrees / 2, s) + s * math.log(degrees / scale))
        return total

    def slope(self, s: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Derivative of `log_mgf` at real s."""
        total = np.zeros_like(s)
        for degrees, scale, count in self.terms:
            total += count * (digamma(degrees / 2 + s) - math.log(scale / 2))
        return total

    def cumulant(self, order: int) -> float:
        """Cumulant of the given order: psi(k/2) - ln(N/2) summed for the mean, psi^(order - 1)(k/2) above."""
        if order == 1:
            return float(self.slope(np.zeros(1))[0])
        return float(sum(count * polygamma(order - 1, degrees / 2) for degrees, _, count in self.terms))


def log_gamma_ratio(a: Shapes, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    """ln Gamma(a + s) - ln Gamma(a) - s ln a without cancellation at large a, for Re s > -3a/4.

    From a = 32 on by Stirling's series,
    (a + s - 1/2) ln(1 + s/a) - s + sum_n B_2n / (2n (2n - 1)) ((a + s)^{1-2n} - a^{1-2n}).
    The difference of two values of ln Gamma would lose a digit for every factor ten in a, times the depth. An array of
    `a`, in increasing order and last among the dimensions, is broadcast against `s`.
    """
    if np.ndim(a):
        few = int(np.searchsorted(a, _STIRLING))
        parts = [f(part, s) for f, part in ((_by_difference, a[:few]), (_by_series, a[few:])) if part.size]  # type: ignore[index]
        return np.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
    return _by_difference(a, s) if a < _STIRLING else _by_series(a, s)


def _by_difference(a: Shapes, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    return np.asarray(loggamma(a + s) - loggamma(a) - s * np.log(a))


def _by_series(a: Shapes, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
    # scipy's complex log1p is accurate near 0; numpy's is not.
    ratio = (a + s - 0.5) * log1p(s / a) - s
    inverse = 1 / (a + s)
    square, power, real = inverse * inverse, inverse, 1 / a
    closest = float(np.min(a)) / 4  # |a + s| is at least this
    for n, coefficient in _SERIES:
        if abs(coefficient) * closest ** (1 - 2 * n) < _ROUNDING:
            break
        ratio += coefficient * (power - real)
        power, real = power * square, real / (a * a)
    return np.asarray(ratio)
