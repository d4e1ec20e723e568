"""The network's own infinite-width map with the limit's noise: layers stay discrete and the map takes any angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.shaping import next_gap
from limitbench.numerics.transition_chain import StepMoments, propagate
from limitbench.statistics.laws import Law
from limitbench.statistics.tabulated import Tabulated
from limitbench.theories.unshaped_relu.base import UnshapedTheory, affine_law
from limitbench.theories.unshaped_relu.chain_tables import tabulated

#: Range of ln(1 - rho) in which the map is evaluated: opposite inputs, and gaps that the map leaves as they are.
_SMALLEST, _LARGEST = -300.0, math.log(2)


@final
@dataclass(frozen=True)
class MatchedDiscrete(UnshapedTheory):
    """One Gaussian step of ln(1 - rho) a layer, around the exact infinite-width map g -> f(g) of the gap:

        ln g_{l+1} = ln f(g_l) - kappa/n + sqrt(4 kappa/n) xi_l,   xi_l ~ N(0, 1)

    (-2/n + sqrt(8/n) xi for ReLU). By Ito this is + kappa q in the equation of q. The chain's law is carried layer by
    layer through its transition matrix (`numerics.transition_chain`), to 1e-7 in the cdf.

    Arguments, errors: those of `UnshapedTheory`, and slope_minus = -1 is refused: |x| makes opposite inputs equal, so
    that ln f(g) has no lower bound. Cost: 10 to 100 ms up to depth = width = 1024, cached.
    """

    name: ClassVar[str] = "matched-discrete"
    title: ClassVar[str] = "exact map, limiting noise"
    reference: ClassVar[str] = "discretisation of arXiv 2310.12079 at the network's own depth"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "width >= 64; the noise is that of small angles"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slope_minus == -1:
            raise InputError("slope_minus", -1.0, "a number in (-1, 1): |x| makes opposite inputs equal in one layer")

    def _log_q(self, shift: float) -> Law:
        law = _log_gap_law(self.depth, self.width, self.slope_minus, self.kappa, self.rho0)
        return affine_law(law, 2 * math.log(self.depth) + shift)


@lru_cache(maxsize=1024)
def _log_gap_law(depth: int, width: int, slope_minus: float, kappa: float, rho0: float) -> Tabulated:
    def step(x: Float[np.ndarray, " states"]) -> StepMoments:
        # in ratios, so that gaps below the smallest float stay what they are
        gap = np.exp(np.clip(x, _SMALLEST, _LARGEST))
        ratio = np.maximum(next_gap(gap, 1.0, slope_minus) / gap, math.exp(_SMALLEST))
        mean = np.minimum(x, _LARGEST) + np.log(ratio) - kappa / width
        return StepMoments(mean, np.full(x.shape, math.sqrt(4 * kappa / width)), np.zeros(x.shape))

    return tabulated(propagate(step, math.log(1 - rho0), depth))
