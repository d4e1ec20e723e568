"""Laws that the covariance SDE gives for two inputs, for any coefficient of its shaping drift."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from limitbench.errors import InputError
from limitbench.numerics.correlation_sde import forward_cdf
from limitbench.statistics.laws import Law, Normal, PointMass, Transformed
from limitbench.statistics.tabulated import Tabulated

#: What the solver's cdf does not resolve; the table continues its tails from there.
_TAIL = 1e-11
#: Laws whose cdf is solved less well than this are refused.
_LARGEST_ERROR = 1e-3


def sde_observables(rho0: float) -> tuple[str, ...]:
    """Parallel inputs stay parallel: no `log_gap` at rho0 = 1."""
    return ("correlation", "log_norm") if rho0 == 1 else ("correlation", "log_gap", "log_norm")


def sde_law(observable: str, time: float, coefficient: float, rho0: float) -> Law:
    """The law of `observable` at `time`; `coefficient` is that of nu, (c_+ - c_-)^2/(2 pi) times its drift factor."""
    if observable == "log_norm":
        return Normal(-time, math.sqrt(2 * time))
    if rho0 == 1 or (rho0 == -1 and coefficient == 0):
        # The noise 1 - rho^2 and the drift both vanish: absorbed.
        return PointMass(rho0 if observable == "correlation" else math.log(2))
    z = fisher_law(time, coefficient, rho0)
    if observable == "correlation":
        return Transformed(z, np.tanh, fisher_from_correlation)
    return Transformed(z, log_gap_from_fisher, fisher_from_log_gap, increasing=False)


@lru_cache(maxsize=1024)
def fisher_law(time: float, coefficient: float, rho0: float) -> Tabulated:
    """The law of z = atanh(rho) at `time`, tabulated from the Kolmogorov forward equation; cached by parameters."""
    solution = forward_cdf(time, coefficient, rho0)
    if solution.error > _LARGEST_ERROR:
        accepted = f"a longer time for inputs this close to parallel: the cdf is solved to {solution.error:.0e} only"
        raise InputError("time", time, accepted)
    inside = (solution.cdf > _TAIL) & (solution.cdf < 1 - _TAIL)
    first, last = np.flatnonzero(inside)[[0, -1]]
    kept = slice(first, last + 1)
    return Tabulated(solution.z[kept], np.maximum.accumulate(solution.cdf[kept]), cdf_error=max(solution.error, 1e-8))


def fisher_from_correlation(rho: Any) -> Any:
    """atanh(rho), and -inf or inf outside (-1, 1)."""
    return np.arctanh(np.clip(rho, -1, 1))


def log_gap_from_fisher(z: Any) -> Any:
    """ln(1 - tanh z) = ln 2 - ln(1 + e^{2z}), without cancellation at large z."""
    return math.log(2) - np.logaddexp(0, 2 * np.asarray(z))


def fisher_from_log_gap(log_gap: Any) -> Any:
    """The z with ln(1 - tanh z) = `log_gap`: (ln(2 - gap) - ln gap)/2, and -inf from ln 2 on."""
    below = np.minimum(log_gap, math.log(2))
    return (np.log(np.maximum(2 - np.exp(below), 0)) - below) / 2
