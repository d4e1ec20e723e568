"""The architectures of `norm-variance`, and the constant of each: the slope of Var ln V_d/V_0 in sum_l 1/n_l."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from limitbench.numerics.interlayer import Interlayer
from limitbench.studies.base import Cell
from limitbench.theories.log_gaussian import LogGaussianPerceptron

#: Skip and branch of the residual networks have equal weights, alpha^2 = lambda^2 = 1/2.
RESIDUAL_WEIGHT = 0.5
#: Every second layer of an alternating network is this many times wider.
WIDER = 3


@dataclass(frozen=True)
class Family:
    """One architecture: an MLP with slopes (1, `slope`), or a ResNet where `slope` is None."""

    slope: float | None
    balanced: bool = False
    alternating: bool = False

    @property
    def residual(self) -> bool:
        """Whether it is a ResNet."""
        return self.slope is None

    def widths(self, width: int, depth: int) -> tuple[int, ...]:
        """Units of every layer."""
        return tuple(width * (WIDER if self.alternating and layer % 2 else 1) for layer in range(depth))


FAMILIES: Mapping[str, Family] = {
    "linear": Family(1.0),
    "balanced": Family(None, balanced=True),
    "leaky": Family(0.5),
    "relu": Family(0.0),
    "relu-alternating": Family(0.0, alternating=True),
    "resnet": Family(None),
}


def family(cell: Cell) -> Family:
    """The architecture of a cell."""
    return FAMILIES[str(cell["network"])]


def widths_of(cell: Cell) -> tuple[int, ...]:
    """Units of every hidden layer (residual block)."""
    return family(cell).widths(int(cell["width"]), int(cell["depth"]))


def time(cell: Cell) -> float:
    """sum_l 1/n_l over the hidden layers (the residual blocks of a ResNet)."""
    return math.fsum(1 / n for n in widths_of(cell))


def constant(network: str) -> float:
    """The slope of the variance in sum_l 1/n_l: 2, 2.25, 3 kappa - 1, 5, 5, 5.44."""
    chosen = FAMILIES[network]
    if chosen.slope is None:
        return Interlayer(RESIDUAL_WEIGHT, balanced=chosen.balanced).variance_rate
    return LogGaussianPerceptron(1.0, 1.0, chosen.slope).variance_rate
