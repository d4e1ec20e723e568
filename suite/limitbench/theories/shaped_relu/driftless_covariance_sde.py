"""The covariance SDE above the critical exponent: the activation's drift has dropped out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number, positive_time
from limitbench.theories.shaped_relu.sde_laws import sde_law, sde_observables


@final
@dataclass(frozen=True)
class DriftlessCovarianceSDE(Theory):
    """`CovarianceSDE` with nu = 0, the limit for rate > 1/2: that of a deep linear network.

        d rho = -rho (1 - rho^2)/2 dt + (1 - rho^2) dB,   ln V_t/V_0 ~ N(-t, 2t).

    Without nu the covariance is a martingale; the correlation still drifts.

    Arguments:
        time: t = sum_l 1/n_l, in (0, 64].
        rho0: correlation of the two inputs, in [-1, 1]; both ends are absorbing.

    Raises `InputError` where a value cannot be accepted. Cost: that of `CovarianceSDE`.
    """

    time: float
    rho0: float

    name: ClassVar[str] = "covariance-sde-driftless"
    title: ClassVar[str] = "covariance SDE, nu = 0"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768, the rates above the critical exponent"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l, depth/width at equal widths"
    validity: ClassVar[str] = "rate > 1/2, or c_+ = c_-; the error is O(n^(1 - 2 rate)) + O(1/n)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1, 1))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` (not at rho0 = 1), `log_norm`."""
        return sde_observables(self.rho0)

    def _law(self, observable: str) -> Law:
        return sde_law(observable, self.time, 0.0, self.rho0)
