"""Distribution functions from a moment generating function, by inversion on a line through the saddle point.

With K(s) = ln E exp(sX), the survival function is, for any c > 0 inside the strip of convergence,

    P(X > x) = (1/2 pi) int exp(K(c + it) - (c + it) x) / (c + it) dt,

and P(X <= x) is minus the same integral at c < 0. At c = 0 this is the Gil-Pelaez inversion of the characteristic
function, whose absolute error swamps the tails; at the saddle point of the integrand nothing cancels, so that both
tails come out with small *relative* error. The integrand is analytic: the trapezoidal rule converges geometrically.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float
from scipy.optimize import brentq

#: Tolerated logarithm of the relative truncation and aliasing errors: exp(-38) = 3e-17.
_LOG_ERROR = 38.0
#: Fraction of the way to the left edge of the strip beyond which the line of integration does not move.
_EDGE = 0.75
#: Integrand evaluations per block, which bounds the memory.
_BLOCK = 1 << 19


@runtime_checkable
class MomentGenerating(Protocol):
    """A law on the line given by K(s) = ln E exp(sX), finite for `edge` < Re s < infinity with `edge` < 0.

    |exp K(c + it)| must decrease in |t|, as it does for sums of independent log-gamma and normal variables.
    """

    @property
    def edge(self) -> float:
        """Left edge of the strip of convergence."""

    def log_mgf(self, s: Complex[np.ndarray, "*shape"]) -> Complex[np.ndarray, "*shape"]:
        """K(s)."""

    def slope(self, s: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """K'(s) at real s: the mean of the law tilted by exp(sX)."""


def tail_probabilities(
    law: MomentGenerating, x: Float[np.ndarray, " points"]
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """P(X <= x) and P(X > x); the smaller of the two has a relative error near 1e-12, the other is its complement.

    Accuracy is limited by rounding in K: about 1e-16 times the number of terms that K sums and their size. Cost: 50
    to 1000 evaluations of K a point.
    """
    x = np.asarray(x, dtype=float)
    left = x < float(law.slope(np.zeros(1))[0])
    small = np.empty_like(x)
    for side, chosen in ((-1, left), (1, ~left)):
        if chosen.any():
            small[chosen] = _one_tail(law, x[chosen], side)
    return np.where(left, small, 1 - small), np.where(left, 1 - small, small)


def score_nodes(law: MomentGenerating, count: int, score: float = 8.2) -> Float[np.ndarray, " count"]:
    """`count` points spaced evenly in approximate normal score, from about -`score` to `score`.

    The score of the point x = K'(c) is the signed root sign(c) sqrt(2 (c x - K(c))) of the large-deviation rate.
    """

    def rate(c: float) -> float:
        return float(c * law.slope(np.array([c]))[0] - _real_mgf(law, np.array([c]))[0])

    def reach(c: float) -> float:
        return rate(c) - score**2 / 2

    low = 0.5 * law.edge
    while reach(low) < 0:
        low = (low + law.edge) / 2
    high = -law.edge
    while reach(high) < 0:
        high *= 2
    tiny = 1e-9 * -law.edge
    lowest, highest = brentq(reach, low, -tiny, rtol=1e-6), brentq(reach, tiny, high, rtol=1e-6)
    # Geometric in the distances to the edge of the strip and to the origin, where the map from c to score bends.
    left = law.edge + (lowest - law.edge) * np.geomspace(1, law.edge / (law.edge - lowest), 4000)[:-1]
    right = np.expm1(np.linspace(0, math.log1p(highest), 4000))
    c = np.concatenate([left, right])
    value = np.maximum(c * law.slope(c) - _real_mgf(law, c), 0)
    scores = np.maximum.accumulate(np.sign(c) * np.sqrt(2 * value))
    return np.asarray(np.interp(np.linspace(scores[0], scores[-1], count), scores, law.slope(c)))


def _real_mgf(law: MomentGenerating, c: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.asarray(law.log_mgf(c.astype(complex)).real)


def _one_tail(law: MomentGenerating, x: Float[np.ndarray, " points"], side: int) -> Float[np.ndarray, " points"]:
    """P(X <= x) for `side` = -1, P(X > x) for `side` = 1."""
    c = _saddle(law, x, side)
    base = _real_mgf(law, c)
    rate = np.maximum(c * x - base, 0)
    # A trapezoidal step h aliases P at a distance 2 pi/h, damped by exp(-2 pi |c|/h), and sees the edge of the strip.
    step = 2 * np.pi * np.minimum(np.abs(c) / (rate + _LOG_ERROR), (c - law.edge) / _LOG_ERROR)
    nodes = np.ceil(_cutoff(law, c, base, step) / step).astype(int) + 1
    out = np.empty_like(x)
    order = np.argsort(nodes)
    start = 0
    while start < order.size:
        # Neighbours in `order` need about the same number of nodes: blocks waste little.
        stop = start + 1
        while stop < order.size and (stop + 1 - start) * nodes[order[stop]] <= _BLOCK:
            stop += 1
        rows = order[start:stop]
        s = c[rows, None] + 1j * step[rows, None] * np.arange(nodes[rows[-1]])
        exponent = law.log_mgf(s) - s * x[rows, None]
        terms = (np.exp(exponent) / s).real
        terms[:, 0] /= 2
        out[rows] = side * step[rows] / np.pi * terms.sum(axis=1)
        start = stop
    return np.asarray(np.clip(out, 0, 1))


def _saddle(law: MomentGenerating, x: Float[np.ndarray, " points"], side: int) -> Float[np.ndarray, " points"]:
    """The real root of K'(c) - 1/c = x on one side of the origin, kept away from the edge of the strip."""
    if side < 0:
        low, high = np.full_like(x, _EDGE * law.edge), np.full_like(x, 0.0)
    else:
        low, high = np.zeros_like(x), np.full_like(x, -law.edge)
        while np.any(short := law.slope(high) - 1 / high < x):
            high[short] *= 2
    for _ in range(50):
        middle = (low + high) / 2
        below = law.slope(middle) - 1 / middle < x
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def _cutoff(
    law: MomentGenerating,
    c: Float[np.ndarray, " points"],
    base: Float[np.ndarray, " points"],
    step: Float[np.ndarray, " points"],
) -> Float[np.ndarray, " points"]:
    """A point t beyond which |exp(K(c + it) - K(c))| is negligible, by doubling and then halving the bracket."""
    high = step.copy()
    while np.any(short := law.log_mgf(c + 1j * high).real - base > -_LOG_ERROR):
        high[short] *= 2
    low = high / 2
    for _ in range(4):
        middle = (low + high) / 2
        short = law.log_mgf(c + 1j * middle).real - base > -_LOG_ERROR
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high
