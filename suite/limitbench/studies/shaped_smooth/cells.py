"""What a cell of `shaped-smooth` is in the terms of its theories: beta, time, and whether late-time laws apply."""

from __future__ import annotations

import math

from limitbench.numerics.activations import activation_of
from limitbench.numerics.smooth_norm import relaxation_rate
from limitbench.studies.base import Cell

#: The rate at which noise and shaping balance.
CRITICAL = 0.5
#: Units of relaxation time after which the stationary law holds (e^-4 of the start is left), and after which hardly
#: any path that may still explode is left.
_STATIONARY, _DECIDED = 4.0, 2.0


def beta(cell: Cell) -> float:
    """(3/4 phi''(0)^2 + phi'''(0))/a^2."""
    return activation_of(str(cell["activation"])).norm_drift(float(cell["scale"]))


def time(cell: Cell) -> float:
    """t = l/n^{2p}; l/n at rate 1/2."""
    return float(cell["depth"]) / math.pow(float(cell["width"]), 2 * float(cell["rate"]))


def late_explosion(cell: Cell) -> bool:
    """beta > 0 and nearly every path has exploded or collapsed."""
    return beta(cell) > 1e-6 and relaxation_rate(beta(cell)) * time(cell) >= _DECIDED


def late_stationary(cell: Cell) -> bool:
    """beta < -1 and the start is forgotten."""
    return beta(cell) < -1.001 and relaxation_rate(beta(cell)) * time(cell) >= _STATIONARY
