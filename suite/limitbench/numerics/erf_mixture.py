"""Kernels of erf, and of tanh, which is an exact scale mixture of erf: tanh(x) = E erf(x/(K sqrt2)), K random.

K has Kolmogorov's law (Andrews & Mallows 1974), which gives tanh the closed forms of erf, as sums over the nodes of a
Gauss rule for ln K, at every length: no spike has to be resolved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, final

import numpy as np
from jaxtyping import Float

from limitbench.numerics.activation_kernel import Array, MeanFieldKernel, Scalar, Values, as_array

#: Below this squared distance of two inputs (relative to both 1 and q), phi(z) - phi(z') = phi'(z) (z - z').
_MERGED = 1e-11
#: Values of q whose pairs are in memory at once.
_BLOCK = 4096


@final
class ErfMixture(MeanFieldKernel):
    """phi(x) = E erf(x/sqrt(2A)) for a random A: erf itself has A = 1/2. With w_ab the weights of pairs (A, B),

        V(q)       = (2/pi) sum w_ab asin(q/sqrt((A+q)(B+q))),   E phi'^2 = (2/pi) sum w_ab (AB + q(A+B))^(-1/2),
        W(q,q2,l)  = (2/pi) sum w_ab asin(l/sqrt((A+q)(B+q2))),

    since erf(x/sqrt(2A)) = E sign(x + sqrt(A) g).

    Arguments:
        name: canonical name of the activation.
        scales: the values of A.
        weights: their probabilities.
        function, slope: phi and phi', for moments of higher order.
    """

    odd = True
    exponent = None

    def __init__(
        self,
        name: str,
        scales: Float[np.ndarray, " nodes"],
        weights: Float[np.ndarray, " nodes"],
        function: Callable[[Array], Array],
        slope: Callable[[Array], Array],
    ) -> None:
        self.name, self._function, self._slope = name, function, slope
        rows, columns = np.triu_indices(len(scales))
        self._a, self._b = scales[rows], scales[columns]
        self._both, self._ends = self._a * self._b, self._a + self._b
        self._weights = weights[rows] * weights[columns] * np.where(rows == columns, 1.0, 2.0) * (2.0 / math.pi)
        self._one = len(scales) == 1
        self._fast_square, self._fast_slope_square = _OctaveTable(self.square), _OctaveTable(self.slope_square)

    def _sum(self, term: Callable[..., Any], *arguments: Values) -> Array:
        """Sum over the pairs (A, B) of `term(*arguments)`, a block of values at a time."""
        broadcast = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in arguments))
        flat = np.stack([v.ravel() for v in broadcast])[..., None]
        starts = range(0, flat.shape[1], _BLOCK)
        parts = [term(*flat[:, start : start + _BLOCK]) @ self._weights for start in starts]
        return np.concatenate(parts).reshape(broadcast[0].shape)

    def square(self, q: Values) -> Array:
        """V(q)."""
        return self._sum(lambda q: np.arctan2(q, np.sqrt(self._both + q * self._ends)), q)

    def square_slope(self, q: Values) -> Array:
        """dV/dq."""

        def term(q: Any) -> Any:
            scale = (self._a + q) * (self._b + q) * np.sqrt(self._both + q * self._ends)
            return (self._both + q * self._ends / 2.0) / scale

        return self._sum(term, q)

    def slope_square(self, q: Values) -> Array:
        """E phi'(z)^2."""
        return self._sum(lambda q: 1.0 / np.sqrt(self._both + q * self._ends), q)

    def slope_square_slope(self, q: Values) -> Array:
        """d/dq E phi'(z)^2."""
        return self._sum(lambda q: -0.5 * self._ends * (self._both + q * self._ends) ** -1.5, q)

    def mean(self, q: Values) -> Array:
        """E phi(z)."""
        return np.zeros_like(np.asarray(q, dtype=float))

    def product(self, q: Values, q2: Values, lam: Values) -> Array:
        """W(q, q2, lam)."""

        def term(q: Any, q2: Any, lam: Any) -> Any:
            orders = ((self._a, self._b), (self._b, self._a))
            return sum(np.arcsin(np.clip(lam / np.sqrt((a + q) * (b + q2)), -1.0, 1.0)) for a, b in orders) / 2.0

        return self._sum(term, q, q2, lam)

    def slope_product(self, q: float, lam: float) -> float:
        """E phi'(z) phi'(z')."""
        return float(((self._a + q) * (self._b + q) - lam * lam) ** -0.5 @ self._weights)

    def distance(self, q: Values, q2: Values, d: Values) -> Array:
        """E (phi(z) - phi(z'))^2, d = E (z - z')^2."""
        broadcast = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (q, q2, d)))
        rows = zip(*(v.ravel().tolist() for v in broadcast), strict=True)
        flat = [self.scalar_pair(at, at2, (at + at2 - far) / 2.0, far)[1] * far for at, at2, far in rows]
        return np.array(flat).reshape(broadcast[0].shape)

    def moment(self, phi: int, slope: int, q: Values, z: int = 0) -> Array:
        """E phi^`phi` phi'^`slope` (z^2/q)^(`z`/2)."""
        return gaussian_moment(lambda x: self._function(x) ** phi * self._slope(x) ** slope, q, z)

    @property
    def scalar_square(self) -> Scalar:
        """`square` of a float."""
        if self._one:
            return lambda q: 2.0 / math.pi * math.atan2(q, math.sqrt(0.25 + q))
        return self._fast_square

    @property
    def scalar_slope_square(self) -> Scalar:
        """`slope_square` of a float."""
        if self._one:
            return lambda q: 2.0 / math.pi / math.sqrt(0.25 + q)
        return self._fast_slope_square

    def scalar_mean(self, q: float) -> float:
        """`mean` of a float."""
        return 0.0

    def scalar_pair(self, q: float, q2: float, lam: float, d: float) -> tuple[float, float]:
        """W, and the squared distance over d."""
        a, b, weights, xp = (0.5, 0.5, 2.0 / math.pi, math) if self._one else (self._a, self._b, self._weights, np)
        if q == q2:
            product, difference = _equal_angles(q, lam, d, a * b, a + b, xp)
            total = 2.0 * difference
        else:
            product, total = _angles(q, q2, lam, d, a, b, xp)
            if not self._one:  # each pair (A, B) in both orders
                swapped = _angles(q, q2, lam, d, b, a, xp)
                product, total = (product + swapped[0]) / 2.0, (total + swapped[1]) / 2.0
        if not self._one:
            product, total = product @ weights, total @ weights
        else:
            product, total = product * weights, total * weights
        merged = d <= _MERGED * min(1.0, q)
        return float(product), self._merged_ratio(q, q2, d) if merged else float(total) / d

    def _merged_ratio(self, q: float, q2: float, d: float) -> float:
        """E[phi'(m)^2 (z - z')^2]/d at the middle m = (z + z')/2, whose error is of relative order d."""
        middle = (2.0 * (q + q2) - d) / 4.0
        share = ((q - q2) / 2.0) ** 2 / (middle * d) if d > 0 else 0.0
        slope = self.scalar_slope_square(middle)
        if share == 0.0:
            return slope
        return slope + 2.0 * min(share, 1.0) * middle * float(self.slope_square_slope(middle))


