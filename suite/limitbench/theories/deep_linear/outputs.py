"""Laws of the outputs of a deep linear network for one input with |x|^2 = n_0, given the law of ln Q_11.

|S|^2 = chi2_D Q_11 in law with independent factors, for the map from the features to the outputs is rotation invariant;
and S_i is symmetric with S_i^2 = chi2_1 Q_11: a Gaussian whose variance is random, F(x) = E Phi(x / sqrt(Q_11)).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from limitbench.numerics.characteristic import MomentGenerating, score_nodes, tail_probabilities
from limitbench.numerics.independent_sum import IndependentSum, tail_table
from limitbench.numerics.log_chi_square import LogChiSquareSum
from limitbench.statistics.laws import Tabulated

_POINTS = 1201
#: Largest sum of 1/N_l at which outputs, of order exp(-sum/2), and the cubes of their differences do not underflow.
_RESOLVED = 128.0


def output_observables(outputs: int, alpha: float = 0.0) -> tuple[str, ...]:
    """`log_output`, and the outputs themselves where `alpha`, the sum of 1/N_l, is at most 128."""
    single = ("output_1", "output_2")[:outputs] if alpha <= _RESOLVED else ()
    return ("log_output", *single)


@lru_cache(maxsize=256)
def log_output_law(outputs: int, log_q11: MomentGenerating | None, mean: float, variance: float) -> Tabulated:
    """ln |S|^2 = ln chi2_D + ln Q_11, inverted from its generating function; cdf error below 1e-8.

    Arguments:
        outputs: D.
        log_q11: generating function of ln Q_11, None where Q = I.
        mean, variance: those of ln Q_11.
    """
    normals = LogChiSquareSum(((outputs, 1.0, 1),))
    x, cdf, survival = tail_table(_with(normals, log_q11), _POINTS)
    std = (normals.cumulant(2) + variance) ** 0.5
    return Tabulated(x, cdf, survival=survival, mean=normals.cumulant(1) + mean, std=std, cdf_error=1e-8)


@lru_cache(maxsize=256)
def output_law(log_q11: MomentGenerating) -> Tabulated:
    """S_1: symmetric, E S_1^2 = 1, kurtosis 3 E Q_11^2; cdf error below 1e-6, and below 1e-7 up to sum 1/N_l = 16.

    P(|S_1| > x) = P(ln chi2_1 + ln Q_11 > ln x^2), tabulated on points geometric in x: both tails keep their digits,
    which a quadrature of Phi(x / sqrt(Q)) over a wide Q does not promise.
    """
    log_square = _with(LogChiSquareSum(((1, 1.0, 1),)), log_q11)
    # evenly spaced normal scores of ln S^2; those below -6, probability 1e-9 of |S|, are one step of the cdf of S
    y = score_nodes(log_square, _POINTS)[_POINTS // 8 :]
    within, beyond = tail_probabilities(log_square, y)
    x, upper, tail = np.exp(y / 2), (1 + within) / 2, beyond / 2
    return Tabulated(
        np.concatenate([-x[::-1], [0.0], x]),
        np.concatenate([tail[::-1], [0.5], upper]),
        survival=np.concatenate([upper[::-1], [0.5], tail]),
        mean=0.0,
        std=1.0,
        cdf_error=1e-6,
    )


def _with(normals: LogChiSquareSum, log_q11: MomentGenerating | None) -> MomentGenerating:
    return normals if log_q11 is None else IndependentSum((normals, log_q11))
