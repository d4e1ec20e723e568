"""Smooth shaped networks, phi_s(x) = s phi(x/s) with s = a n^rate: what limits predict for two inputs of equal norm.

At rate 1/2 and depth proportional to width, t = l/n, the covariance follows an SDE and the squared norm one of its own,
whose drift coefficient beta = (3/4 phi''^2 + phi''')/a^2 decides: explosion (beta > 0), collapse (-1 <= beta <= 0) or a
stationary law (beta < -1). Below rate 1/2 noise vanishes and an ODE is left, in t = l/n^{2 rate}.
"""

from limitbench.theories.shaped_smooth.covariance_sde import SmoothCovarianceSDE
from limitbench.theories.shaped_smooth.explosion_probability import ExplosionProbability
from limitbench.theories.shaped_smooth.infinite_width import SmoothInfiniteWidth
from limitbench.theories.shaped_smooth.norm_sde import NormSDE
from limitbench.theories.shaped_smooth.ode import CovarianceODE
from limitbench.theories.shaped_smooth.stationary import StationaryNorm

__all__ = [
    "CovarianceODE",
    "ExplosionProbability",
    "NormSDE",
    "SmoothCovarianceSDE",
    "SmoothInfiniteWidth",
    "StationaryNorm",
]
