"""What theories of unshaped two-slope networks share: parameters, time, the constants of the limit, ln q and ln(1-rho).

phi(x) = max(x, 0) + s_- min(x, 0); the time is t = l/n and q_t = l^2 (1 - rho_l).
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Transformed
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import LONGEST, count, number


@dataclass(frozen=True)
class UnshapedTheory(Theory):
    """A theory of two inputs through `depth` layers of `width` units with slopes 1 and `slope_minus`.

    Implementations give the law of ln q up to a shift; ln(1 - rho) = ln q - 2 ln l is the same law elsewhere.

    Arguments:
        depth: layer number l, at most 64 widths.
        width: hidden width n.
        slope_minus: slope s_- of negative arguments in [-1, 1); 0 is ReLU. At 1 the network is linear and q is not
            its variable.
        rho0: correlation of the two inputs in [-1, 1).

    Raises `InputError` for other values.
    """

    depth: int
    width: int
    slope_minus: float = 0.0
    rho0: float = 0.3

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", count("depth", self.depth))
        object.__setattr__(self, "width", count("width", self.width))
        if self.depth > LONGEST * self.width:
            raise InputError("depth", self.depth, f"at most {LONGEST:g} times the width")
        for field in ("slope_minus", "rho0"):
            value = number(field, getattr(self, field), -1, 1)
            if value == 1:
                raise InputError(field, value, "a number in [-1, 1)")
            object.__setattr__(self, field, value)
        if self.slope_minus == self.rho0 == -1:
            raise InputError(
                "rho0", -1.0, "a number in (-1, 1) where slope_minus = -1: |x| makes opposite inputs equal"
            )

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_gap`."""
        return ("log_q", "log_gap")

    @property
    def time(self) -> float:
        """t = l/n."""
        return self.depth / self.width

    @property
    def kappa(self) -> float:
        """kappa = 2 (1 + s_-^4)/(1 + s_-^2)^2: the noise of ln q is 2 sqrt(kappa) dB. 2 for ReLU, 1 for |x|."""
        return 2 * (1 + self.slope_minus**4) / (1 + self.slope_minus**2) ** 2

    @property
    def source(self) -> float:
        """k0 = alpha sqrt2/3 with alpha = (1 - s_-)^2/(pi (1 + s_-^2)): sqrt2/(3 pi) for ReLU."""
        return (1 - self.slope_minus) ** 2 / (math.pi * (1 + self.slope_minus**2)) * math.sqrt(2) / 3

    def _law(self, observable: str) -> Law:
        return self._log_q(0.0 if observable == "log_q" else -2 * math.log(self.depth))

    @abc.abstractmethod
    def _log_q(self, shift: float) -> Law:
        """The law of ln q_l + `shift`."""


def affine_law(law: Law, intercept: float, slope: float = 1.0) -> Transformed:
    """The law of intercept + slope X."""
    return Transformed(
        law, partial(_affine, intercept, slope), partial(_affine, -intercept / slope, 1 / slope), increasing=slope > 0
    )


def _affine(intercept: float, slope: float, x: Any) -> Any:
    return intercept + slope * np.asarray(x)
