"""Brownian motion on the hyperbolic plane from its pole: law of the distance travelled and of one coordinate.

Symmetric positive 2 x 2 matrices of determinant one are the hyperbolic plane: R_theta diag(e^psi, e^-psi) R_theta' is
at distance psi from the identity, in the direction 2 theta. Brownian motion (curvature -1, generator Laplacian/2) moves
the distance by d psi = dB + (coth psi)/2 dt; its direction is uniform and independent of the distance.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

Values = Float[np.ndarray, "*shape"]


def radial_reach(time: float) -> float:
    """A distance that is exceeded with probability below 1e-16 at `time`."""
    return 9 * math.sqrt(time) + time / 2


def radial_survival(r: Values, time: float) -> Values:
    """P(psi > r) at `time` > 0 for r >= 0, with small relative error far into the tail.

    McKean's heat kernel integrated over the outside of a disc, with s^2 = r^2 + w^2:
    sqrt(8) pi (2 pi t)^{-3/2} e^{-t/8} int_r^inf 2 s e^{-s^2/2t} sqrt(cosh s - cosh r) ds.
    """
    w, weight = _half_line(time)
    return np.asarray(_prefactor(r, time) * 2 * np.sum(weight * w**2 * _root(r, w), axis=-1))


def radial_density(r: Values, time: float) -> Values:
    """Density of psi: sqrt(8) pi (2 pi t)^{-3/2} e^{-t/8} sinh r int_r^inf s e^{-s^2/2t} / sqrt(cosh s - cosh r) ds."""
    w, weight = _half_line(time)
    return np.asarray(_prefactor(r, time) * np.sinh(r) * np.sum(weight / _root(r, w), axis=-1))


def coordinate_survival(log_y: Values, time: float) -> Values:
    """P(sinh(psi) |cos(theta)| > e^{log_y}), theta uniform: the modulus of one hyperboloid coordinate.

    (2/pi) int_0^inf P(psi > arcsinh(y cosh w)) / cosh w dw, by the substitution |cos theta| = 1 / cosh w.
    Cost: a table of the radial law once, then 400 evaluations of its interpolant a point.
    """
    reach = radial_reach(time)
    r = np.linspace(0, reach, 4001)
    log_survival = CubicSpline(r, np.log(radial_survival(r, time)))
    w = np.arange(401) * 0.1
    weight = np.full(401, 0.2 / np.pi) / np.cosh(w)
    weight[0] /= 2
    out = np.empty(np.shape(log_y))
    flat, values = out.reshape(-1), np.asarray(log_y, dtype=float).reshape(-1)
    for start in range(0, values.size, 1024):
        part = slice(start, start + 1024)
        # arcsinh(e^u) with e^u kept finite; beyond the reach the probability is zero to rounding.
        radius = np.arcsinh(np.exp(np.minimum(values[part, None] + np.log(np.cosh(w)), reach)))
        inside = radius < reach
        survival = np.where(inside, np.exp(log_survival(np.minimum(radius, reach))), 0.0)
        flat[part] = survival @ weight
    return np.clip(out, 0, 1)


def _half_line(time: float) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Trapezoidal nodes w and weights of int_0^inf . exp(-w^2/2t) dw; geometric convergence for even integrands."""
    step = min(0.4 * math.sqrt(time), 0.8)
    w = step * np.arange(math.ceil((radial_reach(time) + math.sqrt(time)) / step) + 1)
    weight = step * np.exp(-(w**2) / (2 * time))
    weight[0] /= 2
    return w, weight


def _prefactor(r: Values, time: float) -> Values:
    return np.asarray(
        math.sqrt(8) * math.pi * (2 * math.pi * time) ** -1.5 * np.exp(-time / 8 - np.square(r) / (2 * time))
    )


def _root(r: Values, w: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, "*shape nodes"]:
    """sqrt((cosh s - cosh r)/(s^2 - r^2)) at s^2 = r^2 + w^2: even and smooth in w, never zero."""
    radius = np.asarray(r, dtype=float)[..., None]
    total = np.sqrt(radius**2 + w**2) + radius
    difference = np.divide(w**2, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.sqrt(_sinhc(total / 2) * _sinhc(difference / 2) / 2))


def _sinhc(z: Values) -> Values:
    return np.asarray(np.divide(np.sinh(z), z, out=np.ones_like(z), where=z > 1e-9))
