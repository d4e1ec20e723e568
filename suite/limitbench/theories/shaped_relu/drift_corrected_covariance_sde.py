"""The covariance SDE with the one finite-size correction that its drift has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.shaping import shaping_coefficient, variance_normaliser
from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import count, layer_slopes, number, positive_time
from limitbench.theories.shaped_relu.sde_laws import sde_law, sde_observables


@final
@dataclass(frozen=True)
class DriftCorrectedCovarianceSDE(Theory):
    """`CovarianceSDE` with nu replaced by c nu, c = 2/(s_+^2 + s_-^2) at this width.

    E[V_{l+1} | V_l] = V_l + (c/n^{2p}) nu(rho) sqrt(V^{aa} V^{bb}) holds exactly at any width, and c = 1 - (c_+ + c_-)
    n^-1/2 + ...: the factor removes the leading weak error of the SDE and leaves O(1/n).

    Arguments:
        time: t = sum_l 1/n_l, in (0, 64].
        c_plus, c_minus: shaping constants.
        rho0: correlation of the two inputs, in [-1, 1].
        width: units of every hidden layer.
        rate: exponent p of the slopes s_pm = 1 + c_pm n^-p; nu itself stays that of p = 1/2.

    Raises `InputError` where a value cannot be accepted. Cost: that of `CovarianceSDE`.
    """

    time: float
    c_plus: float
    c_minus: float
    rho0: float
    width: int
    rate: float = 0.5

    name: ClassVar[str] = "covariance-sde-corrected"
    title: ClassVar[str] = "covariance SDE, finite-size drift"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768, with the exact drift at width n"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l, depth/width at equal widths"
    validity: ClassVar[str] = "rate 1/2; the error is O(1/n)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        for field in ("c_plus", "c_minus", "rate"):
            object.__setattr__(self, field, number(field, getattr(self, field)))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1, 1))
        object.__setattr__(self, "width", count("width", self.width))
        layer_slopes(self.c_plus, self.c_minus, self.width, self.rate)

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` (not at rho0 = 1), `log_norm`."""
        return sde_observables(self.rho0)

    @property
    def drift_factor(self) -> float:
        """c = 2/(s_+^2 + s_-^2)."""
        return variance_normaliser(*layer_slopes(self.c_plus, self.c_minus, self.width, self.rate))

    def _law(self, observable: str) -> Law:
        coefficient = self.drift_factor * shaping_coefficient(self.c_plus, self.c_minus)
        return sde_law(observable, self.time, coefficient, self.rho0)
