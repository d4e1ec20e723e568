"""Shaped ReLU networks, slopes 1 + c_pm n^-rate: what infinite width and the covariance SDE predict for two inputs.

Observables are the correlation of the two inputs' features after d layers, the log of one minus it, and the log of the
squared norm ratio. Times are t = sum_l 1/n_l, which the caller computes from the widths.
"""

from limitbench.theories.shaped_relu.covariance_sde import CovarianceSDE
from limitbench.theories.shaped_relu.drift_corrected_covariance_sde import DriftCorrectedCovarianceSDE
from limitbench.theories.shaped_relu.driftless_covariance_sde import DriftlessCovarianceSDE
from limitbench.theories.shaped_relu.finite_width_chain import FiniteWidthChain
from limitbench.theories.shaped_relu.infinite_width import InfiniteWidth
from limitbench.theories.shaped_relu.infinite_width_clt import InfiniteWidthCLT
from limitbench.theories.shaped_relu.matrix_covariance_sde import MatrixCovarianceSDE

__all__ = [
    "CovarianceSDE",
    "DriftCorrectedCovarianceSDE",
    "DriftlessCovarianceSDE",
    "FiniteWidthChain",
    "InfiniteWidth",
    "InfiniteWidthCLT",
    "MatrixCovarianceSDE",
]
