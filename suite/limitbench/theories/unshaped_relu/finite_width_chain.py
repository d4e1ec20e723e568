"""The correlation's Markov chain at the network's own width and fixed slopes, and the exact law of the norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.characteristic import score_nodes, tail_probabilities
from limitbench.numerics.log_piecewise_norm import LogPiecewiseNorm
from limitbench.numerics.log_relu_norm import LogReLUNorm
from limitbench.statistics.laws import Law, Tabulated
from limitbench.theories.shaped_relu.finite_width_chain import FiniteWidthChain as ShapedChain
from limitbench.theories.unshaped_relu.base import UnshapedTheory, affine_law

#: Widths from which the cumulants of a layer (to 1/n^2), and the law of the norm, are good.
_NARROWEST, _NARROWEST_NORM = 8, 32
#: Smallest ratio of slopes, other than 0, that the law of the norm takes.
_SMALLEST_SLOPE = 0.1
#: Points of the table of `log_norm`, whose probit is nearly straight.
_NORM_POINTS = 301


@final
@dataclass(frozen=True)
class FiniteWidthChain(UnshapedTheory):
    """The law of ln(1 - rho_l) from the first three cumulants of one layer, each to O(1/n^2), layer by layer.

    The chain of `theories.shaped_relu.FiniteWidthChain` at rate 0: nothing is taken to a limit but the cumulants'
    expansion. `log_norm` is exact, for ReLU given that no layer is dead: the product of (2/n) chi2_K, K ~ Bin(n, 1/2),
    or the mixture of `numerics.log_piecewise_norm`; listed from width 32 on and for slopes 0 and |s_-| >= 0.1.

    Arguments, errors: those of `UnshapedTheory`; width at least 8. Cost: 0.3 s at depth = width = 1024, cached.
    """

    name: ClassVar[str] = "finite-width-chain"
    title: ClassVar[str] = "finite-width chain, moments to 1/n²"
    reference: ClassVar[str] = "Markov chain behind arXiv 2310.12079 and 2302.09712"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "width >= 32, to O(n^-2)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < _NARROWEST:
            raise InputError("width", self.width, f"an integer from {_NARROWEST} on")

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_gap`; `log_norm` where its law is accurate."""
        known = self.width >= _NARROWEST_NORM and not 0 < abs(self.slope_minus) < _SMALLEST_SLOPE
        return (*super().observables, *(("log_norm",) if known else ()))

    def _law(self, observable: str) -> Law:
        if observable == "log_norm":
            return _norm_law(self.depth, self.width, self.slope_minus)
        return super()._law(observable)

    def _log_q(self, shift: float) -> Law:
        chain = ShapedChain(self.depth, self.width, 0.0, self.slope_minus - 1, 0.0, self.rho0)
        return affine_law(chain.law("log_gap"), 2 * math.log(self.depth) + shift)


@lru_cache(maxsize=1024)
def _norm_law(depth: int, width: int, slope_minus: float) -> Tabulated:
    law = LogReLUNorm(depth, width) if slope_minus == 0 else LogPiecewiseNorm(depth, width, 1.0, slope_minus)
    x = score_nodes(law, _NORM_POINTS)
    cdf, survival = tail_probabilities(law, x)
    return Tabulated(x, cdf, mean=law.mean, std=math.sqrt(law.variance), cdf_error=1e-7, survival=survival)
