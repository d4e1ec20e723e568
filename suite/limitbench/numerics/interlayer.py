"""Correlations between the layers of a ReLU ResNet: kernels of one neuron at two depths, and their sums over lags.

A neuron of z_{l+1} = alpha z_l + lambda sqrt(2/n) W phi(z_l) has correlation c^r with itself r layers on, where
c^2 = alpha^2/(alpha^2 + lambda^2). Layers that pass more of the norm on are therefore followed by such layers, and the
fluctuations of the log norm add up to more than those of independent layers (arXiv 2106.04013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError

#: Lags with c^r below this do not count: the kernels are linear in c^r there.
_NEGLIGIBLE = 1e-18


def squares_kernel(rho: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
    """K(rho) = E[X|X| Y|Y|] = (2/pi) [3 rho sqrt(1 - rho^2) + (1 + 2 rho^2) arcsin rho], X, Y unit normals.

    K(1) = 3. Equal to (2/pi) J_2(arccos rho) - (1 + 2 rho^2) with the arc-cosine kernel J_2 of degree 2.
    """
    rho = np.asarray(rho, dtype=float)
    return np.asarray(2 / np.pi * (3 * rho * np.sqrt(1 - rho**2) + (1 + 2 * rho**2) * np.arcsin(rho)))


def signs_kernel(rho: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
    """M(rho) = E[sgn(Y) X|X|] = (2/pi) [rho sqrt(1 - rho^2) + arcsin rho], X, Y unit normals; M(1) = 1."""
    rho = np.asarray(rho, dtype=float)
    return np.asarray(2 / np.pi * (rho * np.sqrt(1 - rho**2) + np.arcsin(rho)))


@dataclass(frozen=True)
class Interlayer:
    """Constants of G = ln |z_d|^2/(s^d |z_0|^2), s = alpha^2 + lambda^2, which is N(m t, v t) at t = d/n.

    With b = lambda^2/s = 1 - c^2 and sums over lags r = 1 .. d - 1 with weights 1 - r/d (all r, weight 1, as d -> inf):

        base = b (4 + b) = (5 lambda^4 + 4 alpha^2 lambda^2)/s^2,      coupling = 2 b^2 sum K(c^r),
        v = base + coupling,      m = -base/2 - b^2 sum [K(c^r) - M(c^r)],      m + v/2 = b^2 sum M(c^r).

    Balanced networks draw the active set independently of z: no sums, v = base, m = -base/2.

    Arguments:
        residual_weight: c^2 = alpha^2/(alpha^2 + lambda^2), the share of the skip, in [0, 1).
        depth: number d of residual layers, None for d = inf.
        balanced: whether signs are balanced.

    Raises `InputError` where the residual weight is not in [0, 1). Cost: 40/(1 - c) evaluations of each kernel.
    """

    residual_weight: float
    depth: int | None = None
    balanced: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.residual_weight < 1:
            raise InputError("residual_weight", self.residual_weight, "a number in [0, 1)")

    @property
    def branch_weight(self) -> float:
        """b = lambda^2/(alpha^2 + lambda^2)."""
        return 1 - self.residual_weight

    @property
    def base(self) -> float:
        """Rate of the variance if layers were independent; 5 for a ReLU MLP (residual weight 0)."""
        return self.branch_weight * (4 + self.branch_weight)

    @cached_property
    def squares_sum(self) -> float:
        """Weighted sum of K(c^r)."""
        return float(self._weights @ squares_kernel(self._correlations))

    @cached_property
    def signs_sum(self) -> float:
        """Weighted sum of M(c^r)."""
        return float(self._weights @ signs_kernel(self._correlations))

    @property
    def coupling(self) -> float:
        """C = 2 b^2 sum K: what correlations between layers add to the variance."""
        return 2 * self.branch_weight**2 * self.squares_sum

    @property
    def variance_rate(self) -> float:
        """v."""
        return self.base + self.coupling

    @property
    def mean_rate(self) -> float:
        """m; below -v/2 + coupling/2 because fewer than half of the units are active."""
        return -self.base / 2 - self.branch_weight**2 * (self.squares_sum - self.signs_sum)

    @property
    def growth_rate(self) -> float:
        """m + v/2, the rate of ln E exp(G) in t; infinite width says 0."""
        return self.branch_weight**2 * self.signs_sum

    def share_excess(self, layer: int | None = None) -> float:
        """n (E A_l - 1/2) -> -(b/2) sum_{r=1..l} [K(c^r) - M(c^r)], A_l = |phi(z_l)|^2/|z_l|^2; l = inf if None."""
        rho = self._until(layer)
        return 0.0 - self.branch_weight / 2 * float((squares_kernel(rho) - signs_kernel(rho)).sum())

    def active_excess(self, layer: int | None = None) -> float:
        """n (P(z_l > 0) - 1/2) -> -(b/pi) sum_{r=1..l} c^r sqrt(1 - c^(2r)), for one neuron; l = inf if None."""
        rho = self._until(layer)
        return 0.0 - self.branch_weight / math.pi * float((rho * np.sqrt(1 - rho**2)).sum())

    def lag_covariance(self, lag: int) -> float:
        """4n Cov(A_l, A_{l+r}) -> K(c^r); balanced: 3 at lag 0, else 0."""
        if self.balanced:
            return 3.0 if lag == 0 else 0.0
        return float(squares_kernel(self.residual_weight ** (lag / 2)))

    @cached_property
    def _correlations(self) -> Float[np.ndarray, " lags"]:
        """c^r for the lags that are summed."""
        return self._until(None if self.depth is None else self.depth - 1)

    @property
    def _weights(self) -> Float[np.ndarray, " lags"]:
        lags = np.arange(1, len(self._correlations) + 1)
        return np.ones(len(lags)) if self.depth is None else 1 - lags / self.depth

    def _until(self, last: int | None) -> Float[np.ndarray, " lags"]:
        """c^r for r = 1 .. last, as far as they matter; none where signs are balanced."""
        if self.balanced or self.residual_weight == 0:
            return np.zeros(0)
        matter = math.ceil(2 * math.log(_NEGLIGIBLE) / math.log(self.residual_weight))
        lags = np.arange(1, matter + 1 if last is None else min(last, matter) + 1)
        return np.asarray(self.residual_weight ** (lags / 2))
