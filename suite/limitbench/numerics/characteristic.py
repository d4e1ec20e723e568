"""Distribution functions from a moment generating function, by inversion on lines through saddle points.

With K(s) = ln E exp(sX), the survival function is, for any c > 0 inside the strip of convergence,

    P(X > x) = (1/2 pi) int exp(K(c + it) - (c + it) x) / (c + it) dt,

and P(X <= x) is minus the same integral at c < 0. At c = 0 this is the Gil-Pelaez inversion of the characteristic
function, whose absolute error swamps the tails; at the saddle point of the integrand nothing cancels, so that both
tails come out with small *relative* error. The integrand is analytic: the trapezoidal rule converges geometrically.
A line a little off a point's own saddle point serves it as well, so that K is evaluated on a few lines for all points.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.interpolate import CubicSpline

#: Tolerated logarithm of the relative truncation and aliasing errors: exp(-38) = 3e-17.
_LOG_ERROR = 38.0
#: Fraction of the way to the left edge of the strip beyond which the line of integration does not move.
_EDGE = 0.75
#: Standard deviations of the tilted integrand between a point's saddle point and its line: cancels exp(-1/2) at most.
_OFF = 1.0
#: Real tilts among which saddle points are looked up, and from which nodes are interpolated.
_SADDLES, _TILTS = 64, 96
#: Scores within this of 0 are lost in the rounding of K.
_CENTRE = 0.02
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

    Accuracy is limited by rounding in K: about 1e-16 times the number of terms that K sums and their size. Cost: some
    thousand evaluations of K, and 50 to 1000 cosines a point.
    """
    x = np.asarray(x, dtype=float)
    left = x < float(law.slope(np.zeros(1))[0])
    small = np.empty_like(x)
    for side, chosen in ((-1, left), (1, ~left)):
        if chosen.any():
            small[chosen] = _one_tail(law, x[chosen], side)
    return np.where(left, small, 1 - small), np.where(left, 1 - small, small)


def score_nodes(law: MomentGenerating, count: int, score: float = 8.2) -> Float[np.ndarray, " count"]:
    """`count` points spaced evenly in approximate normal score, from -`score` to `score`.

    The score of the point x = K'(c) is the signed root sign(c) sqrt(2 (c x - K(c))) of the large-deviation rate.
    """
    # Geometric in the distances to the edge of the strip and to the origin, where the map from c to score bends.
    below = law.edge * np.concatenate([np.exp2(np.arange(-28.0, -1)), 1 - np.exp2(np.arange(-1.0, -52, -1))])
    above = -law.edge * np.exp2(np.arange(-28.0, 29))
    lowest, highest = (_tilt_at(law, tilts, score) for tilts in (below, above))
    left = law.edge + (lowest - law.edge) * np.geomspace(1, law.edge / (law.edge - lowest), _TILTS)[:-1]
    right = np.expm1(np.linspace(0, math.log1p(highest), _TILTS))
    c = np.concatenate([left, right])
    scores, x = _scores(law, c)
    kept = (np.abs(scores) > _CENTRE) | (c == 0)
    return np.asarray(CubicSpline(scores[kept], x[kept])(np.linspace(scores[0], scores[-1], count)))


def _scores(
    law: MomentGenerating, c: Float[np.ndarray, " tilts"]
) -> tuple[Float[np.ndarray, " tilts"], Float[np.ndarray, " tilts"]]:
    """Scores of the tilts `c`, and the points K'(c) that have them."""
    x = np.asarray(law.slope(c))
    return np.sign(c) * np.sqrt(2 * np.maximum(c * x - _real_mgf(law, c), 0)), x


def _tilt_at(law: MomentGenerating, tilts: Float[np.ndarray, " tilts"], score: float) -> float:
    """The tilt with a score of this size, from `tilts` that go away from 0: between two that enclose it."""
    sizes = np.abs(_scores(law, tilts)[0])
    after = int(np.argmax(sizes >= score)) if sizes.max() >= score else tilts.size - 1
    low, high = tilts[max(after - 1, 0)], tilts[after]
    for _ in range(2):
        between = np.linspace(low, high, 17)
        at = int(np.searchsorted(np.maximum.accumulate(np.abs(_scores(law, between)[0])), score).clip(1, 16))
        low, high = between[at - 1], between[at]
    return float(high)


