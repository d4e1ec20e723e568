"""The SDE of the squared norm of one input of a smooth shaped network, solved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from limitbench.errors import InputError
from limitbench.numerics.smooth_norm import norm_cdf
from limitbench.statistics.laws import Bernoulli, Law, PointMass, Tabulated
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number, positive_time

#: What the solver's cdf does not resolve; the table continues its tails from there.
_TAIL = 1e-11
#: Explosion probabilities below this are 0, laws solved less well are refused.
_SMALLEST_PROBABILITY, _LARGEST_ERROR = 1e-9, 1e-3


@final
@dataclass(frozen=True)
class NormSDE(Theory):
    """dV = beta V (V - 1) dt + sqrt2 V dB, beta = (3/4 phi''(0)^2 + phi'''(0))/a^2.

    beta > 0: V explodes in finite time or vanishes; -1 <= beta <= 0: V vanishes; beta < -1: V has a stationary law.
    `exploded` (V above 1e4 so far) and `log_norm` = ln V_t/V_0 given that it has not, by the Kolmogorov forward
    equation in ln V/sqrt2, absorbed at the top: 1e-6 in the cdf up to time 4. Laws with an error above 1e-3 are
    refused.

    Arguments:
        time: t = l/n, in (0, 64].
        beta: coefficient of the drift, in [-100, 100].
        norm0: V_0, in [1e-6, 1e3].

    Raises `InputError` where a value cannot be accepted. Cost: 0.05 s, cached by parameters.
    """

    time: float
    beta: float
    norm0: float = 1.0

    name: ClassVar[str] = "norm-sde"
    title: ClassVar[str] = "norm SDE"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "rate 1/2, V much smaller than a^2 n: the error is O(1/n) but large where norms explode"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        object.__setattr__(self, "beta", number("beta", self.beta, -100, 100))
        object.__setattr__(self, "norm0", number("norm0", self.norm0, 1e-6, 1e3))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`, `exploded`."""
        return ("log_norm", "exploded")

    @property
    def exploded_share(self) -> float:
        """P(V has exceeded 1e4 by this time)."""
        return _solved(self)[0]

    def _law(self, observable: str) -> Law:
        share, law = _solved(self)
        if observable == "log_norm":
            return law
        return Bernoulli(share) if share > 0 else PointMass(0.0)


@lru_cache(maxsize=256)
def _solved(theory: NormSDE) -> tuple[float, Tabulated]:
    solution = norm_cdf(theory.time, theory.beta, theory.norm0)
    if solution.error > _LARGEST_ERROR:
        raise InputError("beta", theory.beta, f"a smaller drift: the cdf is solved to {solution.error:.0e} only")
    survival = float(solution.cdf[-1])
    cdf = np.minimum(np.maximum.accumulate(solution.cdf) / survival, 1.0)
    inside = np.flatnonzero((cdf > _TAIL) & (cdf < 1 - _TAIL))
    # the node after the last one is the end of the support where paths are absorbed
    kept = slice(inside[0], inside[-1] + (2 if theory.beta > 0 else 1))
    log_norm = math.sqrt(2) * solution.z[kept] - math.log(theory.norm0)
    share = 1 - survival if 1 - survival > _SMALLEST_PROBABILITY else 0.0
    return share, Tabulated(log_norm, cdf[kept], cdf_error=max(solution.error / survival, 1e-8))
