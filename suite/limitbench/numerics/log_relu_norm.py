"""The log squared norm of one input through an unshaped ReLU network: a sum of ln(chi2_K / (p n)), K ~ Bin(n, p).

K is the number of units that are on in a layer, p = 1/2 without dropout; given K, the squared norm of the features is
chi2_K times the squared norm before. With a dead slope the norm needs this law of its own: it is 0 where K = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float
from scipy.special import digamma, polygamma
from scipy.stats import binom

from limitbench.numerics.log_chi_square import log_gamma_ratio
from limitbench.numerics.log_piecewise_norm import compressed_rule

#: Nodes of the rule for the number of units that are on.
_NODES = 24


@dataclass(frozen=True)
class LogReLUNorm:
    """X = ln V_d^{11}/V_0^{11} after `depth` layers of `width` units, on with probability `keep`, given no dead layer.

    E exp(sX) = [ E (2/(p n))^s Gamma(K/2 + s)/Gamma(K/2) ]^d over K ~ Bin(n, p) given K > 0, p = `keep`; fits
    `tail_probabilities`. The law of K by a 24-node Gauss rule: exact where K has no more likely values, and good to
    1e-8 of the generating function in between (ReLU, p = 1/2: from n = 32 on, where a network of any depth up to 64 n
    is dead with probability below 1e-6).
    """

    depth: int
    width: int
    keep: float = 0.5

    @property
    def edge(self) -> float:
        """Left edge of the strip where the compressed E exp(sX) is finite."""
        return -float(self._rule[0].min()) / 2

    def log_mgf(self, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "..."]:
        """ln E exp(sX), up to multiples of 2 pi i."""
        powers = self._powers(np.asarray(s, dtype=complex))
        top = powers.real.max(axis=-1)
        return np.asarray(self.depth * (top + np.log(np.exp(powers - top[..., None]) @ self._rule[1])))

    def slope(self, s: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Derivative of `log_mgf` at real s."""
        units, weight = self._rule
        powers = self._powers(np.asarray(s, dtype=complex)).real
        tilted = weight * np.exp(powers - powers.max(axis=-1, keepdims=True))
        each = digamma(units / 2 + np.asarray(s)[..., None]) - math.log(self.keep * self.width / 2)
        return np.asarray(self.depth * (tilted * each).sum(axis=-1) / tilted.sum(axis=-1))

    @property
    def mean(self) -> float:
        """E X = d (E psi(K/2) - ln(p n/2))."""
        units, weight = self._rule
        return float(self.depth * (weight @ digamma(units / 2) - math.log(self.keep * self.width / 2)))

    @property
    def variance(self) -> float:
        """Var X = d (E psi'(K/2) + Var psi(K/2))."""
        units, weight = self._rule
        centred = digamma(units / 2) - weight @ digamma(units / 2)
        return float(self.depth * (weight @ (polygamma(1, units / 2) + centred**2)))

    @property
    def _rule(self) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
        return _units_rule(self.width, self.keep)

    def _powers(self, s: Complex[np.ndarray, "..."]) -> Complex[np.ndarray, "... nodes"]:
        """ln E (chi2_k/(p n))^s at the nodes k."""
        units, s = self._rule[0], s[..., None]
        return np.asarray(log_gamma_ratio(units / 2, s) + s * np.log(units / (self.keep * self.width)))


@lru_cache(maxsize=64)
def _units_rule(width: int, keep: float) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Gauss's rule for the law of K given K >= 1, which needs no more nodes than K has likely values."""
    k = np.arange(1, width + 1)
    probability = binom.pmf(k, width, keep)
    likely = probability > 1e-18
    nodes, weights = compressed_rule(
        k[likely] / width, probability[likely] / probability[likely].sum(), min(_NODES, int(likely.sum()))
    )
    return nodes * width, weights
