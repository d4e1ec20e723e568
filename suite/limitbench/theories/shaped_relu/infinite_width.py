"""Infinite width: the network's own recursion without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import declare, hidden_widths
from limitbench.theories.shaped_relu.recursion import propagate


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """The NNGP recursion with the slopes s_pm = 1 + c_pm n_l^-rate that each layer really has.

        rho_{l+1} = rho_l + c_l (s_+ - s_-)^2/(2 pi) j(arccos rho_l),   j(theta) = sin theta - theta cos theta,

    c_l = 2/(s_+^2 + s_-^2): point masses at rho_d, ln(1 - rho_d) and ln V_d/V_0 = 0. Iterated on the gap 1 - rho, so
    that `log_gap` has full relative accuracy at any gap. Not listed at rho0 = 1, where it is -inf.

    Arguments:
        depth: number of hidden layers d.
        width: units of every hidden layer; enters through the slopes alone.
        c_plus, c_minus, rate: slopes.
        rho0: correlation of the two inputs, in [-1, 1].
        widths: instead of `width`, units of each hidden layer.

    Raises `InputError` where a value cannot be accepted. Cost: about 40 microseconds a layer.
    """

    depth: int
    width: int | None = None
    c_plus: float = 0.0
    c_minus: float = 0.0
    rate: float = 0.5
    rho0: float = 0.0
    widths: tuple[int, ...] | None = None

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width"
    reference: ClassVar[str] = "Cho & Saul 2009; the limit n -> infinity at fixed depth of arXiv 2206.02768"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "depth much smaller than width; the error is of order sqrt(depth/width)"

    def __post_init__(self) -> None:
        declare(self)

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` where the gap is not 0, `log_norm`."""
        return ("correlation", "log_gap", "log_norm") if self._gap > 0 else ("correlation", "log_norm")

    def _law(self, observable: str) -> Law:
        if observable == "log_norm":
            return PointMass(0.0)
        return PointMass(1 - self._gap if observable == "correlation" else math.log(self._gap))

    @cached_property
    def _gap(self) -> float:
        widths = hidden_widths(self.depth, self.width, self.widths)
        return propagate(widths, self.c_plus, self.c_minus, self.rate, self.rho0).gap
