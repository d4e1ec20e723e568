"""The lower-triangular stochastic differential equation of a product of many near-identity Gaussian matrices.

    dG = G dA on [0, alpha], G_0 = I,   A_ij = B_ij (i > j),   A_ii = B_ii / sqrt 2 - (i/2 - 1/4) t,

with independent Brownian motions B (i = 1 .. D); Q = G G' is the mixing matrix of a deep linear network. The drift of
ln G_ii is -i/2: the Ito correction -1/4 joins the -(i/2 - 1/4) of A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


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

    The noise of the covariance SDE by itself, stepped by `numerics.stepping.bartlett`: weak order two; the diagonal of
    G, hence Q_11 and det Q, has no step error at all.

    Arguments:
        alpha: lim sum_l 1/N_l, the time.
        size: D.
        draws: number of independent solutions.
        steps: multiplicative steps.
        seed: start of the stream; the same arguments give the same draws.

    Raises `InputError` where alpha or a count is not positive. Cost: steps x (D(D+3)/2 normals, 2 D exponentials and
    D^3/3 multiplications) a draw.
    """
    import torch

    from limitbench.numerics.random import Stream
    from limitbench.numerics.stepping.bartlett import Bartlett
    from limitbench.numerics.stepping.covariance import CovarianceSDE
    from limitbench.numerics.stepping.simulate import simulate

    (ends,) = simulate(
        CovarianceSDE(size, 0.0),
        Bartlett(),
        start=torch.eye(size),
        times=(alpha,),
        steps=steps,
        paths=draws,
        stream=Stream(seed),
        dtype=torch.float64,
    )
    return TriangularDraws(ends.numpy())
