"""Shaped MLPs and residual networks with piecewise linear activations: one deterministic limit, two fluctuations.

A shaped MLP with slopes 1 + c_pm d^-1/2 and a residual network with branches of size d^-1/2 and slopes s_pm have the
same correlation at layer t d where c_+ - c_- = s_+ - s_- (arXiv 2310.12079); their fluctuations differ.
"""

from limitbench.theories.equivalence.gaussian_fluctuation import GaussianFluctuation
from limitbench.theories.equivalence.infinite_width import InfiniteWidth
from limitbench.theories.equivalence.kernel_fluctuation import KernelFluctuation
from limitbench.theories.equivalence.shaping_ode import ShapingODE

__all__ = ["GaussianFluctuation", "InfiniteWidth", "KernelFluctuation", "ShapingODE"]
