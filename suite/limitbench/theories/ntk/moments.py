"""The first two moments of the neural tangent kernel of one input at finite width, exactly.

Flip the signs of units by fair coins: Gaussian weights stay Gaussian and independent of the coins, while the units that
are on become coins that do not depend on the weights. So every term P_l = |f_l|^2 |df/dz_{l+1}|^2 of K = sum_l P_l is a
product of two independent factors of mean 1, and E K = d + 1 at every width. For l <= l' the terms share the units of
layers l + 1 to l' and the matrices between them. Average over one layer at a time: with

    mu_k = 1 + (3 kappa_k - 1)/n_k,   lambda_k = 1 - 1/n_k,   kappa_k = E phi'^4/(E phi'^2)^2 (2 for ReLU, 1 if linear),

mu_k the second moment of |f_k|^2/|f_{k-1}|^2,

    E P_l P_l' = prod_{k <= d} mu_k (1 + 2 prod_{l < k <= l'} lambda_k/mu_k)/3.

For d and n -> infinity this is e^{(3 kappa - 1) d/n} (1 + 2 e^{-3 kappa (l' - l)/n})/3; the growth e^{5 d/n} of ReLU is
that of arXiv 1909.05989.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limitbench.numerics.shaping import log_norm_variance


def relative_second_moment(widths: Sequence[int], slopes: Sequence[tuple[float, float]]) -> float:
    """E K_11^2/(E K_11)^2 of a network with hidden layers of these widths and slopes (s_+, s_-), without biases.

    Cost: O(d). Infinite where it exceeds the floats.
    """
    depth = len(widths)
    shared = pairs = 0.0  # sum over l < l' of prod lambda/mu, by its last index
    log_growth = 0.0
    for n, (s_plus, s_minus) in zip(widths, slopes, strict=True):
        growth = 1.0 + log_norm_variance(s_plus, s_minus) / n
        log_growth += math.log(growth)
        shared = (shared + 1.0) * (1.0 - 1.0 / n) / growth
        pairs += shared
    count = depth + 1
    mean = (1.0 + 2.0 * (count + 2.0 * pairs) / count**2) / 3.0
    return math.exp(log_growth) * mean if log_growth < 700.0 else math.inf
