"""The stationary law of the norm of a smooth shaped network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from scipy.special import digamma, gammainc, gammaincinv, gammaln, polygamma

from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number

#: gammaincinv underflows below this; there gammainc(k, x) = x^k/Gamma(k + 1).
_SMALL = 1e-200
_LOG_SMALL = math.log(_SMALL)


@final
@dataclass(frozen=True)
class LogGamma(Law):
    """The law of ln X, X ~ Gamma(shape, rate)."""

    shape: float
    log_rate: float

    @property
    def mean(self) -> float:
        """psi(k) - ln rate."""
        return float(digamma(self.shape)) - self.log_rate

    @property
    def std(self) -> float:
        """sqrt(psi'(k))."""
        return math.sqrt(polygamma(1, self.shape))

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """P(k, rate e^x), by its leading term x^k/Gamma(k + 1) where e^x underflows."""
        log = np.asarray(x, dtype=float) + self.log_rate
        tiny = np.exp(self.shape * np.minimum(log, 0.0) - gammaln(self.shape + 1))
        return np.asarray(
            np.where(log > _LOG_SMALL, gammainc(self.shape, np.exp(np.clip(log, _LOG_SMALL, 50.0))), tiny)
        )

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """ln of the Gamma quantile, by its leading term where that underflows."""
        level = np.asarray(u, dtype=float)
        inverse = gammaincinv(self.shape, level)
        tiny = (np.log(level) + gammaln(self.shape + 1)) / self.shape
        return np.asarray(np.where(inverse > _SMALL, np.log(np.maximum(inverse, _SMALL)), tiny) - self.log_rate)


@final
@dataclass(frozen=True)
class StationaryNorm(Theory):
    """`log_norm` at late times, beta < -1: V ~ Gamma(shape |beta| - 1, rate |beta|), whatever V_0.

    Speed density v^{-beta - 2} e^{beta v} of dV = beta V (V - 1) dt + sqrt2 V dB; mean 1 - 1/|beta|.

    Arguments:
        beta: (3/4 phi''(0)^2 + phi'''(0))/a^2, below -1.
        norm0: V_0, positive: `log_norm` is ln V/V_0.

    Raises `InputError` where a value cannot be accepted.
    """

    beta: float
    norm0: float = 1.0

    name: ClassVar[str] = "stationary"
    title: ClassVar[str] = "stationary Gamma law, t → ∞"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768; stationary law by its speed density"
    time_variable: ClassVar[str] = "t = l/n, late"
    validity: ClassVar[str] = "rate 1/2, beta < -1, spectral gap times t at least 4"

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", number("beta", self.beta, -1000, -1.001))
        object.__setattr__(self, "norm0", number("norm0", self.norm0, 1e-6, 1e3))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)

    @property
    def mean_norm(self) -> float:
        """E V = 1 - 1/|beta|."""
        return 1 + 1 / self.beta

    @property
    def std_norm(self) -> float:
        """Standard deviation of V, sqrt(|beta| - 1)/|beta|."""
        return math.sqrt(-self.beta - 1) / -self.beta

    def _law(self, observable: str) -> Law:
        return LogGamma(-self.beta - 1, math.log(-self.beta) + math.log(self.norm0))
