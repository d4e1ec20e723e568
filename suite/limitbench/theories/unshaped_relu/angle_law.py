"""The layerwise law of the angle between two inputs in a ReLU network: one Gaussian step of ln sin^2 theta a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.angle_law import AngleStep, layer_step, small_angle_step
from limitbench.numerics.transition_chain import StepMoments, propagate
from limitbench.statistics.laws import Law, Transformed
from limitbench.statistics.tabulated import Tabulated
from limitbench.theories.unshaped_relu.base import UnshapedTheory
from limitbench.theories.unshaped_relu.chain_tables import tabulated

_NARROWEST = 8


@final
@dataclass(frozen=True)
class AngleLaw(UnshapedTheory):
    """ln sin^2 theta_{l+1} ~ N(mu(theta_l), sigma^2(theta_l)), both moments to O(1/n^2) at any angle.

    mu and sigma^2 as in `numerics.angle_law.layer_step`, or with `small_angles` those published for small angles, whose
    constants are worse than plain 2/n and 8/n below n about 128. The chain's law is carried through its transition
    matrix; 1 - rho = 1 - cos theta.

    Arguments, errors: those of `UnshapedTheory`; slope_minus = 0, rho0 >= 0 (sin theta says an acute angle), width at
    least 8. Cost: 10 to 100 ms up to depth = width = 1024, cached.
    """

    small_angles: bool = False

    name: ClassVar[str] = "angle-law"
    title: ClassVar[str] = "layerwise angle law"
    reference: ClassVar[str] = "Jakub & Nica 2023, arXiv 2302.09712"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "ReLU, acute angles, width >= 256; each layer to O(n^-2), with large constants"

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, accepted, ok in (
            ("slope_minus", "0 (ReLU)", self.slope_minus == 0),
            ("rho0", "a number in [0, 1)", self.rho0 >= 0),
            ("width", f"an integer from {_NARROWEST} on", self.width >= _NARROWEST),
        ):
            if not ok:
                raise InputError(field, getattr(self, field), accepted)

    def _log_q(self, shift: float) -> Law:
        law = log_sine_law(self.depth, self.width, self.rho0, small_angle_step if self.small_angles else layer_step)
        offset = 2 * math.log(self.depth) + shift
        return Transformed(law, partial(_log_gap_from_sine, offset), partial(_sine_from_log_gap, offset))


@lru_cache(maxsize=1024)
def log_sine_law(
    depth: int, width: int, rho0: float, moments: Callable[[Float[np.ndarray, "*shape"], int], AngleStep]
) -> Tabulated:
    """The law of ln sin^2 theta_l, cached by parameters; values above 0 are right angles."""

    def step(x: Float[np.ndarray, " states"]) -> StepMoments:
        after = moments(np.arcsin(np.exp(np.minimum(x, 0.0) / 2)), width)
        return StepMoments(after.mean, np.sqrt(after.variance), np.zeros(x.shape))

    return tabulated(propagate(step, math.log((1 - rho0) * (1 + rho0)), depth))


def _log_gap_from_sine(offset: float, x: Any) -> Any:
    """ln(1 - cos theta) + `offset` of x = ln sin^2 theta; continued by x itself beyond a right angle."""
    acute = np.minimum(x, 0.0)
    return np.maximum(x, 0.0) + acute - np.log1p(np.sqrt(-np.expm1(acute))) + offset


def _sine_from_log_gap(offset: float, y: Any) -> Any:
    """Its inverse: sin^2 theta = g (2 - g), g = 1 - cos theta."""
    log_gap = np.asarray(y) - offset
    acute = np.minimum(log_gap, 0.0)
    return np.maximum(log_gap, 0.0) + acute + np.log(2 - np.exp(acute))
