"""The posterior of a linear network given labels, as a mixture of Gaussian regressions over the mixing matrix Q.

Given Q the outputs are vec S | Q ~ N(0, Q (x) K), so with labels Y of noise variance T, k0 and k00 of the test input,

    w(Q) = p(Q) N(vec Y; 0, Q (x) K + T I),
    m(Q) = (Q (x) k0') (Q (x) K + T I)^-1 vec Y,
    V(Q) = Q k00 - (Q (x) k0') (Q (x) K + T I)^-1 (Q (x) k0),

and the prediction is sum_Q w N(m, V): mean E_w m, covariance E_w V + Cov_w m (arXiv 2411.15267). With Q = V diag(q) V'
and K = U diag(k) U' everything is a sum over the products q_i k_a + T.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.statistics.laws import Law, Normal, Tabulated
from limitbench.theories.linear_posterior.mixing_law import Nodes

#: Points of a tabulated predictive law, how many standard deviations they reach, and the densely covered middle.
_POINTS, _REACH, _MIDDLE = 241, 12.0, 0.7
#: Share of the posterior mass that the tabulation may leave out.
_PRUNED = 2e-6
#: Width of the cells in which components of a mixture are taken together: 2e-6 of the cdf at most.
_CELL = 0.01
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior over nodes of Q.

    Attributes:
        weights: posterior probability of each node.
        mixing: Q of each.
        means: m(Q).
        covariances: V(Q).
        log_evidence: ln sum_Q p(Q) N(vec Y; 0, Q (x) K + T I).
    """

    weights: Float[np.ndarray, " nodes"]
    mixing: Float[np.ndarray, "nodes outputs outputs"]
    means: Float[np.ndarray, "nodes outputs"]
    covariances: Float[np.ndarray, "nodes outputs outputs"]
    log_evidence: float

    @cached_property
    def mean(self) -> Float[np.ndarray, " outputs"]:
        """Predictive mean E_w m."""
        return np.asarray(self.weights @ self.means)

    @cached_property
    def covariance(self) -> Float[np.ndarray, "outputs outputs"]:
        """Predictive covariance E_w V + Cov_w m."""
        centred = self.means - self.mean
        spread = np.einsum("n,ni,nj->ij", self.weights, centred, centred)
        return np.asarray(np.einsum("n,nij->ij", self.weights, self.covariances) + spread)

    @cached_property
    def mean_mixing(self) -> Float[np.ndarray, "outputs outputs"]:
        """E[Q | Y]."""
        return np.asarray(np.einsum("n,nij->ij", self.weights, self.mixing))

    def law(self, output: int) -> Law:
        """Predictive law of output `output` (from 0): a mixture of normal laws, tabulated; cdf error below 1e-5.

        Cost: 0.1 s for two outputs.
        """
        location, scale = self.means[:, output], np.sqrt(self.covariances[:, output, output])
        mean, std = float(self.mean[output]), float(np.sqrt(self.covariance[output, output]))
        if self.weights.size == 1:
            return Normal(mean, std)
        order = np.argsort(self.weights)
        kept = order[np.searchsorted(np.cumsum(self.weights[order]), _PRUNED) :]
        weights, location, scale = _merged(self.weights[kept] / self.weights[kept].sum(), location[kept], scale[kept])
        # dense in the middle, and at 0, where a large alpha puts a narrow peak: Q is small
        middle = np.sinh(np.linspace(-1, 1, _POINTS) * np.arcsinh(_REACH / _MIDDLE)) * _MIDDLE
        peak = np.geomspace(1e-4, 1.0, _POINTS // 8)
        x = np.unique(np.concatenate([mean + std * middle, -std * peak, std * peak]))
        side = np.where(x < mean, 1.0, -1.0)
        # the smaller of the two tails; the other is its complement
        tail = np.zeros_like(x)
        for start in range(0, weights.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            score = (x[:, None] - location[part]) / scale[part]
            tail += ndtr(side[:, None] * score) @ weights[part]
        # equal levels, where a tail has run out, are no use to a table
        inside = tail > 1e-14
        x, tail, left = x[inside], tail[inside], side[inside] > 0
        below, above = np.where(left, tail, 1 - tail), np.where(left, 1 - tail, tail)
        return Tabulated(x, below, survival=above, mean=mean, std=std, cdf_error=1e-5)


def _merged(
    weights: Float[np.ndarray, " nodes"], location: Float[np.ndarray, " nodes"], scale: Float[np.ndarray, " nodes"]
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """The mixture of normals with near ones as one, of their mean and variance: exact but for third moments of a cell.

    Cells are `_CELL` wide in ln(scale), and in location over scale.
    """
    row = np.floor(np.log(scale) / _CELL)
    column = np.floor(location / (_CELL * np.exp(_CELL * row)))
    _, cell = np.unique(row * 2.0**32 + column, return_inverse=True)
    total = np.bincount(cell, weights)
    mean = np.bincount(cell, weights * location) / total
    variance = np.bincount(cell, weights * (scale**2 + (location - mean[cell]) ** 2)) / total
    return total, mean, np.sqrt(variance)


def log_likelihood(nodes: Nodes, task: GaussianRegression) -> Float[np.ndarray, " nodes"]:
    """ln N(vec Y; 0, Q (x) K + T I) at every node."""
    variance, projected, _ = _diagonal(nodes, task)
    return np.asarray(-(np.log(2 * np.pi * variance) + projected**2 / variance).sum(axis=(1, 2)) / 2)


def posterior(nodes: Nodes, task: GaussianRegression) -> Posterior:
    """The posterior and the predictions of every node. Cost: about 1 microsecond a node."""
    logs = nodes.log_weight + log_likelihood(nodes, task)
    peak = logs.max()
    weights = np.exp(logs - peak)
    total = float(weights.sum())
    variance, projected, cross = _diagonal(nodes, task)
    q = nodes.eigenvalues
    mean = (q[:, :, None] * cross * projected / variance).sum(axis=2)
    spread = q * task.test_variance - (q[:, :, None] ** 2 * cross**2 / variance).sum(axis=2)
    return Posterior(
        weights / total,
        nodes.matrices,
        np.einsum("nij,nj->ni", nodes.vectors, mean),
        (nodes.vectors * spread[:, None, :]) @ nodes.vectors.swapaxes(1, 2),
        float(peak + np.log(total)),
    )


def _diagonal(
    nodes: Nodes, task: GaussianRegression
) -> tuple[
    Float[np.ndarray, "nodes outputs inputs"], Float[np.ndarray, "nodes outputs inputs"], Float[np.ndarray, " inputs"]
]:
    """q_i k_a + T, the labels V'Y U and U'k0 in the eigenbases of Q and K."""
    values, basis = np.linalg.eigh(task.kernel)
    variance = nodes.eigenvalues[:, :, None] * values + task.noise
    return variance, nodes.vectors.swapaxes(1, 2) @ (task.targets @ basis), task.cross @ basis
