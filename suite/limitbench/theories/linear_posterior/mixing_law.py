"""The law of the mixing matrix Q as a quadrature rule, for one and two outputs, in the limit and at finite size.

One output: ln Q has a density on the line. Two outputs: the law of Q is invariant under rotations, so it is that of
(ln det Q, r) in Q = sqrt(det Q) R_theta diag(e^r, e^-r) R_theta' with theta uniform; sqrt-determinant-one matrices are
the hyperbolic plane, r its distance from the pole, and layers convolve there. Their spherical transform is a product
of Gamma functions which splits into two equal factors, so that t = ln det Q and r have the density f(t, r) 2 pi sinh r,

    f(t, r) = -(C / (sqrt 2 pi)) int_r^inf d/ds [p(t/2 + s) p(t/2 - s)] / sqrt(cosh s - cosh r) ds,

p a density on the line: N(-3 alpha/2, 2 alpha) with C = e^{-alpha/8} in the limit (the heat kernel), and at L layers of
width N exactly that of sum_l ln(2 gamma_a/N), a = N/2 - 1/4, with C = [Gamma(a)^2/(Gamma(a - 1/4) Gamma(a + 1/4))]^L.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.theories.linear_posterior.line_density import LineDensity

#: Least numbers of nodes of ln det Q (or of ln Q for one output) and of the radius, and nodes a unit of their range:
#: integrands vary over a unit where an eigenvalue passes the noise.
_DETERMINANT, _RADIUS, _DENSITY = 32, 24, 1.5
#: Nodes of the angle, doubled until averages of Q no longer move by this.
_ANGLES, _SETTLED = (32, 64, 128, 256, 512), 1e-7
#: Logarithm of the share of the peak below which an integrand is left out.
_NEGLIGIBLE = 27.0

Points = Float[np.ndarray, "*shape"]
#: Logarithm of what a law is to be weighed by, at nodes of Q.
Weight = Callable[["Nodes"], Float[np.ndarray, " nodes"]]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Mixing matrices Q = V diag(q) V' with the logarithms of their weights.

    Attributes:
        eigenvalues: q.
        vectors: V.
        log_weight: ln of the weight of each under the law of Q.
    """

    eigenvalues: Float[np.ndarray, "nodes outputs"]
    vectors: Float[np.ndarray, "nodes outputs outputs"]
    log_weight: Float[np.ndarray, " nodes"]

    @property
    def matrices(self) -> Float[np.ndarray, "nodes outputs outputs"]:
        """Q."""
        return np.asarray((self.vectors * self.eigenvalues[:, None, :]) @ self.vectors.swapaxes(1, 2))


def identity_nodes(outputs: int) -> Nodes:
    """Q = I for certain: infinite width."""
    return Nodes(np.ones((1, outputs)), np.eye(outputs)[None], np.zeros(1))


def mixing_nodes(density: LineDensity, outputs: int, weight: Weight) -> Nodes:
    """Quadrature rule of the law of Q, on the box where the law times `weight` is not negligible.

    A coarse rule finds the box, a fine one fills it: trapezoidal in ln Q, or in ln det Q and the angle, and
    Gauss-Legendre in the radius. Cost: 0.1 s for two outputs; more where little noise makes the angle sharp.
    """
    if outputs == 1:
        low, high = _box(*density.ends, lambda at: _line_nodes(density, at), weight)
        return _line_nodes(density, np.linspace(low, high, 8 * _count(_DETERMINANT, high - low)))
    return _plane_rule(density, weight)


def _line_nodes(density: LineDensity, x: Float[np.ndarray, " nodes"]) -> Nodes:
    log_weight = density.log_density(x) + math.log(x[1] - x[0])
    return Nodes(np.exp(x)[:, None], np.ones((x.size, 1, 1)), log_weight)


def _box(
    low: float, high: float, nodes: Callable[[Float[np.ndarray, " nodes"]], Nodes], weight: Weight
) -> tuple[float, float]:
    """The part of [low, high] where law times weight is within e^-27 of its peak, found in two passes."""
    for _ in range(2):
        x = np.linspace(low, high, 257)
        drawn = nodes(x)
        value = drawn.log_weight + weight(drawn)
        kept = np.flatnonzero(value > value.max() - _NEGLIGIBLE)
        low, high = float(x[max(kept[0] - 1, 0)]), float(x[min(kept[-1] + 1, x.size - 1)])
    return low, high


