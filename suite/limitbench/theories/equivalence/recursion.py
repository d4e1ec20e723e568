"""The covariance of the features of m inputs, layer by layer at infinite width, and its derivative.

    V' = skip^2 V + branch^2 K(V),   K^ab = sqrt(V^aa V^bb) k(rho^ab),   k(rho) = E[phi(u) phi(v)] at correlation rho

for z' = skip z + branch n^-1/2 W phi(z). An MLP that keeps its norm is skip = 0, branch = (2/(s_+^2 + s_-^2))^1/2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from limitbench.numerics.shaping import kernel, shaping_coefficient

Matrix = Float[np.ndarray, "inputs inputs"]
Slopes = tuple[float, float]


def correlations(covariance: Matrix) -> Matrix:
    """Correlations of a covariance matrix, in [-1, 1] with diagonal 1."""
    scale = np.sqrt(np.diag(covariance))
    found = np.asarray(np.clip(covariance / np.outer(scale, scale), -1.0, 1.0))
    np.fill_diagonal(found, 1.0)
    return found


def layer_kernel(covariance: Matrix, slopes: Slopes) -> Matrix:
    """K(V) = E[phi(z^a) phi(z^b)] for z ~ N(0, V)."""
    scale = np.sqrt(np.diag(covariance))
    return np.asarray(np.outer(scale, scale) * kernel(correlations(covariance), *slopes))


def propagate(covariance: Matrix, depth: int, skip: float, branch: float, slopes: Slopes) -> Matrix:
    """V after `depth` layers. Cost: about 20 microseconds a layer."""
    for _ in range(depth):
        covariance = skip**2 * covariance + branch**2 * layer_kernel(covariance, slopes)
    return covariance


def kernel_change(
    covariance: Matrix, change: Float[np.ndarray, "particles inputs inputs"], slopes: Slopes
) -> Float[np.ndarray, "particles inputs inputs"]:
    """Derivative of K at V in each of the directions `change`.

    dK^ab = k' dV^ab + (k - rho k') sqrt(V^aa V^bb) (dV^aa/V^aa + dV^bb/V^bb)/2 with
    k'(rho) = h - (s_+ - s_-)^2/(2 pi) arccos rho, h = (s_+^2 + s_-^2)/2.
    """
    rho = correlations(covariance)
    slope = (slopes[0] ** 2 + slopes[1] ** 2) / 2 - shaping_coefficient(*slopes) * np.arccos(rho)
    scale = np.sqrt(np.diag(covariance))
    by_norm = (kernel(rho, *slopes) - rho * slope) * np.outer(scale, scale) / 2
    relative = np.diagonal(change, axis1=1, axis2=2) / np.diag(covariance)
    return np.asarray(slope * change + by_norm * (relative[:, :, None] + relative[:, None, :]))
