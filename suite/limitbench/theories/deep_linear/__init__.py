"""Deep linear networks: the law of the mixing matrix Q at infinite width, in the proportional limit, at finite size.

The outputs of a deep linear network are Gaussian given Q = M M' (D x D), M = W_{L+1} W_L ... W_2 / N^{L/2}: the
covariance of outputs i and j is Q_ij times the input kernel.
"""

from limitbench.theories.deep_linear.finite_width import FiniteWidth
from limitbench.theories.deep_linear.infinite_width import InfiniteWidth
from limitbench.theories.deep_linear.moments import SecondMoments, finite_second_moments, limit_second_moments
from limitbench.theories.deep_linear.proportional_limit import ProportionalLimit

__all__ = [
    "FiniteWidth",
    "InfiniteWidth",
    "ProportionalLimit",
    "SecondMoments",
    "finite_second_moments",
    "limit_second_moments",
]