@lru_cache(maxsize=8)
def tanh_mixture(nodes: int) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """A = K^2 and weights with tanh(x) = sum of weights erf(x/(K sqrt2)): the Gauss rule in ln K of Kolmogorov's law.

    Kolmogorov's density by whichever of its two theta series converges at once, on a fine mesh in ln K; Lanczos.
    """
    logs = np.arange(-2.6, 1.8, 0.02)
    k, n = np.exp(logs)[:, None], np.arange(1, 12)
    late = 8.0 * k * ((-1.0) ** (n + 1) * n**2 * np.exp(-2.0 * (n * k) ** 2)).sum(1, keepdims=True)
    m = (2.0 * n - 1.0) ** 2 * math.pi**2 / 8.0
    early = math.sqrt(2.0 * math.pi) * ((2.0 * m / k**4 - 1.0 / k**2) * np.exp(-m / k**2)).sum(1, keepdims=True)
    mass = (np.where(k > 0.8, late, early) * k)[:, 0]
    mass = np.where(mass > 0.0, mass, 0.0)
    basis = [np.sqrt(mass / mass.sum())]
    diagonal, beside = [], []
    for _ in range(nodes):
        vector = logs * basis[-1]
        diagonal.append(vector @ basis[-1])
        for _ in range(2):
            for other in basis:
                vector = vector - (other @ vector) * other
        beside.append(np.linalg.norm(vector))
        basis.append(vector / beside[-1])
    at, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1))
    return np.exp(2.0 * at), vectors[0] ** 2


