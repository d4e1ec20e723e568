"""The probability that the norm of a smooth shaped network ever explodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from scipy.special import gammainc

from limitbench.statistics.laws import Bernoulli, Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number


@final
@dataclass(frozen=True)
class ExplosionProbability(Theory):
    """`exploded` at late times, beta > 0: P(beta + 1, beta V_0), the regularised lower incomplete gamma function.

    Scale density v^beta e^{-beta v} of dV = beta V (V - 1) dt + sqrt2 V dB: V leaves through infinity with this
    probability, in finite time, and vanishes otherwise.

    Arguments:
        beta: (3/4 phi''(0)^2 + phi'''(0))/a^2, positive.
        norm0: V_0, positive.

    Raises `InputError` where a value cannot be accepted.
    """

    beta: float
    norm0: float = 1.0

    name: ClassVar[str] = "explosion-probability"
    title: ClassVar[str] = "explosion probability, t → ∞"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768; probability by the scale function"
    time_variable: ClassVar[str] = "t = l/n, late"
    validity: ClassVar[str] = "rate 1/2, beta > 0, (1 + beta)^2 t/4 at least 2; needs widths well above 100"

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", number("beta", self.beta, 1e-6, 100))
        object.__setattr__(self, "norm0", number("norm0", self.norm0, 1e-6, 1e3))

    @property
    def probability(self) -> float:
        """P(beta + 1, beta V_0)."""
        return float(gammainc(self.beta + 1, self.beta * self.norm0))

    @property
    def observables(self) -> tuple[str, ...]:
        """`exploded`, unless its probability is 0 or 1 in float64."""
        return ("exploded",) if 0 < self.probability < 1 else ()

    def _law(self, observable: str) -> Law:
        return Bernoulli(self.probability)
