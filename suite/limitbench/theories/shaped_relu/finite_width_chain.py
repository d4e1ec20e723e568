"""The correlation's Markov chain at the network's own width, one transition a layer, to O(1/n^2) in each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.characteristic import score_nodes, tail_probabilities
from limitbench.numerics.log_piecewise_norm import LogPiecewiseNorm
from limitbench.numerics.sample_correlation import FisherZExpansion, fisher_z_expansion
from limitbench.numerics.transition_chain import StepMoments, propagate
from limitbench.statistics.laws import Law, PointMass, Tabulated, Transformed
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import LONGEST, count, layer_slopes, number
from limitbench.theories.shaped_relu.sde_laws import (
    fisher_from_correlation,
    fisher_from_log_gap,
    log_gap_from_fisher,
)

#: The delta method needs enough rows.
_NARROWEST = 8
#: Stands in for atanh(-1): one layer leads away from it, by a finite limit of the step.
_OPPOSITE = -40.0
#: Levels beyond this tail probability are left to the table's own continuation.
_TAIL = 1e-13

#: Ratio of slopes, below and from width 32 on, that the law of the norm needs: layers do not die.
_SMALLEST_SLOPE = (0.2, 0.1)
#: Points of the table of `log_norm`, whose probit is nearly straight.
_NORM_POINTS = 301

Expansion = Callable[[Float[np.ndarray, " states"], float, float], FisherZExpansion]


@final
@dataclass(frozen=True)
class FiniteWidthChain(Theory):
    """The law of the correlation at finite width, from the cumulants of one layer.

    A layer of width n turns the correlation rho of two inputs into the sample correlation of n i.i.d. feature pairs,
    whatever their norms, so z_l = atanh(rho_l) is a Markov chain. Its cumulants, from the multivariate delta method
    (`limitbench.numerics.sample_correlation`), are functions of z_l and of the slopes s_pm = 1 + c_pm n^-rate:

        E z_{l+1} = zbar(z_l) + m_1/n + m_2/n^2,   Var z_{l+1} = v_1/n + v_2/n^2,   kappa_3(z_{l+1}) = k/n^2.

    zbar is the infinite-width layer; m_1 and v_1 are the drift rho/2 and the unit noise of the covariance SDE, m_2, v_2
    and k their first correction. Equal slopes give Fisher's z-transform, v_1 + v_2/n = 1 + (4 - rho^2)/(2n). All three
    cumulants are right to O(n^-3), so depth ~ n layers sum to a weak error of O(n^-2), where the covariance SDE has
    O(n^-1/2) and its drift correction alone O(1/n). The transition matrix carries the law through the layers.

    `log_norm` is exact: layers are independent, each with the law of ln((c/n) chi2_n M), M a mixture of Beta variables
    (`limitbench.numerics.log_piecewise_norm`), inverted from its generating function.

    Arguments:
        depth: number of hidden layers, at most 64 widths.
        width: hidden width n, at least 8, the same in every layer.
        c_plus, c_minus: shaping constants.
        rate: exponent p >= 0 in the slopes; 0 is unshaped.
        rho0: correlation of the two inputs, in [-1, 1]. A point mass at 1, and at -1 where the activation is
            odd or even.

    Raises `InputError` for other values. Cost: 0.1 s at depth = width <= 1024 (`log_norm` 0.5 s), cached.
    """

    depth: int
    width: int
    c_plus: float
    c_minus: float
    rate: float = 0.5
    rho0: float = 0.0

    name: ClassVar[str] = "finite-width-chain"
    title: ClassVar[str] = "finite-width chain, moments to 1/n²"
    reference: ClassVar[str] = "Markov chain behind Li, Nica & Roy 2022, arXiv 2206.02768; Fisher's z for equal slopes"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = (
        "width >= 8 and any rate, to O(n^-2) (0.006 in the cdf at width 8); width >= 32 where a slope is 0 or negative"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", count("depth", self.depth))
        object.__setattr__(self, "width", count("width", self.width))
        if self.width < _NARROWEST:
            raise InputError("width", self.width, f"an integer from {_NARROWEST} on")
        if self.depth > LONGEST * self.width:
            raise InputError("depth", self.depth, f"at most {LONGEST:g} times the width")
        for field in ("c_plus", "c_minus"):
            object.__setattr__(self, field, number(field, getattr(self, field)))
        object.__setattr__(self, "rate", number("rate", self.rate, 0, 1e6))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1, 1))
        self._slopes  # noqa: B018  (raises where both are 0)

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` where the gap is not 0, `log_norm` where no slope is near 0."""
        gap = () if self._fixed == 1 else ("log_gap",)
        small, large = sorted(abs(s) for s in self._slopes)
        smallest = _SMALLEST_SLOPE[self.width >= 32]
        return ("correlation", *gap, *(("log_norm",) if small >= smallest * large else ()))

    @property
    def _slopes(self) -> tuple[float, float]:
        return layer_slopes(self.c_plus, self.c_minus, self.width, self.rate)

    @property
    def _fixed(self) -> float | None:
        """The correlation where it is not random: parallel inputs, or opposite ones and an odd or even activation."""
        s_plus, s_minus = self._slopes
        if abs(self.rho0) < 1 or (self.rho0 == -1 and s_plus not in (s_minus, -s_minus)):
            return None
        return -1.0 if self.rho0 == -1 and s_plus == s_minus else 1.0

    def _law(self, observable: str) -> Law:
        slopes = self._slopes
        if observable == "log_norm":
            return _norm_law(LogPiecewiseNorm(self.depth, self.width, *slopes))
        if self._fixed is not None:
            return PointMass(self._fixed if observable == "correlation" else math.log(2))
        z = chain_law(self.depth, self.width, *slopes, self.rho0)
        if observable == "correlation":
            return Transformed(z, np.tanh, fisher_from_correlation)
        return Transformed(z, log_gap_from_fisher, fisher_from_log_gap, increasing=False)


@lru_cache(maxsize=1024)
def chain_law(
    depth: int,
    width: int,
    s_plus: float,
    s_minus: float,
    rho0: float,
    expansion: Expansion = fisher_z_expansion,
    resolution: float = 2.0,
) -> Tabulated:
    """The law of z = atanh(rho) after `depth` layers of this width and these slopes, tabulated; cached by parameters.

    `expansion` gives the cumulants of one layer, `resolution` the grid nodes in a step's standard deviation.
    """

    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        moments = expansion(z, s_plus, s_minus)
        return StepMoments(
            z + moments.step_mean(width), np.sqrt(moments.variance(width)), moments.third_cumulant(width)
        )

    start = math.atanh(rho0) if rho0 > -1 else _OPPOSITE
    law = propagate(step, start, depth, resolution=resolution)
    inside = (law.cdf > _TAIL) & (law.survival > _TAIL)
    mean = law.expectation(law.nodes)
    std = math.sqrt(law.expectation((law.nodes - mean) ** 2))
    return Tabulated(
        law.nodes[inside], law.cdf[inside], mean=mean, std=std, cdf_error=1e-7, survival=law.survival[inside]
    )


@lru_cache(maxsize=1024)
def _norm_law(law: LogPiecewiseNorm) -> Tabulated:
    x = score_nodes(law, _NORM_POINTS)
    cdf, survival = tail_probabilities(law, x)
    return Tabulated(x, cdf, mean=law.mean, std=math.sqrt(law.variance), cdf_error=1e-7, survival=survival)
