"""The neural covariance SDE of shaped ReLU networks, for two inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.shaping import shaping_coefficient
from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import number, positive_time
from limitbench.theories.shaped_relu.sde_laws import sde_law, sde_observables


@final
@dataclass(frozen=True)
class CovarianceSDE(Theory):
    """Depth and width to infinity together at slopes 1 + c_pm n^-1/2.

        d rho = [nu(rho) - rho (1 - rho^2)/2] dt + (1 - rho^2) dB,
        nu(rho) = (c_+ - c_-)^2/(2 pi) (sqrt(1 - rho^2) - rho arccos rho),
        ln V_t/V_0 ~ N(-t, 2t).

    `correlation` and `log_gap` by the Kolmogorov forward equation in z = atanh(rho), to 1e-6 in the cdf for times
    from 1/16 to 4 and |c_+ - c_-| up to 3; laws with an error above 1e-3 (very short times near |rho0| = 1) are
    refused. rho0 = 1 is
    absorbing, rho0 = -1 too where c_+ = c_-; otherwise nu(-1) > 0 leads away from -1.

    Arguments:
        time: t = sum_l 1/n_l, in (0, 64].
        c_plus, c_minus: shaping constants.
        rho0: correlation of the two inputs, in [-1, 1].
        drift_factor: nu is multiplied by it.

    Raises `InputError` where a value cannot be accepted. Cost: 0.1 s, cached by (time, coefficient, rho0).

    >>> law = CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=0.3).law("correlation")
    >>> round(law.mean, 3), round(float(law.quantile(0.5)), 3)
    (0.342, 0.537)
    """

    time: float
    c_plus: float
    c_minus: float
    rho0: float
    drift_factor: float = 1.0

    name: ClassVar[str] = "covariance-sde"
    title: ClassVar[str] = "covariance SDE"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l, depth/width at equal widths"
    validity: ClassVar[str] = "rate 1/2; the error is O(n^-1/2), O(1/n) where c_+ = -c_-"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        for field in ("c_plus", "c_minus"):
            object.__setattr__(self, field, number(field, getattr(self, field)))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1, 1))
        object.__setattr__(self, "drift_factor", number("drift_factor", self.drift_factor, 0, 1e6))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` (not at rho0 = 1), `log_norm`."""
        return sde_observables(self.rho0)

    def _law(self, observable: str) -> Law:
        coefficient = self.drift_factor * shaping_coefficient(self.c_plus, self.c_minus)
        return sde_law(observable, self.time, coefficient, self.rho0)
