"""Errors of the shaped-ReLU laws: deterministic, lower is better, a non-finite value raises."""

from __future__ import annotations

import math

import numpy as np

from limitbench.numerics.correlation_sde import forward_cdf
from limitbench.numerics.shaping import log_gap_variance
from limitbench.theories.shaped_relu import CovarianceSDE, InfiniteWidth, InfiniteWidthCLT

from .measure import error

#: Mean and sd of the correlation at T = 1, c = (0, -1), rho0 = 0.3, by a spectral method to 1e-10.
MEAN, STD = 0.3415511896, 0.5912038429
#: sqrt(s_1) of s' = 2 nu'(rho) s + (1 - rho^2)^2 for (c_+ - c_-)^2 = 9, rho0 = -0.2, by an adaptive solver.
FLUCTUATION = 0.4244772501


class ForwardEquation:
    """Kolmogorov-forward cdf of atanh(rho) at (time, |c_+ - c_-|, rho0)."""

    params = ([(1 / 16, 3.0, -0.9), (1.0, 1.0, 0.3), (4.0, 3.0, 0.99), (4.0, 0.5, -0.9), (1.0, 1.0, -1.0)],)
    param_names = ("time_difference_rho0",)

    def track_cdf_change_under_mesh_halving(self, corner: tuple[float, float, float]) -> float:
        """The error that the solver itself states."""
        time, difference, rho0 = corner
        return error(forward_cdf(time, difference**2 / (2 * math.pi), rho0).error)

    def track_cdf_error_against_a_fine_mesh(self, corner: tuple[float, float, float]) -> float:
        """Largest difference of the cdf to a mesh four times as fine, at common nodes."""
        time, difference, rho0 = corner
        kappa = difference**2 / (2 * math.pi)
        solved, fine = forward_cdf(time, kappa, rho0), forward_cdf(time, kappa, rho0, nodes=4000)
        nearest = np.clip(np.searchsorted(fine.z, solved.z), 1, fine.z.size - 1)
        nearest -= fine.z[nearest] - solved.z > solved.z - fine.z[nearest - 1]
        nested = np.abs(fine.z[nearest] - solved.z) < 1e-9
        return error(float(np.abs(fine.cdf[nearest] - solved.cdf)[nested].max()))


class CorrelationLaw:
    """Laws against exact or converged numbers."""

    def track_error_of_mean_at_time_one(self) -> float:
        """Against a spectral method."""
        return error(abs(CovarianceSDE(1.0, 0.0, -1.0, 0.3).law("correlation").mean - MEAN))

    def track_error_of_sd_at_time_one(self) -> float:
        """Against a spectral method."""
        return error(abs(CovarianceSDE(1.0, 0.0, -1.0, 0.3).law("correlation").std - STD))

    def track_round_trip_of_quantile_and_cdf(self) -> float:
        """Largest |cdf(quantile(u)) - u| over u in (1e-4, 1 - 1e-4)."""
        law = CovarianceSDE(1.0, 0.0, -1.0, 0.3).law("log_gap")
        u = np.linspace(1e-4, 1 - 1e-4, 5001)
        return error(float(np.abs(law.cdf(law.quantile(u)) - u).max()))

    def track_relative_error_of_a_tiny_gap(self) -> float:
        """1 - rho = 2^-50 after one layer, against its expansion."""
        gap = InfiniteWidth(1, 4, c_minus=-1.0, rate=0.0, rho0=1 - 2.0**-50).law("log_gap").mean
        return error(abs(gap - math.log(2.0**-50 * (1 - 2 * math.sqrt(2) / (3 * math.pi) * 2.0**-25))))

    def track_error_of_the_fluctuation_at_rate_one_quarter(self) -> float:
        """Against the limit of n^{1/4} sd at d = n^{1/2}, n = 10^6: O(n^{-1/2}) by nature."""
        law = InfiniteWidthCLT(1000, 10**6, c_plus=1.5, c_minus=-1.5, rate=0.25, rho0=-0.2).law("correlation")
        return error(abs(10**1.5 * law.std - FLUCTUATION))

    def track_error_of_the_one_layer_variance(self) -> float:
        """Linear network, against (1 + rho)^2."""
        return error(max(abs(log_gap_variance(1 - rho, 1.0, 1.0) / (1 + rho) ** 2 - 1) for rho in (-0.5, 0.0, 0.9)))
