"""The posterior of a deep linear network: Gaussian regression mixed over the mixing matrix Q, tilted by the labels."""

from limitbench.theories.linear_posterior.finite_width import FiniteWidth
from limitbench.theories.linear_posterior.infinite_width import InfiniteWidth
from limitbench.theories.linear_posterior.proportional_limit import ProportionalLimit

__all__ = ["FiniteWidth", "InfiniteWidth", "ProportionalLimit"]
