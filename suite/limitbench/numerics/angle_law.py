"""Mean and variance of ln sin^2 theta' over one unshaped ReLU layer, to O(1/n^2), given the angle theta before it.

theta_l is the angle between two inputs' features in layer l of a ReLU network, n units a layer (arXiv 2302.09712).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import digamma, polygamma
from scipy.stats import binom

#: Angle below which D and Q would lose more to cancellation than the small-angle limit leaves out.
_SMALL = 1e-2


class AngleStep(NamedTuple):
    """Mean and variance of ln sin^2 theta'."""

    mean: Float[np.ndarray, "*shape"]
    variance: Float[np.ndarray, "*shape"]


def layer_step(theta: Float[np.ndarray, "*shape"], width: int) -> AngleStep:
    """The expansion to O(1/n^2) at any angle in (0, pi).

    With J_ab = E[max(u, 0)^a max(v, 0)^b] of unit normals at the angle theta, pi' = pi - theta,

        J_11 = (sin + pi' cos)/(2 pi),   J_31 = (3 pi' cos + sin cos^2 + 2 sin)/(2 pi),
        J_22 = (pi' (2 cos^2 + 1) + 3 sin cos)/(2 pi),

        E ln sin^2 theta' = ln[(n-1) D/(4 J_22 - 1 + n)] + 4 (J_22 + 1)/(n e^2) - 4 Q/(n f^2 D^2),
        Var = 8 (J_22 + 1)/(n e^2) + 8 Q/(n f^2 D^2) - 16 (2 J_11^2 - 4 J_11 J_31 + J_22 + 1)/(n e f D),

    D = 1 - 4 J_11^2, Q = 8 J_11^2 J_22 - 8 J_11^4 + 4 J_11^2 - 8 J_11 J_31 + J_22 + 1, e = (4 J_22 - 1)/n + 1,
    f = 1 - 1/n. Errors at theta = 0.1: -85/n^2 in the mean, -100/n^2 in the variance. D and Q cancel at small angles:
    below 1e-2 both moments of the ratio sin^2 theta'/sin^2 theta go on from there, the mean by -(2/(3 pi)) theta.
    """
    wide = np.maximum(theta, _SMALL)
    sin, cos, rest = np.sin(wide), np.cos(wide), math.pi - wide
    j11 = (sin + rest * cos) / (2 * math.pi)
    j31 = (3 * rest * cos + sin * cos**2 + 2 * sin) / (2 * math.pi)
    j22 = (rest * (2 * cos**2 + 1) + 3 * sin * cos) / (2 * math.pi)
    n, e, f = width, (4 * j22 - 1) / width + 1, 1 - 1 / width
    d = 1 - 4 * j11**2
    q = 8 * j11**2 * j22 - 8 * j11**4 + 4 * j11**2 - 8 * j11 * j31 + j22 + 1
    mean = np.log((n - 1) * d / (4 * j22 - 1 + n)) + 4 * (j22 + 1) / (n * e**2) - 4 * q / (n * f**2 * d**2)
    variance = (
        8 * (j22 + 1) / (n * e**2)
        + 8 * q / (n * f**2 * d**2)
        - 16 * (2 * j11**2 - 4 * j11 * j31 + j22 + 1) / (n * e * f * d)
    )
    # below _SMALL: 0 above it
    further = 2 * np.log(np.sin(theta) / np.sin(wide)) - 2 / (3 * math.pi) * (theta - wide)
    return AngleStep(np.asarray(mean + further), np.asarray(variance))


def small_angle_step(theta: Float[np.ndarray, "*shape"], width: int) -> AngleStep:
    """Its limit at small angles, with the constants as published:

        E ln sin^2 theta' = ln sin^2 theta - (2/(3 pi)) theta - rho(n),   Var = 8 n/(n + 5)^2,
        rho(n) = ln((n + 5)/(n - 1)) - 10 n/(n + 5)^2 + 6 n/(n - 1)^2 = 2/n + O(n^-2).

    The O(n^-2) are large: rho(32) = 0.143 and the variance 0.187, where the exact values are 0.072 and 0.288
    (`exact_small_angle`) and plain 2/n and 8/n give 0.0625 and 0.25.
    """
    n = width
    mean = 2 * np.log(np.sin(theta)) - 2 / (3 * math.pi) * theta - published_drop(n)
    return AngleStep(mean, np.full(np.shape(theta), 8 * n / (n + 5) ** 2))


def published_drop(width: int) -> float:
    """rho(n), the drop of E ln sin^2 theta a layer."""
    n = width
    return math.log((n + 5) / (n - 1)) - 10 * n / (n + 5) ** 2 + 6 * n / (n - 1) ** 2


def exact_small_angle(width: int) -> tuple[float, float]:
    """Mean and variance of ln(sin^2 theta'/sin^2 theta) at theta -> 0, without expansion.

    The ratio is chi2_{K-1}/chi2_K in law, independent given the number K ~ Bin(n, 1/2) of units that are on; K >= 2.
    """
    k = np.arange(2, width + 1)
    weight = binom.pmf(k, width, 0.5)
    weight /= weight.sum()
    drop = digamma((k - 1) / 2) - digamma(k / 2)
    mean = weight @ drop
    return float(mean), float(weight @ (polygamma(1, (k - 1) / 2) + polygamma(1, k / 2) + (drop - mean) ** 2))
