"""The ODE of smooth shaped networks below the critical rate, solved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from limitbench.numerics.smooth_covariance import norm_after
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number, positive_time


@final
@dataclass(frozen=True)
class CovarianceODE(Theory):
    """Rates p < 1/2, depth proportional to n^{2p}: noise vanishes, t = l/n^{2p}.

        V' = beta V (V - 1),    rho' = phi''^2/(4 a^2) V (1 - rho) (1 - 2 rho)

    for two inputs of equal norm, so V_t = 1/(1 + (1/V_0 - 1) e^{beta t}) and w = (1 - 2 rho)/(1 - rho) falls like
    exp(-phi''^2/(4 a^2) int V dt): rho -> 1/2, unless phi''(0) = 0 or rho_0 = 1. Point masses. For beta > 0 and V_0 > 1
    V blows up at t* = -ln(1 - 1/V_0)/beta; from there on only `exploded` is listed.

    Arguments:
        time: t = l/n^{2p}, in (0, 64].
        second, third: phi''(0), phi'''(0).
        scale: a in s = a n^p.
        norm0: V_0.
        rho0: correlation of the two inputs.

    Raises `InputError` where a value cannot be accepted.
    """

    time: float
    second: float
    third: float
    scale: float = 1.0
    norm0: float = 1.0
    rho0: float = 0.3

    name: ClassVar[str] = "smooth-ode"
    title: ClassVar[str] = "covariance ODE of smooth activations"
    reference: ClassVar[str] = "Li & Nica 2023, arXiv 2310.12079; smooth case from the drift of arXiv 2206.02768"
    time_variable: ClassVar[str] = "t = l/n^{2p}"
    validity: ClassVar[str] = "rate p < 1/2, depth of order n^{2p}; the error is O(n^{p - 1/2}) and O(n^{-2p})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        for field, lower, upper in (
            ("second", -100, 100),
            ("third", -1000, 1000),
            ("scale", 1e-3, 1e6),
            ("norm0", 1e-6, 1e3),
            ("rho0", -1, 1),
        ):
            object.__setattr__(self, field, number(field, getattr(self, field), lower, upper))

    @property
    def beta(self) -> float:
        """(3/4 phi''^2 + phi''')/a^2."""
        return (0.75 * self.second**2 + self.third) / self.scale**2

    @property
    def norm(self) -> float:
        """V_t, inf from the blow-up on."""
        return float(norm_after(self.time, self.beta, self.norm0))

    @property
    def correlation(self) -> float:
        """rho_t."""
        k = self.second**2 / (4 * self.scale**2)
        if k == 0 or self.rho0 == 1:
            return self.rho0
        w = (1 - 2 * self.rho0) / (1 - self.rho0) * math.exp(-k * self._norm_integral)
        return (1 - w) / (2 - w)

    @property
    def _norm_integral(self) -> float:
        """int_0^t V ds = t - ln(1 + (1 - V_0) (e^{beta t} - 1))/beta."""
        if self.beta == 0 or self.norm0 == 1:
            return self.norm0 * self.time
        grown = self.beta * self.time
        if self.norm0 < 1:  # ln(V_0 + (1 - V_0) e^{beta t}) at any size of its exponent
            return self.time - float(np.logaddexp(math.log(self.norm0), math.log1p(-self.norm0) + grown)) / self.beta
        return self.time - math.log1p((1 - self.norm0) * math.expm1(grown)) / self.beta

    @property
    def observables(self) -> tuple[str, ...]:
        """All four before the blow-up, `log_gap` not at rho0 = 1; `exploded` alone after it."""
        if self.norm > 1e4:
            return ("exploded",)
        gap = () if self.rho0 == 1 else ("log_gap",)
        return ("correlation", *gap, "log_norm", "exploded")

    def _law(self, observable: str) -> Law:
        if observable == "exploded":
            return PointMass(float(self.norm > 1e4))
        if observable == "log_norm":
            return PointMass(math.log(self.norm / self.norm0))
        return PointMass(self.correlation if observable == "correlation" else math.log(1 - self.correlation))
