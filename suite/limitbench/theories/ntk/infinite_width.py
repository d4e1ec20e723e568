"""Infinite width: the neural tangent kernel is deterministic, a recursion over layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

from limitbench.numerics.shaping import next_gap, next_gap_slope
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import declare, hidden_widths, layer_slopes


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """Theta_l = rho_l + rho'_l Theta_{l-1}, Theta_0 = rho_0, with the slopes s_pm = 1 + c_pm n_l^-rate of each layer.

        rho_l = E[phi(u) phi(v)]/E[phi(u)^2],   rho'_l = E[phi'(u) phi'(v)]/E[phi(u)^2] = d rho_l/d rho_{l-1}

    for u, v ~ N(0, 1) of correlation rho_{l-1}. Theta_l = l + 1 for equal inputs: `log_ntk` = ln K_11/(d + 1) is 0, and
    `ntk_ratio` and `ntk_12` are Theta_d/(d + 1), which for ReLU tends to 1/4 as d grows, whatever rho_0 < 1.

    Arguments:
        depth: number of hidden layers d.
        width: units of every hidden layer; enters through the slopes alone.
        c_plus, c_minus, rate: slopes; rate 0 and c_minus -1 is ReLU.
        rho0: correlation of the two inputs, in [-1, 1].
        widths: instead of `width`, units of each hidden layer.

    Raises `InputError` where a value cannot be accepted. Cost: about 60 microseconds a layer.
    """

    depth: int
    width: int | None = None
    c_plus: float = 0.0
    c_minus: float = -1.0
    rate: float = 0.0
    rho0: float = 0.0
    widths: tuple[int, ...] | None = None

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width (NTK)"
    reference: ClassVar[str] = "Jacot, Gabriel & Hongler 2018, arXiv 1806.07572; Cho & Saul 2009"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "depth much smaller than width; fluctuations are of order sqrt(depth/width)"

    def __post_init__(self) -> None:
        declare(self)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_ntk`, `ntk_ratio`, `ntk_12`."""
        return ("log_ntk", "ntk_ratio", "ntk_12")

    def _law(self, observable: str) -> Law:
        if observable == "log_ntk":
            return PointMass(0.0)
        widths = hidden_widths(self.depth, self.width, self.widths)
        return PointMass(_kernel(widths, self.c_plus, self.c_minus, self.rate, self.rho0) / (self.depth + 1))


@lru_cache(maxsize=1024)
def _kernel(widths: tuple[int, ...], c_plus: float, c_minus: float, rate: float, rho0: float) -> float:
    """Theta_d."""
    gap, kernel = 1.0 - rho0, rho0
    for n in widths:
        slopes = layer_slopes(c_plus, c_minus, n, rate)
        slope = float(next_gap_slope(gap, *slopes))
        gap = float(next_gap(gap, *slopes))
        kernel = 1.0 - gap + slope * kernel
    return kernel
