"""The log-Gaussian law that forgets the correlations between layers: right for Balanced, wrong for vanilla ResNets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian.log_gaussian import LogGaussian


@final
@dataclass(frozen=True)
class LogGaussianBase(Theory):
    """G ~ N(-base t/2, base t) with base = (5 lambda^4 + 4 alpha^2 lambda^2)/s^2, as if layers were independent.

    What martingale arguments give when every layer is taken to have half of its units active. It is the limit of
    Balanced networks; against vanilla ones it shows what the interlayer constant is worth.

    Arguments:
        time: t = d/n, positive.
        residual_weight: alpha^2/(alpha^2 + lambda^2), in [0, 1).
        outputs: D, number of outputs.

    Raises `InputError` where a value cannot be accepted. Cost: 0.05 s for `log_output`, cached.
    """

    time: float
    residual_weight: float = 0.5
    outputs: int = 1

    name: ClassVar[str] = "log-gaussian-base"
    title: ClassVar[str] = "log-Gaussian, independent layers"
    reference: ClassVar[str] = "Li, Nica & Roy 2021, arXiv 2106.04013 (without the interlayer constant)"
    time_variable: ClassVar[str] = "t = d/n"
    validity: ClassVar[str] = "Balanced networks and residual weight 0; elsewhere shown to fail"

    def __post_init__(self) -> None:
        limit = self._limit
        for field in ("time", "residual_weight", "outputs"):
            object.__setattr__(self, field, getattr(limit, field))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm` and `log_output`."""
        return ("log_norm", "log_output")

    @property
    def _limit(self) -> LogGaussian:
        return LogGaussian(self.time, self.residual_weight, True, self.outputs)

    def _law(self, observable: str) -> Law:
        return self._limit.law(observable)
