"""The exact finite-size law of one input's log squared norm in an MLP with fixed slopes: independent layer factors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.independent_sum import IndependentSum, tail_table
from limitbench.numerics.log_piecewise_norm import LogPiecewiseNorm
from limitbench.statistics.laws import Law, Tabulated
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import parameters

_POINTS = 501
#: From this width on a layer whose slope is 0 on one side is as good as never dead (2^-32), and the rule holds.
_NEVER_DEAD = 32


@final
@dataclass(frozen=True)
class FiniteWidthPerceptron(Theory):
    """ln V_d/V_0 = sum_l ln[(c/n_l) (s_+^2 chi2_{K_l} + s_-^2 chi2_{n_l - K_l})], K_l ~ Bin(n_l, 1/2), all independent.

    Nothing is taken to a limit (`LogPiecewiseNorm`); inverted to 1e-6 in the cdf.

    Arguments:
        widths: units of each hidden layer.
        slope_plus, slope_minus: slopes of the activation. The ratio of the smaller to the larger is at least 0.2, or
            0.1 if every width is at least 32, or anything up to 0 then too.

    Raises `InputError` where a value cannot be accepted. Cost: 0.1 s a law, cached, whatever the depth.
    """

    widths: tuple[int, ...]
    slope_plus: float = 1.0
    slope_minus: float = 0.0

    name: ClassVar[str] = "finite-width-perceptron"
    title: ClassVar[str] = "exact finite-size law"
    reference: ClassVar[str] = "Hanin & Nica 2018, arXiv 1812.05994 (independent layer factors)"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l"
    validity: ClassVar[str] = "every depth; widths of at least 32 where one slope is near 0"

    def __post_init__(self) -> None:
        if not isinstance(self.widths, tuple) or not self.widths:
            raise InputError("widths", self.widths, "a tuple of at least one width")
        object.__setattr__(self, "widths", tuple(parameters.count("widths", n) for n in self.widths))
        for field in ("slope_plus", "slope_minus"):
            object.__setattr__(self, field, parameters.number(field, getattr(self, field), "a finite number"))
        small, large = sorted((abs(self.slope_plus), abs(self.slope_minus)))
        if not large:
            raise InputError("slope_plus, slope_minus", (0.0, 0.0), "slopes that are not both zero")
        if small < 0.2 * large and min(self.widths) < _NEVER_DEAD:
            accepted = f"widths of at least {_NEVER_DEAD} where the slopes' ratio is below 0.2"
            raise InputError("widths", min(self.widths), accepted)

    @property
    def mean(self) -> float:
        """Exact mean."""
        return sum(part.mean for part in self._parts)

    @property
    def variance(self) -> float:
        """Exact variance."""
        return sum(part.variance for part in self._parts)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)

    @property
    def _parts(self) -> tuple[LogPiecewiseNorm, ...]:
        layers = sorted(Counter(self.widths).items())
        return tuple(LogPiecewiseNorm(depth, n, self.slope_plus, self.slope_minus) for n, depth in layers)

    def _law(self, observable: str) -> Law:
        return _solve(self._parts, self.mean, self.variance**0.5)


@lru_cache(maxsize=256)
def _solve(parts: tuple[LogPiecewiseNorm, ...], mean: float, std: float) -> Tabulated:
    x, cdf, survival = tail_table(IndependentSum(parts), _POINTS)
    return Tabulated(x, cdf, survival=survival, mean=mean, std=std, cdf_error=1e-6)
