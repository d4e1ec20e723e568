"""The SDE of q_t = t^2/w_t^2 = l^2 (1 - rho_l), solved in w: the laws that its three versions share."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from limitbench.numerics.affine_sde import AffineSDE
from limitbench.statistics.laws import Law, Tabulated
from limitbench.theories.unshaped_relu.base import affine_law

#: Tails below this are rounding noise of the solver, of which no slope can be taken; the table continues from there.
_TAIL = 1e-11


def log_q_law(sde: AffineSDE, time: float, shift: float) -> Law:
    """The law of ln q_t + `shift` = 2 ln t - 2 ln w_t + `shift`, w the solution of `sde`."""
    return affine_law(_unit_noise_law(sde, time), 2 * math.log(time) + shift, -2 * sde.sigma)


@lru_cache(maxsize=1024)
def _unit_noise_law(sde: AffineSDE, time: float) -> Tabulated:
    """The law of ln w_t / sigma, tabulated from the Kolmogorov forward equation; cached by parameters."""
    solution = sde.forward_cdf(time)
    inside = (solution.cdf > _TAIL) & (solution.cdf < 1 - _TAIL)
    first, last = np.flatnonzero(inside)[[0, -1]]
    kept = slice(first, last + 1)
    return Tabulated(solution.z[kept], np.maximum.accumulate(solution.cdf[kept]), cdf_error=max(solution.error, 1e-8))
