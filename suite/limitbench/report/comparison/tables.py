"""Two stored tables of quantiles: how far apart their laws are, and how far their own errors may put them.

A store keeps 513 quantiles of every law. The distance of two tables is the largest difference of their cdfs, which is
comparable with a law's declared `cdf_error` and, for a law estimated from draws, with Kolmogorov's distribution.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.statistics.distances import kolmogorov_pvalue

#: Relative rounding of a quantile, which may move an atom between two versions.
ROUNDING = 1e-10
#: Declared errors count as at least this: what solved laws are accurate to (in the cdf; for a point mass relative).
LEAST_ERROR = 1e-6
#: Declared error of a law that this installation cannot build: the largest that any law is allowed.
ASSUMED_ERROR = 1e-3


def cdf_difference(
    levels: Float[np.ndarray, " levels"], a: Float[np.ndarray, " levels"], b: Float[np.ndarray, " levels"]
) -> float:
    """Largest |F_a - F_b| over the stored quantiles of both laws.

    F is interpolated between quantiles, linearly in the probit of the level. Where a quantile is repeated (an atom) the
    cdf is known up to the step of the levels there, and the smallest difference that fits both tables counts.
    """
    return max(_excess(levels, a, b), _excess(levels, b, a))


def _excess(
    levels: Float[np.ndarray, " levels"], at: Float[np.ndarray, " levels"], table: Float[np.ndarray, " levels"]
) -> float:
    """Largest distance of a level u from [F(x-), F(x)] of `table`, x the quantile of `at` at u, up to rounding."""
    slack = ROUNDING * np.maximum(np.abs(at), np.ptp(table))
    low, _ = _cdf(levels, at - slack, table)
    _, high = _cdf(levels, at + slack, table)
    return float(np.maximum(np.maximum(low - levels, levels - high), 0.0).max())


def _cdf(
    levels: Float[np.ndarray, " levels"], at: Float[np.ndarray, " levels"], table: Float[np.ndarray, " levels"]
) -> tuple[Float[np.ndarray, " levels"], Float[np.ndarray, " levels"]]:
    """Bounds of F(x-) and F(x) of `table` at points x."""
    first, last = np.searchsorted(table, at, side="left"), np.searchsorted(table, at, side="right")
    z, top = ndtri(levels), levels.size - 1
    below, above = levels[np.maximum(first - 1, 0)], levels[np.minimum(last, top)]
    low, high = np.where(first == 0, 0.0, below), np.where(last > top, 1.0, above)
    inside = (first == last) & (first > 0) & (first <= top)  # strictly between two different quantiles
    k = first[inside]
    share = (at[inside] - table[k - 1]) / (table[k] - table[k - 1])
    low[inside] = high[inside] = ndtr(z[k - 1] + share * (z[k] - z[k - 1]))
    return low, high


def sampling_pvalue(difference: float, draws: int) -> float:
    """Chance that two laws estimated by `draws` draws each differ that much in the cdf where they are one law."""
    return kolmogorov_pvalue(difference, draws / 2)


def allowed_difference(cdf_error: float) -> float:
    """Largest cdf difference of two tables whose laws each have `cdf_error`."""
    return 2 * max(cdf_error, LEAST_ERROR)