def _plane_rule(density: LineDensity, weight: Weight) -> Nodes:
    left, right = density.ends
    t_low, t_high, r_low, r_high = 2 * left, 2 * right, 0.0, (right - left) / 2
    angles = math.pi * np.arange(16) / 16
    for _ in range(3):
        t, r = np.linspace(t_low, t_high, 41), np.linspace(r_low, r_high, 22)[1:]
        value = _peaks(density, t, r, angles, weight)
        seen = value > value.max() - _NEGLIGIBLE
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        t_low, t_high = float(t[max(rows[0] - 1, 0)]), float(t[min(rows[-1] + 1, t.size - 1)])
        r_low = float(r[columns[0] - 1]) if columns[0] > 0 else 0.0
        r_high = float(r[min(columns[-1] + 1, r.size - 1)])
    t, step = np.linspace(t_low, t_high, _count(_DETERMINANT, t_high - t_low), retstep=True)
    node, gauss = np.polynomial.legendre.leggauss(_count(_RADIUS, r_high - r_low))
    half = (r_high - r_low) / 2
    r = r_low + half * (node + 1)
    log_weight = log_plane_density(density, t, r) + np.log(half * gauss) + math.log(step)
    return _settled_angles(t, r, log_weight, weight)


def _count(least: int, span: float) -> int:
    return max(least, math.ceil(_DENSITY * span))


def _settled_angles(
    t: Float[np.ndarray, " t"], r: Float[np.ndarray, " r"], log_weight: Float[np.ndarray, "t r"], weight: Weight
) -> Nodes:
    """The coarsest rule of the angle whose averages of Q under the weight the next finer one repeats."""
    before, settled = None, None
    for count in _ANGLES:
        drawn = _plane_nodes(t, r, math.pi * np.arange(count) / count, log_weight - math.log(count))
        values = drawn.log_weight + weight(drawn)
        shares = np.exp(values - values.max())
        average = np.einsum("n,nij->ij", shares / shares.sum(), drawn.matrices)
        if before is not None and settled is not None and np.abs(average - before).max() < _SETTLED * average.trace():
            return settled
        before, settled = average, drawn
    return drawn


def _peaks(
    density: LineDensity,
    t: Float[np.ndarray, " t"],
    r: Float[np.ndarray, " r"],
    angles: Float[np.ndarray, " angles"],
    weight: Weight,
) -> Float[np.ndarray, "t r"]:
    """Largest integrand over the angles at each determinant and radius."""
    drawn = _plane_nodes(t, r, angles, log_plane_density(density, t, r))
    values = drawn.log_weight + weight(drawn)
    return np.asarray(values.reshape(t.size, r.size, angles.size).max(axis=2))


def _plane_nodes(
    t: Float[np.ndarray, " t"],
    r: Float[np.ndarray, " r"],
    angles: Float[np.ndarray, " angles"],
    log_weight: Float[np.ndarray, "t r"],
) -> Nodes:
    """All products of determinants, radii and angles, angles innermost."""
    logs = np.stack([t[:, None] / 2 + r, t[:, None] / 2 - r], axis=-1)
    cosine, sine = np.cos(angles), np.sin(angles)
    rotation = np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=-2)
    points = t.size * r.size
    return Nodes(
        np.exp(np.repeat(logs.reshape(points, 2), angles.size, axis=0)),
        np.tile(rotation, (points, 1, 1)),
        np.repeat(log_weight.reshape(points), angles.size),
    )


def log_plane_density(
    density: LineDensity, t: Float[np.ndarray, " t"], r: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "t r"]:
    """ln of the joint density f(t, r) 2 pi sinh r of t = ln det Q and the radius r.

    With s^2 = r^2 + w^2 the integrand is even and smooth in w: trapezoidal rule on the half line. p is log-concave, so
    all terms are positive.
    """
    left, right = density.ends
    step = min(0.3 * density.std / math.sqrt(2), 0.5)
    w = step * np.arange(math.ceil((right - left) / 2 / step) + 1)
    s = np.hypot(r[:, None], w)
    # (cosh s - cosh r) / w^2 = 2 sinh((s + r)/2) sinh((s - r)/2) / w^2 with s - r = w^2 / (s + r)
    total = s + r[:, None]
    ratio = np.sinh(total / 2) / total * _sinhc(w**2 / (2 * total))
    log_root = np.log(ratio) / 2
    one, two = t[:, None, None] / 2 + s, t[:, None, None] / 2 - s
    with np.errstate(divide="ignore"):
        terms = (
            density.log_density(one)
            + density.log_density(two)
            + np.log(np.maximum(density.slope(two) - density.slope(one), 0.0))
            - np.log(s)
            - log_root
        )
    terms[..., 0] -= math.log(2)
    peak = terms.max(axis=2)
    integral = peak + np.log(np.exp(terms - peak[..., None]).sum(axis=2) * step)
    return np.asarray(density.log_constant + integral + np.log(math.sqrt(2) * np.sinh(r)))


def _sinhc(z: Points) -> Points:
    return np.asarray(np.divide(np.sinh(z), z, out=np.ones_like(z), where=z > 1e-9))
