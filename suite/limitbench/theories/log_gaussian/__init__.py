"""Log-Gaussian laws of one input's squared norm: ReLU ResNets, vanilla and Balanced, and MLPs with fixed slopes.

Depth and width grow together, t = sum_l 1/n_l; infinite width at fixed depth is the competitor that predicts no
fluctuation at all.
"""

from limitbench.theories.log_gaussian.base_only import LogGaussianBase
from limitbench.theories.log_gaussian.finite_depth import LogGaussianFiniteDepth
from limitbench.theories.log_gaussian.finite_width_perceptron import FiniteWidthPerceptron
from limitbench.theories.log_gaussian.infinite_width import InfiniteWidth
from limitbench.theories.log_gaussian.log_gaussian import LogGaussian
from limitbench.theories.log_gaussian.perceptron import LogGaussianPerceptron

__all__ = [
    "FiniteWidthPerceptron",
    "InfiniteWidth",
    "LogGaussian",
    "LogGaussianBase",
    "LogGaussianFiniteDepth",
    "LogGaussianPerceptron",
]
