"""Second moments of the entries of the mixing matrix, in the proportional limit and exactly at finite size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class SecondMoments:
    """E Q_ij Q_kl = b d_ij d_kl + c (d_ik d_jl + d_il d_jk), with a = b + 2c by rotation invariance.

    Attributes:
        q11_squared: a = E Q_11^2.
        q11_q22: b = E Q_11 Q_22.
        q12_squared: c = E Q_12^2.
    """

    q11_squared: float
    q11_q22: float
    q12_squared: float


def limit_second_moments(alpha: float) -> SecondMoments:
    """In the proportional limit sum_l 1/N_l -> alpha (arXiv 2411.15267).

    a = e^{2 alpha}, b = (e^{2 alpha} + 2 e^{-alpha})/3, c = (e^{2 alpha} - e^{-alpha})/3: the solution of a' = 2a,
    b' = 2c, c' = b + c from a = b = 1, c = 0. Cost: none.
    """
    return _from_factors(math.exp(2 * alpha), math.exp(-alpha))


def finite_second_moments(widths: Iterable[int]) -> SecondMoments:
    """Exact for hidden widths N_1 .. N_L: e^{2 alpha} becomes prod (1 + 2/N_l), e^{-alpha} prod (1 - 1/N_l)."""
    growing, decaying = 1.0, 1.0
    for width in widths:
        growing *= 1 + 2 / width
        decaying *= 1 - 1 / width
    return _from_factors(growing, decaying)


def _from_factors(growing: float, decaying: float) -> SecondMoments:
    return SecondMoments(growing, (growing + 2 * decaying) / 3, (growing - decaying) / 3)