def gaussian_moment(function: Callable[[Array], Array], q: Values, z: int = 0) -> Array:
    """E f(x) (x^2/q)^(z/2), x ~ N(0, q), for f even that turns within 1 of 0, however large q: a spike is resolved.

    Trapezoid rule in w, x = min(1, sqrt(q)) sinh w: the integrand is analytic and decays in |Im w| < pi/4, so that the
    error is exp(-pi^2/(2 h)), 1e-16 here. Cost: 130 evaluations of f a value of q.
    """
    flat = np.asarray(q, dtype=float).reshape(-1, 1)
    spread = np.sqrt(flat)
    sharp = np.minimum(1.0, spread)
    step = 0.125
    w = np.arange(0.0, math.asinh(11.0 * float((spread / sharp).max(initial=1.0))) + step, step)
    x = sharp * np.sinh(w)
    scaled = x / spread
    density = np.exp(-0.5 * scaled**2) * np.cosh(w) * sharp / spread * (2.0 * step / math.sqrt(2.0 * math.pi))
    density[:, 0] *= 0.5
    return as_array((function(x) * scaled**z * density).sum(1)).reshape(np.shape(q))


class _OctaveTable:
    """A smooth function of q > 0 as a polynomial on each octave, made when first met: 1 us a value, to 1e-14."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function
        self._octaves: dict[int, tuple[float, ...]] = {}

    def __call__(self, q: float) -> float:
        mantissa, octave = math.frexp(q)
        coefficients = self._octaves.get(octave)
        if coefficients is None:
            coefficients = self._octaves[octave] = self._fit(octave)
        t, value = 4.0 * mantissa - 3.0, 0.0
        for coefficient in coefficients:
            value = value * t + coefficient
        return value

    def _fit(self, octave: int) -> tuple[float, ...]:
        def values(t: Any) -> Any:
            return self._function(np.ldexp((t + 3.0) / 4.0, octave))

        fit: Any = np.polynomial.chebyshev.chebinterpolate(values, 14)
        return tuple(float(v) for v in np.polynomial.chebyshev.cheb2poly(fit)[::-1])


def _equal_angles(q: Any, lam: Any, d: Any, both: Any, ends: Any, xp: Any) -> tuple[Any, Any]:
    """asin(l/R) and asin(q/R) - asin(l/R) for R^2 = (A+q)(B+q), q - l = d/2: sines and cosines times R^2."""
    base = both + q * ends  # R^2 - q^2
    minor = d / 2.0 * (2.0 * q - d / 2.0)  # q^2 - l^2
    cos_x, cos_y = xp.sqrt(base), xp.sqrt(base + max(minor, 0.0))
    total = q * cos_y + abs(lam) * cos_x
    sine = total if lam < 0 else minor * (base + q * q) / total
    return xp.atan2(lam, cos_y), xp.atan2(sine, cos_x * cos_y + q * lam)


def _angles(q: Any, q2: Any, lam: Any, d: Any, a: Any, b: Any, xp: Any) -> tuple[Any, Any]:
    """asin(l/sqrt((A+q)(B+q2))), and asin(q/..) - asin(l/..) + asin(q2/..) - asin(l/..), without cancellation."""
    minor = max((d * (2.0 * (q + q2) - d) - (q - q2) ** 2) / 4.0, 0.0)  # q q2 - l^2 = 4 (area of the triangle)^2
    product = xp.atan2(lam, xp.sqrt(a * b + a * q2 + b * q + minor))
    first = _difference(q, q2, lam, d, minor, a, b, xp)
    # (A, B) swapped: the cross term of the second input is that of the first with the other scale
    return product, first + _difference(q2, q, lam, d, minor, b, a, xp)


def _difference(q: Any, q2: Any, lam: Any, d: Any, minor: Any, a: Any, b: Any, xp: Any) -> Any:
    """asin(q/sqrt((A+q)(B+q))) - asin(l/sqrt((A+q)(B+q2)))."""
    scale, scale2 = (a + q) * (b + q), (a + q) * (b + q2)
    x, y = q / xp.sqrt(scale), abs(lam) / xp.sqrt(scale2)
    cos_x = xp.sqrt((a * b + q * (a + b)) / scale)
    cos_y = xp.sqrt((a * b + a * q2 + b * q + minor) / scale2)
    total = x * cos_y + y * cos_x
    if lam < 0:
        return xp.atan2(total, cos_x * cos_y - x * y)
    excess = (b * (q - q2 + d) / 2.0 * (q + lam) + q * minor) / (scale * (b + q2))
    return xp.atan2(excess / total, cos_x * cos_y + x * y)
