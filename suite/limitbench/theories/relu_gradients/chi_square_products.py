"""The exact law of norms, Jacobians and gradients at finite width: products of chi-squares of random degrees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from scipy.special import polygamma
from scipy.stats import binom

from limitbench.numerics.independent_sum import IndependentSum, tail_table
from limitbench.numerics.log_relu_norm import LogReLUNorm
from limitbench.statistics.laws import Bernoulli, Law, PointMass, Tabulated
from limitbench.theories.base import Theory
from limitbench.theories.relu_gradients.layers import LOGS, Layers

_POINTS = 301


@final
@dataclass(frozen=True)
class ChiSquareProducts(Theory):
    """ln of prod chi2_{K_l}/(p n_l) over the layers that enter, K_l ~ Binomial(n_l, p) given K_l > 0, all independent.

    Flipping the signs of units by fair coins leaves Gaussian weights Gaussian and makes the units that are on coins
    that do not depend on them: every one of the four logs is such a product, given that no layer is dead. Inverted from
    its generating function (`LogReLUNorm`) to 1e-6 in the cdf. `dead` is 1 with probability
    1 - prod_{j <= l} (1 - (1 - p)^{n_j}).

    Arguments:
        layers: the layer and the network that it is in.

    Cost: 0.1 s a law for each distinct width, cached, whatever the depth.
    """

    layers: Layers

    name: ClassVar[str] = "chi-square-products"
    title: ClassVar[str] = "exact chi-square products"
    reference: ClassVar[str] = "Hanin & Nica 2018, arXiv 1812.05994"
    time_variable: ClassVar[str] = "t = sum of 1/n_l over the layers that enter"
    validity: ClassVar[str] = "Gaussian weights, one input: every width and depth"

    @property
    def observables(self) -> tuple[str, ...]:
        """All logs and `dead`."""
        return (*LOGS, "dead")

    def mean(self, observable: str) -> float:
        """Exact mean of a log."""
        return sum(part.mean for part in self._parts(observable))

    def variance(self, observable: str) -> float:
        """Exact variance of a log."""
        return sum(part.variance for part in self._parts(observable))

    def spread_if_independent(self) -> float:
        """Var(ln|dE/dW_1|^2 - ln|dE/dW_L|^2) if forward and backward factors shared the units that are on alone.

        The two differ by a forward and a backward factor chi2_K of each layer below L: 2 sum_{l<L} E psi'(K_l/2), about
        (4/p) sum 1/n_l. The matrices that they share as well make it less, to second order in the sum.
        """
        total = 0.0
        for n, depth in Counter(self.layers.widths[:-1]).items():
            k = np.arange(1, n + 1)
            weight = binom.pmf(k, n, self.layers.passing)
            total += 2 * depth * float(weight @ polygamma(1, k / 2) / weight.sum())
        return total

    def _parts(self, observable: str) -> tuple[LogReLUNorm, ...]:
        counts = sorted(Counter(self.layers.entering(observable)).items())
        return tuple(LogReLUNorm(depth, n, self.layers.passing) for n, depth in counts)

    def _law(self, observable: str) -> Law:
        if observable == "dead":
            death = self.layers.death
            return Bernoulli(death) if 0 < death < 1 else PointMass(death)
        return _solve(self._parts(observable))


@lru_cache(maxsize=1024)
def _solve(parts: tuple[LogReLUNorm, ...]) -> Tabulated:
    x, cdf, survival = tail_table(IndependentSum(parts), _POINTS)
    mean, variance = sum(part.mean for part in parts), sum(part.variance for part in parts)
    return Tabulated(x, cdf, survival=survival, mean=mean, std=variance**0.5, cdf_error=1e-6)
