"""Errors of the finite-width chain of the correlation: deterministic, lower is better, a non-finite value raises."""

from __future__ import annotations

import numpy as np

from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics.law_distance import deterministic_ks
from limitbench.theories.shaped_relu import CovarianceSDE, FiniteWidthChain

from .measure import error


class FiniteWidthChainLaw:
    """The law of the correlation at depth = width, c = (0, -2), rho0 = 0."""

    params = ([16, 64],)
    param_names = ("width",)

    def track_mean_error_against_networks(self, width: int) -> float:
        """Against 65,536 networks of a fixed seed; sampling alone gives 0.0018."""
        drawn = ShapedMLP(width, width, c_plus=0.0, c_minus=-2.0, rate=0.5, rho0=0.0).sample(65_536)
        law = FiniteWidthChain(width, width, 0.0, -2.0, 0.5, 0.0).law("correlation")
        return error(abs(float(drawn["correlation"].mean()) - law.mean), noise=0.006)


class LinearLimit:
    """Width x KS distance between chain and SDE without shaping: the O(1/n) error of the limit itself."""

    params = ([64, 256],)
    param_names = ("width",)

    def track_scaled_distance(self, width: int) -> float:
        """The distance x width: bounded as the width grows, so that a growth shows an error of either law."""
        chain = FiniteWidthChain(width, width, 0.0, 0.0, 0.5, 0.3).law("correlation")
        limit = CovarianceSDE(1.0, 0.0, 0.0, 0.3).law("correlation")
        return error(width * deterministic_ks(chain, limit))

    def track_cdf_round_trip(self, width: int) -> float:
        """Largest |cdf(quantile(u)) - u| over u in (0.001, 0.999)."""
        law = FiniteWidthChain(width, width, 0.0, 0.0, 0.5, 0.3).law("correlation")
        u = np.linspace(1e-3, 1 - 1e-3, 2001)
        return error(float(np.abs(law.cdf(law.quantile(u)) - u).max()))
