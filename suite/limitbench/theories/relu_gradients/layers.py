"""Which layers enter a quantity of layer l: those below a norm, those above a gradient, all for a weight gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from limitbench.errors import InputError
from limitbench.theories.log_gaussian import parameters

#: Quantities that are logs of products over layers.
LOGS = ("log_norm", "log_jacobian", "log_gradient", "log_weight_gradient")


@final
@dataclass(frozen=True)
class Layers:
    """Layer l of a network of hidden widths n_1, ..., n_L whose units are on with probability p.

    Arguments:
        widths: n_1, ..., n_L.
        layer: l, from 1 to L.
        passing: p in (0, 1]: 1/2 for ReLU, c/2 for ReLU with dropout that keeps a share c, c for a linear network.

    Raises `InputError` where a value cannot be accepted.
    """

    widths: tuple[int, ...]
    layer: int
    passing: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.widths, tuple) or not self.widths:
            raise InputError("widths", self.widths, "a tuple of at least one width")
        object.__setattr__(self, "widths", tuple(parameters.count("widths", n) for n in self.widths))
        object.__setattr__(self, "layer", parameters.count("layer", self.layer))
        if self.layer > len(self.widths):
            raise InputError("layer", self.layer, f"a layer from 1 to {len(self.widths)}, the number of widths")
        passing = parameters.number("passing", self.passing, "a number in (0, 1]", positive=True)
        if passing > 1:
            raise InputError("passing", self.passing, "a number in (0, 1]")
        object.__setattr__(self, "passing", passing)

    @property
    def variance_rate(self) -> float:
        """3/p - 1, the variance of a log for each sum of inverse widths: 5 for ReLU, 2 for linear networks."""
        return 3 / self.passing - 1

    def entering(self, observable: str) -> tuple[int, ...]:
        """Widths of the layers whose factors make `observable`: 1 .. l, l .. L for `log_gradient`, or all.

        |dE/dW_l|^2 = |x_{l-1}|^2 |dE/dz_l|^2 has the layers below l from its first factor and the rest from its second.
        """
        if observable == "log_gradient":
            return self.widths[self.layer - 1 :]
        return self.widths if observable == "log_weight_gradient" else self.widths[: self.layer]

    def time(self, observable: str) -> float:
        """Sum of 1/n over the layers that enter."""
        return math.fsum(1 / n for n in self.entering(observable))

    @property
    def death(self) -> float:
        """1 - prod_{j <= l} (1 - (1 - p)^{n_j}): in some layer up to l every unit is off; about l 2^-n for ReLU."""
        if self.passing == 1:
            return 0.0
        off = math.log1p(-self.passing)
        return -math.expm1(math.fsum(math.log1p(-math.exp(n * off)) for n in self.widths[: self.layer]))
