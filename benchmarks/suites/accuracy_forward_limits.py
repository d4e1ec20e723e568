"""Errors of the laws of unshaped, smooth and residual networks: deterministic, lower is better, non-finite raises."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammainc

from limitbench.networks.resnet import ResNet
from limitbench.numerics.affine_sde import AffineSDE
from limitbench.numerics.interlayer import Interlayer
from limitbench.theories.equivalence import GaussianFluctuation
from limitbench.theories.log_gaussian import LogGaussianFiniteDepth
from limitbench.theories.shaped_smooth import NormSDE
from limitbench.theories.unshaped_relu import FiniteStartSDE, FiniteWidthChain

from .measure import error

#: (variance, mean) a unit of d/n at alpha^2 = 1/2, by 40-digit summation of the interlayer kernels.
INTERLAYER = (5.442478042879029, -1.983860634029503)
#: sqrt(s_1) of s' = 2 nu'(rho) s + (1 - rho^2)^2 for (c_+ - c_-)^2 = 9, rho0 = -0.2, by an adaptive solver.
FLUCTUATION = 0.4244772501


class ExponentialFunctional:
    """w_t of unshaped ReLU networks, whose moments are known in closed form."""

    params = ([0.25, 1.0, 4.0],)
    param_names = ("time",)

    def setup(self, time: float) -> None:
        self.process = AffineSDE(growth=2.0, source=math.sqrt(2) / (3 * math.pi), sigma=math.sqrt(2))

    def track_cdf_change_under_mesh_halving(self, time: float) -> float:
        """The error that the solver itself states."""
        return error(self.process.forward_cdf(time).error)

    def track_relative_error_of_the_mean(self, time: float) -> float:
        """Mean of the tabulated law against the closed form."""
        sigma = self.process.sigma
        solved = self.process.forward_cdf(time)
        # E W = int P(W > w) dw up to where the table's own rounding ends
        kept = np.logical_and.accumulate(solved.cdf < 1 - 1e-11)
        w = np.exp(sigma * solved.z[kept])
        mean = float(w[0] + np.trapezoid(1 - solved.cdf[kept], w))
        return error(abs(mean / self.process.mean(time) - 1))


class UnshapedNetworks:
    """Laws of ln q at depth = width, ReLU, rho0 = 0.3."""

    params = ([64, 256],)
    param_names = ("width",)

    def track_distance_of_the_sde_from_the_chain(self, width: int) -> float:
        """The SDE's own O(log n/n) error in the mean: a change of either law shows."""
        chain = FiniteWidthChain(width, width, 0.0, 0.3).law("log_q")
        return error(abs(FiniteStartSDE(width, width, 0.0, 0.3).law("log_q").mean - chain.mean))


class SmoothNorm:
    """Explosion of the norm SDE against its closed form at a late time."""

    def track_error_of_the_explosion_probability(self) -> float:
        """Against the regularised incomplete gamma function."""
        law = NormSDE(time=16.0, beta=0.75).law("exploded")
        return error(abs(law.mean - float(gammainc(1.75, 0.75))))


class ResidualNetworks:
    """Constants and laws of residual networks."""

    def track_error_of_the_interlayer_constants(self) -> float:
        """Against 40-digit sums."""
        constants = Interlayer(0.5)
        return error(max(abs(constants.variance_rate - INTERLAYER[0]), abs(constants.mean_rate - INTERLAYER[1])))

    def track_variance_error_against_networks(self) -> float:
        """Vanilla, n = d = 64, 8192 networks of a fixed seed: the excess over finite-depth sums is 43/n = 0.67."""
        drawn = ResNet(64, 64, skip=math.sqrt(0.5), branch=1.0).sample(8192)["log_norm"]
        excess = float(drawn.var(ddof=1)) - LogGaussianFiniteDepth(64, 64).law("log_norm").std ** 2
        return error(abs(excess), noise=1.0)

    def track_error_of_the_fluctuation(self) -> float:
        """sd of the correlation x sqrt(width) against an adaptive solver."""
        law = GaussianFluctuation(time=1.0, slope_difference=3.0, rho0=-0.2, depth=100, width=10_000)
        return error(abs(law.law("correlation").std * 10 - FLUCTUATION))