def _real_mgf(law: MomentGenerating, c: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    return np.asarray(law.log_mgf(c.astype(complex)).real)


def _one_tail(law: MomentGenerating, x: Float[np.ndarray, " points"], side: int) -> Float[np.ndarray, " points"]:
    """P(X <= x) for `side` = -1, P(X > x) for `side` = 1."""
    c, curvature, line = _lines(law, x, side)
    base = _real_mgf(law, c)
    rate = np.zeros_like(c)
    np.maximum.at(rate, line, c[line] * x - base[line])
    negligible = _LOG_ERROR + _OFF**2 / 2
    # A trapezoidal step h aliases P at a distance 2 pi/h, damped by exp(-2 pi |c|/h), and sees the edge of the strip.
    step = 2 * np.pi * np.minimum(np.abs(c) / (rate + negligible), (c - law.edge) / negligible)
    nodes = np.ceil(_cutoff(law, c, base, np.sqrt(2 * negligible / curvature), negligible) / step).astype(int) + 1
    first = np.cumsum(nodes) - nodes
    t = np.repeat(step, nodes) * (np.arange(nodes.sum()) - np.repeat(first, nodes))
    s = np.repeat(c, nodes) + 1j * t
    exponent = law.log_mgf(s) - np.log(s)
    size, phase = np.exp(exponent.real - np.repeat(base, nodes)), exponent.imag
    size[first] /= 2
    out = np.empty_like(x)
    for j in np.unique(line):
        own = slice(first[j], first[j] + nodes[j])
        points = np.flatnonzero(line == j)
        for rows in np.array_split(points, 1 + points.size * int(nodes[j]) // _BLOCK):
            terms = np.cos(phase[own] - t[own] * x[rows, None]) * size[own]
            out[rows] = terms.sum(axis=1) * np.exp(base[j] - c[j] * x[rows]) * (step[j] / np.pi)
    return np.asarray(np.clip(side * out, 0, 1))


def _lines(
    law: MomentGenerating, x: Float[np.ndarray, " points"], side: int
) -> tuple[Float[np.ndarray, " lines"], Float[np.ndarray, " lines"], Int[np.ndarray, " points"]]:
    """Lines c of integration, the curvature of the integrand's logarithm on each, and the line of each point.

    The saddle point of x is the root c of K'(c) - 1/c = x on one side of the origin, kept away from the left edge of
    the strip; the logarithm of the integrand has the curvature K'' + 1/c^2 there.
    """

    def point(c: float) -> float:
        return float(law.slope(np.array([c]))[0]) - 1 / c

    least, most = (x.min(), x.max()) if side > 0 else (x.max(), x.min())  # nearest to the mean, and farthest
    far = -law.edge if side > 0 else _EDGE * law.edge
    while side > 0 and point(far) < most:
        far *= 2
    while (point(far / 2) - most) * side > 0:
        far /= 2
    near = far / 2
    while (point(near) - least) * side > 0:
        near /= 2
    c = side * np.geomspace(abs(near), abs(far), _SADDLES)
    places = law.slope(c) - 1 / c
    curvature = np.gradient(places, c)
    # standard deviations along the tilts: how far a line may be off
    along = np.concatenate([[0.0], np.cumsum(np.sqrt(np.abs(np.diff(places) * np.diff(c))))])
    order = slice(None, None, side)
    wanted = np.interp(x, places[order], along[order])
    cell = np.floor(wanted / (2 * _OFF)).astype(int)
    used, line = np.unique(cell, return_inverse=True)
    middle = np.minimum((used + 0.5) * 2 * _OFF, along[-1])
    chosen = side * np.exp(np.interp(middle, along, np.log(np.abs(c))))
    return chosen, np.interp(middle, along, curvature), line


def _cutoff(
    law: MomentGenerating,
    c: Float[np.ndarray, " lines"],
    base: Float[np.ndarray, " lines"],
    high: Float[np.ndarray, " lines"],
    negligible: float,
) -> Float[np.ndarray, " lines"]:
    """A point t beyond which |exp(K(c + it) - K(c))| is negligible, from a first guess `high` of it."""
    high = high.copy()
    while np.any(short := law.log_mgf(c + 1j * high).real - base > -negligible):
        high[short] *= 1.25
    return high
