"""Exact laws of the 2 x 2 mixing matrix in the proportional limit, by Brownian motion on the hyperbolic plane.

Write Q = sqrt(det Q) R_theta diag(e^psi, e^-psi) R_theta'. The covariation d<Q_ij, Q_kl> = (Q_ik Q_jl + Q_il Q_jk) dt
makes ln det Q a Brownian motion, N(-3 alpha, 4 alpha), independent of Q/sqrt(det Q), which is Brownian motion on the
hyperbolic plane from its pole: d psi = dB + (coth psi)/2 dt, 2 theta uniform and independent of psi.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.special import ndtr

from limitbench.numerics.hyperbolic import coordinate_survival, radial_density, radial_reach
from limitbench.statistics.laws import Tabulated
from limitbench.theories.deep_linear.moments import limit_second_moments

_POINTS = 2001
#: Normal scores beyond which a tail is not tabulated: probability 1e-16.
_SCORE = 8.2


@lru_cache(maxsize=256)
def eigenvalue_law(alpha: float, largest: bool) -> Tabulated:
    """ln lambda = (ln det Q)/2 +- psi: a normal N(-3 alpha/2, alpha) convolved with the hyperbolic radius.

    Gauss-Legendre in psi with its density; cdf error below 1e-9, tails to small relative error.
    """
    psi, weight = _radius_rule(alpha)
    sigma = math.sqrt(alpha)
    mean, square = weight @ psi, weight @ psi**2
    # psi adds to a standardised convolution of about its own width: the tails reach beyond the normal's own.
    x = np.linspace(-_SCORE * sigma, _SCORE * sigma + radial_reach(alpha), _POINTS)
    score = (x[:, None] - psi) / sigma
    below, above = ndtr(score) @ weight, ndtr(-score) @ weight
    keep = (below > 1e-16) & (above > 1e-16)
    x, below, above = x[keep], below[keep], above[keep]
    centre, std = -1.5 * alpha, math.sqrt(alpha + square - mean**2)
    if largest:
        return Tabulated(centre + x, below, survival=above, mean=centre + mean, std=std, cdf_error=1e-9)
    # The normal part is symmetric, so (ln det)/2 - psi is the mirror image about the mean of (ln det)/2.
    return Tabulated(centre - x[::-1], above[::-1], survival=below[::-1], mean=centre - mean, std=std, cdf_error=1e-9)


@lru_cache(maxsize=256)
def coupling_law(alpha: float) -> Tabulated:
    """Q_12 = sqrt(det Q) sinh(psi) sin(2 theta): symmetric, E Q_12^2 = (e^{2 alpha} - e^{-alpha})/3.

    P(|Q_12| > q) = E S(ln q + 3 alpha/2 - sqrt(alpha) Z), S the survival function of ln|sinh(psi) sin(2 theta)| and Z
    a standard normal; trapezoidal rule in Z. The table is geometric in |q|; cdf error below 1e-7, and below 1e-9 up
    to alpha = 1.
    """
    sigma = math.sqrt(alpha)
    low, high = math.log(sigma) - 16 - 3 * sigma, radial_reach(alpha) + _SCORE * sigma
    log_q = np.linspace(low, high, 2 * _POINTS)
    survival = _smeared(log_q, sigma, alpha)
    keep = survival > 1e-16
    q, half = np.exp(log_q[keep] - 1.5 * alpha), survival[keep] / 2
    x = np.concatenate([-q[::-1], [0.0], q])
    return Tabulated(
        x,
        np.concatenate([half[::-1], [0.5], 1 - half]),
        survival=np.concatenate([1 - half[::-1], [0.5], half]),
        mean=0.0,
        std=math.sqrt(limit_second_moments(alpha).q12_squared),
        cdf_error=1e-7,
    )


def _smeared(v: Float[np.ndarray, " points"], sigma: float, alpha: float) -> Float[np.ndarray, " points"]:
    """E S(v - sigma Z) by the trapezoidal rule in Z, from a spline of S."""
    step = min(0.25, 0.25 / sigma)
    z = step * np.arange(-math.ceil(9 / step), math.ceil(9 / step) + 1)
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()
    edge = sigma * z[-1]
    grid = np.linspace(v[0] - edge, v[-1] + edge, 4001)
    spline = CubicSpline(grid, coordinate_survival(grid, alpha))
    return np.clip(spline(v[:, None] - sigma * z), 0, 1) @ weight


def _radius_rule(alpha: float) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes psi and weights of an expectation over the hyperbolic radius at time alpha."""
    node, weight = np.polynomial.legendre.leggauss(200)
    half = radial_reach(alpha) / 2
    psi = half * (node + 1)
    return psi, half * weight * radial_density(psi, alpha)
