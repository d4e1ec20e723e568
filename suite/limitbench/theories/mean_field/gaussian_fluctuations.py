"""Lengths and gradients at finite width: normal laws of their logarithms, with variances of order depth/width."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.mean_field import parameters
from limitbench.theories.mean_field.base import GRADIENTS, LENGTHS, MeanFieldTheory, trajectory
from limitbench.theories.mean_field.fluctuations import Variances, variances
from limitbench.theories.mean_field.recurrence import MeanField


@final
@dataclass(frozen=True)
class GaussianFluctuations(MeanFieldTheory):
    """N(ln x - v/2, v) for a quantity whose recurrence gives x, v = (leading variance)/N (`fluctuations`).

    The mean of the quantity itself is that of infinite width to this order, so that its log falls short by v/2. One
    input; x_0 has rows N(0, norm0). Nothing about gradients of powers of ReLU up to 3/4, whose variance is infinite,
    and of reduced networks whose phi is not odd (`MeanField.gradient_width`).

    Arguments:
        width: N.
    """

    width: int = field(default=0, kw_only=True)

    name: ClassVar[str] = "gaussian-fluctuations"
    title: ClassVar[str] = "Gaussian fluctuations at order 1/N"
    reference: ClassVar[str] = "derived for the networks of Yang & Schoenholz 2017, arXiv 1712.08969"
    time_variable: ClassVar[str] = "layer l, at l/N"
    validity: ClassVar[str] = (
        "depth/width small; the next order takes 6 % of the variance of ln chi at N = 200 and 14 % at N = 64 (erf, 50 "
        "blocks), and more for powers of ReLU near 3/4, whose E phi'^4 nearly diverges: the sd is 12 % too large for "
        "relu-0.8 at N = 48 (8 blocks); chi_b and chi_w of the last blocks average over few units, about N/sqrt(q)"
    )

    def __post_init__(self) -> None:
        if not self.width:
            raise InputError("width", self.width, "a positive integer")
        object.__setattr__(self, "width", parameters.count("width", self.width))
        super().__post_init__()

    def _evaluate(self) -> dict[str, float | None]:
        """The variances."""
        assert self.layer is not None
        leading = _leading(self.recurrence, self.depth, self.norm0)
        values = {"log_length": leading.log_p[self.layer], "log_preactivation": leading.log_q[self.layer]}
        if not self.recurrence.tracks_mean:
            values |= {"log_chi": leading.log_chi[self.layer - 1]}
            values |= {name: getattr(leading, name)[self.layer] for name in GRADIENTS[1:]}
        usable = {name: v for name, v in values.items() if math.isfinite(v) and v > 0.0}
        if self.network != "full":
            usable = {name: v for name, v in usable.items() if name not in ("log_chi_v", "log_chi_a")}
        return {name: float(v) / self.width for name, v in usable.items()}

    def _law(self, observable: str) -> Law:
        assert self.layer is not None
        at = trajectory(self.recurrence, self.depth, self.norm0, self.rho0)
        lengths = dict(zip(LENGTHS, (at.log_p, at.log_q), strict=True))
        if observable == "log_chi":
            center = at.log_chi[self.layer - 1]
        else:
            center = lengths[observable][self.layer] if observable in lengths else getattr(at, observable)[self.layer]
        variance = self._values[observable]
        return Normal(float(center) - variance / 2.0, math.sqrt(variance))


@lru_cache(maxsize=256)
def _leading(recurrence: MeanField, depth: int, norm0: float) -> Variances:
    return variances(recurrence, depth, norm0)
