"""The lower-triangular stochastic differential equation of a product of many near-identity Gaussian matrices.

    dG = G dA on [0, alpha], G_0 = I,   A_ij = B_ij (i > j),   A_ii = B_ii / sqrt 2 - (i/2 - 1/4) t,

with independent Brownian motions B (i = 1 .. D); Q = G G' is the mixing matrix of a deep linear network. The drift of
ln G_ii is -i/2: the Ito correction -1/4 joins the -(i/2 - 1/4) of A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

#: Draws stepped together, so that the factors of a block stay in the processor's cache.
_BLOCK = 4096


@dataclass(frozen=True)
class TriangularDraws:
    """Draws of G at time alpha.

    Attributes:
        factor: G, lower triangular, draws last.
    """

    factor: Float[np.ndarray, "size size draws"]

    @property
    def mixing(self) -> Float[np.ndarray, "size size draws"]:
        """Q = G G'."""
        return np.asarray(np.einsum("ikn,jkn->ijn", self.factor, self.factor))

    @property
    def log_q11(self) -> Float[np.ndarray, " draws"]:
        """2 ln G_11."""
        return np.asarray(2 * np.log(self.factor[0, 0]))

    @property
    def q12(self) -> Float[np.ndarray, " draws"]:
        """G_11 G_21."""
        return np.asarray(self.factor[0, 0] * self.factor[1, 0])

    @property
    def log_det(self) -> Float[np.ndarray, " draws"]:
        """2 sum_i ln G_ii."""
        return np.asarray(2 * np.log(np.diagonal(self.factor)).sum(axis=1))

    @property
    def log_eigenvalues(self) -> Float[np.ndarray, "size draws"]:
        """Logarithms of the eigenvalues of Q, ascending: 2 ln of the singular values of G.

        The smallest is what the determinant leaves, so that for D = 2 it keeps its relative accuracy at any condition
        number; for D > 2 the others need a condition number of Q below about 1e24.
        """
        singular = np.linalg.svd(np.moveaxis(self.factor, -1, 0), compute_uv=False)
        logs = 2 * np.log(np.maximum(singular.T[::-1], np.finfo(float).tiny))
        logs[0] = self.log_det - logs[1:].sum(axis=0)
        return logs


def triangular_draws(alpha: float, size: int, draws: int, steps: int, seed: int) -> TriangularDraws:
    """`draws` solutions of the triangular equation at time `alpha`.

    Each of `steps` multiplicative steps of length h = alpha/steps multiplies by diag(e^{sqrt(h/2) xi_i - i h/2}), the
    exact flow of the diagonal, and by a unit triangular factor with entries sqrt(h) eta_ij below the diagonal. The
    diagonal flow is split in half at both ends of a step (Strang), and products of two below-diagonal increments carry
    their weak second-order correction (eta eta' + h sign)/2, so that the weak order is two; the diagonal of G, hence
    Q_11 and det Q, has no step error at all.

    Arguments:
        alpha: lim sum_l 1/N_l, the time.
        size: D.
        draws: number of independent solutions.
        steps: multiplicative steps.
        seed: start of the stream; the same arguments give the same draws.

    Cost: steps x D(D+1)/2 normals and D^3/3 multiplications a draw.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    out = np.empty((size, size, draws))
    for start in range(0, draws, _BLOCK):
        block = out[:, :, start : start + _BLOCK]
        _fill(block, alpha, steps, rng)
    return TriangularDraws(out)


def _fill(factor: Float[np.ndarray, "size size draws"], alpha: float, steps: int, rng: np.random.Generator) -> None:
    size = factor.shape[0]
    factor[...] = np.eye(size)[:, :, None]
    h = alpha / steps
    _scale(factor, h / 2, rng)
    for step in range(steps):
        _shear(factor, h, rng)
        # The second half of this step's diagonal flow and the first half of the next one's are one flow.
        _scale(factor, h if step < steps - 1 else h / 2, rng)


def _scale(factor: Float[np.ndarray, "size size draws"], h: float, rng: np.random.Generator) -> None:
    """Multiply column i by exp(sqrt(h/2) xi - i h/2)."""
    size, _, draws = factor.shape
    exponent = rng.standard_normal((size, draws))
    exponent *= math.sqrt(h / 2)
    exponent -= (h / 2) * np.arange(1, size + 1)[:, None]
    factor *= np.exp(exponent, out=exponent)


def _shear(factor: Float[np.ndarray, "size size draws"], h: float, rng: np.random.Generator) -> None:
    """Multiply from the right by the flow of the below-diagonal noise over a step h."""
    size, _, draws = factor.shape
    increment = {(i, j): math.sqrt(h) * rng.standard_normal(draws) for i in range(1, size) for j in range(i)}
    lower = dict(increment)
    for i in range(2, size):
        for j in range(i - 1):
            for k in range(j + 1, i):
                # Iterated integral of two independent increments (Talay): same moments to second order.
                sign = h * (1 - 2 * rng.integers(0, 2, draws, dtype=np.int8))
                lower[i, j] = lower[i, j] + (increment[i, k] * increment[k, j] + sign) / 2
    for j in range(size - 1):
        for i in range(j + 1, size):
            # Columns from left to right read only columns to their right, which are still those before the step.
            factor[i:, j] += factor[i:, i] * lower[i, j]
