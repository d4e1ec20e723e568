"""The log squared norm of one input through a leaky-ReLU MLP: a sum of ln((c/n) sum_i phi_s(g_i)^2) over layers.

A layer multiplies V^{11} by (c/n) sum phi_s(g_i)^2 = (c/n) chi2_n M in law, with M = s_+^2 B + s_-^2 (1 - B)
independent of chi2_n: the signs of the rows make K ~ Bin(n, 1/2) of them positive, and B ~ Beta(K/2, (n - K)/2) is the
share of those in sum g_i^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float
from scipy.linalg import eigh_tridiagonal
from scipy.special import digamma, polygamma, roots_jacobi
from scipy.stats import binom

from limitbench.numerics.log_chi_square import log_gamma_ratio

#: Nodes of the rule for the share B, and of the Beta law at each K.
_SHARE_NODES, _BETA_NODES = 32, 24


@dataclass(frozen=True)
class LogPiecewiseNorm:
    """X = ln V_d^{11}/V_0^{11} after `depth` layers of `width` rows with slopes s_+ and s_-.

    E exp(sX) = [ (2c/n)^s Gamma(n/2 + s)/Gamma(n/2) E M^s ]^d, c = 2/(s_+^2 + s_-^2); fits `tail_probabilities`.
    E M^s by a 32-node Gauss rule: good to 1e-7 of the cdf for |s_-/s_+| in [0.2, 5], and in [0.1, 10] from n = 32 on
    (a dead slope makes M vanish with probability 2^-n, which no polynomial sees).
    """

    depth: int
    width: int
    s_plus: float
    s_minus: float

    @property
    def edge(self) -> float:
        """Left edge -n/2 of the strip where E exp(sX) is finite."""
        return -self.width / 2

    def log_mgf(self, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
        """ln E exp(sX), up to multiples of 2 pi i."""
        power, top = self._powers(s)
        return np.asarray(
            self.depth * (log_gamma_ratio(self.width / 2, s) + top + np.log(power @ _share_rule(self.width)[1]))
        )

    def slope(self, s: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Derivative of `log_mgf` at real s."""
        power, _ = self._powers(s)
        weight = power * _share_rule(self.width)[1]
        tilted = (weight @ self._log_share).real / weight.sum(axis=-1).real
        return np.asarray(self.depth * (digamma(self.width / 2 + s) - math.log(self.width / 2) + tilted))

    @property
    def mean(self) -> float:
        """E X = d (psi(n/2) - ln(n/2) + E ln cM)."""
        return float(self.slope(np.zeros(1))[0])

    @property
    def variance(self) -> float:
        """Var X = d (psi'(n/2) + Var ln M)."""
        weight = _share_rule(self.width)[1]
        centred = self._log_share - weight @ self._log_share
        return float(self.depth * (polygamma(1, self.width / 2) + weight @ centred**2))

    @property
    def _log_share(self) -> Float[np.ndarray, " nodes"]:
        """ln cM at the nodes of the rule."""
        share = _share_rule(self.width)[0]
        plus, minus = self.s_plus**2, self.s_minus**2
        return np.log(2 * (plus * share + minus * (1 - share)) / (plus + minus))

    def _powers(self, s: Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray]:
        """(cM)^s at the nodes over their largest modulus, and the log of that modulus."""
        exponent = np.asarray(s)[..., None] * self._log_share
        top = exponent.real.max(axis=-1)
        return np.exp(exponent - top[..., None]), top


@lru_cache(maxsize=64)
def _share_rule(width: int) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Gauss's rule for the law of B, exact for polynomials of degree 63: Lanczos on the Beta rules of all likely K."""
    nodes, weights = [], []
    for k in range(width + 1):
        probability = float(binom.pmf(k, width, 0.5))
        if probability < 1e-18:
            continue
        if k in (0, width):
            x, w = np.array([float(k > 0)]), np.ones(1)
        else:
            x, w = roots_jacobi(_BETA_NODES, (width - k) / 2 - 1, k / 2 - 1)
            x, w = (1 + x) / 2, w / w.sum()
        nodes.append(x)
        weights.append(probability * w)
    x, w = np.concatenate(nodes), np.concatenate(weights)
    return compressed_rule(x, w / w.sum(), _SHARE_NODES)


def compressed_rule(
    x: Float[np.ndarray, " points"], w: Float[np.ndarray, " points"], count: int
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """The `count`-node Gauss rule of a discrete law: Lanczos with full reorthogonalisation, then Golub and Welsch."""
    basis = [np.sqrt(w)]
    diagonal, off_diagonal = [], []
    for _ in range(count):
        vector = x * basis[-1]
        diagonal.append(float(vector @ basis[-1]))
        for _ in range(2):
            vector = vector - np.transpose(basis) @ (np.array(basis) @ vector)
        norm = float(np.linalg.norm(vector))
        if norm < 1e-12:
            break
        off_diagonal.append(norm)
        basis.append(vector / norm)
    values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(off_diagonal[: len(diagonal) - 1]))
    return values, vectors[0] ** 2
