"""The neural tangent kernel of one input as a log-normal variable with its exact finite-width moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.ntk.moments import relative_second_moment
from limitbench.theories.shaped_relu.parameters import declare, hidden_widths, layer_slopes


@final
@dataclass(frozen=True)
class LogNormal(Theory):
    """ln K_11/(d + 1) ~ N(-v/2, v), v = ln(E K^2/(E K)^2): K has its exact mean and variance (`moments`).

    To first order in d/n, v = (7 kappa/3 - 1) d/n with kappa = 2 (s_+^4 + s_-^4)/(s_+^2 + s_-^2)^2: 11/3 for ReLU,
    where the log of the squared norm has 5. The variance of the log is within a tenth of v where d <= n and n >= 64.

    Arguments:
        depth: number of hidden layers d.
        width: units of every hidden layer.
        c_plus, c_minus, rate: slopes 1 + c_pm n^-rate; rate 0 and c_minus -1 is ReLU.
        widths: instead of `width`, units of each hidden layer.

    Raises `InputError` where a value cannot be accepted. Cost: a microsecond a layer.
    """

    depth: int
    width: int | None = None
    c_plus: float = 0.0
    c_minus: float = -1.0
    rate: float = 0.0
    widths: tuple[int, ...] | None = None

    name: ClassVar[str] = "log-normal"
    title: ClassVar[str] = "log-normal, exact moments"
    reference: ClassVar[str] = "Hanin & Nica 2019, arXiv 1909.05989, for the growth with d/n"
    time_variable: ClassVar[str] = "t = sum of 1/n_l"
    validity: ClassVar[str] = "width large; the shape is exact only for depth/width -> 0"

    def __post_init__(self) -> None:
        declare(self)
        if not math.isfinite(self.variance):
            raise InputError("depth", self.depth, "a depth at which the second moment of the kernel is below 1e300")

    @property
    def variance(self) -> float:
        """v."""
        widths = hidden_widths(self.depth, self.width, self.widths)
        slopes = {n: layer_slopes(self.c_plus, self.c_minus, n, self.rate) for n in set(widths)}
        return math.log(relative_second_moment(widths, [slopes[n] for n in widths]))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_ntk`."""
        return ("log_ntk",)

    def _law(self, observable: str) -> Law:
        v = self.variance
        return Normal(-v / 2, math.sqrt(v))
