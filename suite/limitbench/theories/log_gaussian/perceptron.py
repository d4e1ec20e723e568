"""The log-Gaussian limit of MLPs with fixed slopes, layers of any widths; linear and ReLU networks are its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import parameters


@final
@dataclass(frozen=True)
class LogGaussianPerceptron(Theory):
    """ln V_d/V_0 -> N(-v t/2, v t), v = 3 kappa - 1, at t = sum_l 1/n_l.

        kappa = 2 (s_+^4 + s_-^4)/(s_+^2 + s_-^2)^2:      linear 1, v = 2;      ReLU 2, v = 5.

    Arguments:
        time: t = sum_l 1/n_l over the hidden layers, positive.
        slope_plus, slope_minus: slopes of the activation, not both 0.

    Raises `InputError` where a value cannot be accepted. Cost: none.
    """

    time: float
    slope_plus: float = 1.0
    slope_minus: float = 0.0

    name: ClassVar[str] = "log-gaussian-perceptron"
    title: ClassVar[str] = "log-Gaussian"
    reference: ClassVar[str] = "Hanin & Nica 2018, arXiv 1812.05994; Li & Nica 2023, arXiv 2310.12079"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l, depth/width at equal widths"
    validity: ClassVar[str] = "every width large; the relative error is of order 1/width"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", parameters.time(self.time))
        for field in ("slope_plus", "slope_minus"):
            object.__setattr__(self, field, parameters.number(field, getattr(self, field), "a finite number"))
        if not self.slope_plus and not self.slope_minus:
            raise InputError("slope_plus, slope_minus", (0.0, 0.0), "slopes that are not both zero")

    @property
    def variance_rate(self) -> float:
        """v = 3 kappa - 1."""
        plus, minus = self.slope_plus**2, self.slope_minus**2
        return 6 * (plus**2 + minus**2) / (plus + minus) ** 2 - 1

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)

    def _law(self, observable: str) -> Law:
        variance = self.variance_rate * self.time
        return Normal(-variance / 2, variance**0.5)
