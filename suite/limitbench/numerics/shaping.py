"""Gaussian kernels of shaped ReLU, phi_s(x) = s_+ max(x, 0) + s_- min(x, 0) with slopes s_pm = 1 + c_pm n^-p.

Everything is a function of the angle theta between the two inputs, or of the gap 1 - rho, so that nothing is lost
when the correlation rho = cos theta approaches 1.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError

Number = float | Float[np.ndarray, "*shape"]

#: Below this angle sin(theta) - theta cos(theta) is summed as a series: no cancellation.
_SERIES_BELOW = 0.5
#: sin t - t cos t = sum_k (-1)^(k+1) 2k/(2k+1)! t^(2k+1).
_SERIES = [(-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(1, 9)]


def shaped_slopes(c_plus: float, c_minus: float, width: float, rate: float) -> tuple[float, float]:
    """Slopes (s_+, s_-) = (1 + c_+ n^-p, 1 + c_- n^-p) at width n and rate p (arXiv 2206.02768)."""
    return 1 + c_plus * width**-rate, 1 + c_minus * width**-rate


def variance_normaliser(s_plus: float, s_minus: float) -> float:
    """c = 1/E[phi_s(g)^2] = 2/(s_+^2 + s_-^2) for g ~ N(0, 1); raises `InputError` where both slopes are 0."""
    if s_plus == 0 == s_minus:
        raise InputError("slopes", (s_plus, s_minus), "at least one slope that is not 0")
    return 2 / (s_plus**2 + s_minus**2)


def angle_from_gap(gap: Number) -> Number:
    """theta = arccos(1 - gap) = 2 arcsin sqrt(gap/2), to full relative accuracy at small gaps."""
    return np.asarray(2 * np.arcsin(np.sqrt(np.asarray(gap, dtype=float) / 2)))


def arc_term(theta: Number) -> Number:
    """j(theta) = sin(theta) - theta cos(theta), to full relative accuracy; about theta^3/3 at small angles."""
    theta = np.asarray(theta, dtype=float)
    value = np.asarray(np.sin(theta) - theta * np.cos(theta))
    small = theta < _SERIES_BELOW
    if small.any():
        t = theta[small]
        value[small] = t**3 * np.polynomial.polynomial.polyval(t * t, _SERIES)
    return value


def shaping_coefficient(c_plus: float, c_minus: float) -> float:
    """k = (c_+ - c_-)^2/(2 pi), the constant in front of nu."""
    return (c_plus - c_minus) ** 2 / (2 * math.pi)


def nu(rho: Number, c_plus: float, c_minus: float) -> Number:
    """Shaping drift of the correlation, nu(rho) = (c_+ - c_-)^2/(2 pi) (sqrt(1 - rho^2) - rho arccos rho).

    The exact identity behind it: E[V_{l+1} | V_l] = V_l + (c/n^{2p}) nu(rho) sqrt(V^{aa} V^{bb}) (arXiv 2206.02768).
    """
    return shaping_coefficient(c_plus, c_minus) * arc_term(np.arccos(rho))


def kernel(rho: Number, s_plus: float, s_minus: float) -> Number:
    """E[phi_s(u) phi_s(v)] = h rho + (s_+ - s_-)^2/(2 pi) j(arccos rho), h = (s_+^2 + s_-^2)/2, for N(0, 1) u, v.

    The arc-cosine kernel of degree 1 for s = (1, 0).
    """
    return (s_plus**2 + s_minus**2) / 2 * np.asarray(rho, dtype=float) + nu(rho, s_plus, s_minus)


def next_gap(gap: Number, s_plus: float, s_minus: float) -> Number:
    """One infinite-width layer on the gap g = 1 - rho: g' = g - c (s_+ - s_-)^2/(2 pi) j(theta(g)).

    Raises `InputError` where both slopes are 0.
    """
    c = variance_normaliser(s_plus, s_minus)
    stepped = gap - c * shaping_coefficient(s_plus, s_minus) * arc_term(angle_from_gap(gap))
    return np.clip(stepped, 0, 2)


def next_gap_slope(gap: Number, s_plus: float, s_minus: float) -> Number:
    """Derivative dg'/dg = d rho'/d rho = 1 - c (s_+ - s_-)^2 theta/(2 pi) of the infinite-width layer."""
    c = variance_normaliser(s_plus, s_minus)
    return 1 - c * shaping_coefficient(s_plus, s_minus) * angle_from_gap(gap)


def log_norm_variance(s_plus: float, s_minus: float) -> float:
    """n Var of ln(V'/V) over one layer to leading order, c^2 E phi_s(g)^4 - 1.

    Equals 6 (s_+^4 + s_-^4)/(s_+^2 + s_-^2)^2 - 1: 2 for a linear network, 5 for ReLU.
    """
    c = variance_normaliser(s_plus, s_minus)
    return 1.5 * c**2 * (s_plus**4 + s_minus**4) - 1


def log_gap_variance(gap: float, s_plus: float, s_minus: float) -> float:
    """n Var of ln(1 - rho') over one layer to leading order, given the correlation 1 - gap before it.

    With a = phi_s(u), b = phi_s(v), the gap of the next layer is g' = c E(a - b)^2/2 and a width-n average of
    x = (a - b)^2 - g' (a^2 + b^2) moves it, so the variance is c^2 E x^2/(2 g')^2. Written with a - b, not with
    products of Gram entries, it stays accurate for gaps near 0. E x^2 is an integral over the angle of (u, v), smooth
    on the two arcs where u and v agree in sign and on the two where they do not: Gauss-Legendre on each.
    """
    half = float(angle_from_gap(gap)) / 2
    c = variance_normaliser(s_plus, s_minus)
    after = float(next_gap(gap, s_plus, s_minus))
    x, w = _LEGENDRE
    # u = R cos(beta + half), v = R cos(beta - half), and E R^4 = 8.
    total = 0.0
    reach = math.pi / 2 - half
    beta = reach * x
    for s in (s_plus, s_minus):
        difference = 2 * s * np.sin(beta) * math.sin(half)
        squares = s**2 * (np.cos(beta + half) ** 2 + np.cos(beta - half) ** 2)
        total += reach * float(w @ (difference**2 - after * squares) ** 2)
    y = half * x
    a, b = np.sin(half - y), np.sin(half + y)
    difference = s_plus * a + s_minus * b
    squares = (s_plus * a) ** 2 + (s_minus * b) ** 2
    total += 2 * half * float(w @ (difference**2 - after * squares) ** 2)
    return 8 / (2 * math.pi) * total * (c / (2 * after)) ** 2


_LEGENDRE = np.polynomial.legendre.leggauss(16)
