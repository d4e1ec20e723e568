"""Infinite width at finite depth: the network's own kernel recursion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.equivalence.parameters import Gram, covariance_names, two_or_three_inputs
from limitbench.theories.equivalence.recursion import Matrix, correlations, propagate
from limitbench.theories.shaped_relu.parameters import count, number


@final
@dataclass(frozen=True)
class InfiniteWidth(Theory):
    """n -> infinity at fixed depth, for z' = skip z + branch n^-1/2 W phi(z), phi = s_+ max(x, 0) + s_- min(x, 0).

        V_{l+1} = skip^2 V_l + branch^2 E[phi(z) phi(z)'],   z ~ N(0, V_l):

    point masses for the `correlation` of inputs 1 and 2, every `covariance_ab`, and `log_norm` = 0, as the growth
    skip^2 + branch^2 (s_+^2 + s_-^2)/2 of a layer is taken off. An MLP is skip = 0 and branch = (2/(s_+^2+s_-^2))^1/2.

    Arguments:
        depth: number of layers l.
        slope_plus, slope_minus: s_pm.
        skip, branch: sizes of the two paths.
        gram: V_0 of two or three inputs.

    Raises `InputError` where a value cannot be accepted. Cost: 20 microseconds a layer, cached.
    """

    depth: int
    slope_plus: float
    slope_minus: float
    skip: float
    branch: float
    gram: Gram

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width"
    reference: ClassVar[str] = "Cho & Saul 2009; the limit n -> infinity at fixed depth of arXiv 2310.12079"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "width to infinity at fixed depth; errors in the mean O(d/n) for MLPs, O(1/n) for ResNets"

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", count("depth", self.depth))
        for field in ("slope_plus", "slope_minus", "branch"):
            object.__setattr__(self, field, number(field, getattr(self, field)))
        object.__setattr__(self, "skip", number("skip", self.skip, 0, 1e6))
        object.__setattr__(self, "gram", two_or_three_inputs(self.gram))
        if self.skip == 0 and (self.branch == 0 or self.slope_plus == 0 == self.slope_minus):
            raise InputError("branch", self.branch, "a layer that passes something on: skip, or branch and a slope")

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_norm`, `covariance_ab` for a <= b."""
        return ("correlation", "log_norm", *covariance_names(self.gram))

    @property
    def covariance(self) -> Matrix:
        """V_l."""
        return _covariance(self)

    def _law(self, observable: str) -> Law:
        if observable == "log_norm":
            return PointMass(0.0)
        if observable == "correlation":
            return PointMass(float(correlations(self.covariance)[0, 1]))
        return PointMass(float(self.covariance[covariance_names(self.gram)[observable]]))


@lru_cache(maxsize=1024)
def _covariance(theory: InfiniteWidth) -> Matrix:
    slopes = (theory.slope_plus, theory.slope_minus)
    return propagate(np.array(theory.gram), theory.depth, theory.skip, theory.branch, slopes)
