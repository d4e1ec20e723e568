"""Infinite width at fixed slopes: the arc-cosine recursion without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.shaped_relu.recursion import propagate
from limitbench.theories.unshaped_relu.base import UnshapedTheory


@final
@dataclass(frozen=True)
class InfiniteWidth(UnshapedTheory):
    """The NNGP recursion with the network's own slopes, iterated on the gap 1 - rho:

        rho_{l+1} = rho_l + alpha (sin theta_l - theta_l cos theta_l),   rho = cos theta,   ln V_l/V_0 = 0.

    alpha as in `UnshapedTheory`. Point masses. l^2 (1 - rho_l) -> 1/k0^2 for l to infinity: 9 pi^2/2 for ReLU.

    Arguments, errors: those of `UnshapedTheory`. Cost: about 40 microseconds a layer, cached.
    """

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width"
    reference: ClassVar[str] = "Cho & Saul 2009; the limit n -> infinity at fixed depth of arXiv 2310.12079"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "depth much smaller than width; the error is of order sqrt(depth/width)"

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_gap`, `log_norm`."""
        return (*super().observables, "log_norm")

    def _law(self, observable: str) -> Law:
        return PointMass(0.0) if observable == "log_norm" else super()._law(observable)

    def _log_q(self, shift: float) -> Law:
        # rate 0: slopes 1 + c_pm at every width
        widths = (self.width,) * self.depth
        gap = propagate(widths, 0.0, self.slope_minus - 1, 0.0, self.rho0).gap
        return PointMass(math.log(gap) + 2 * math.log(self.depth) + shift)
