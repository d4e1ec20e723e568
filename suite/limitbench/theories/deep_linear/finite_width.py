"""Exact finite-size laws of a deep linear network: logs of scales are sums of independent log chi-squares."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.characteristic import score_nodes, tail_probabilities
from limitbench.numerics.log_chi_square import LogChiSquareSum
from limitbench.statistics.laws import Law, Tabulated
from limitbench.theories.base import Theory
from limitbench.theories.deep_linear.outputs import log_output_law, output_law, output_observables
from limitbench.theories.deep_linear.parameters import check_count

#: Points of a tabulated law.
_POINTS = 2001


@final
@dataclass(frozen=True)
class FiniteWidth(Theory):
    """The network's own law, with nothing taken to a limit.

    By Bartlett's decomposition Q = G G', G a product of L independent lower-triangular matrices T_l with
    (T_l)_ii^2 ~ chi2_{N_l - i + 1}/N_l, so that in law

        ln Q_11 = sum_l ln(chi2_{N_l}/N_l),      ln det Q = sum_l sum_{i=1..D} ln(chi2_{N_l-i+1}/N_l),
        ln |S|^2 = ln chi2_D + ln Q_11,          S_i = sqrt(Q_11) N(0, 1) with independent factors,

    inverted from their moment generating functions to 1e-9 in the cdf, both tails to small relative error.

    Arguments:
        width: hidden width N, or the tuple of the widths of all hidden layers.
        depth: number L of hidden layers; may be left out where `width` is a tuple.
        outputs: D, number of outputs.

    `log_det` exists where Q is invertible (`outputs` <= the smallest width). With one output Q is a number and its
    eigenvalues are Q_11. Raises `InputError` for anything but positive integers, or a depth that contradicts the
    widths. Cost: tens of milliseconds a law, cached, whatever the depth.
    """

    width: int | tuple[int, ...]
    depth: int | None = None
    outputs: int = 2

    name: ClassVar[str] = "finite-width"
    title: ClassVar[str] = "exact finite-size law"
    reference: ClassVar[str] = (
        "Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267 (Bartlett form of the finite network)"
    )
    time_variable: ClassVar[str] = "alpha = sum_l 1/N_l"
    validity: ClassVar[str] = "every width and depth"

    def __post_init__(self) -> None:
        check_count("outputs", self.outputs)
        if isinstance(self.width, tuple):
            if not self.width:
                raise InputError("width", self.width, "at least one hidden width")
            for width in self.width:
                check_count("width", width)
            if self.depth is not None and self.depth != len(self.width):
                raise InputError("depth", self.depth, f"{len(self.width)}, the number of widths, or nothing")
            object.__setattr__(self, "depth", len(self.width))
        else:
            check_count("width", self.width)
            check_count("depth", self.depth)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of every hidden layer."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * (self.depth or 0)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q11`, `log_det` where Q is invertible, the eigenvalue of a 1 x 1 matrix, and the outputs."""
        if self.outputs == 1:
            mixing: tuple[str, ...] = ("log_q11", "log_det", "log_lambda_min", "log_lambda_max")
        else:
            mixing = ("log_q11", "log_det") if self.outputs <= min(self.widths) else ("log_q11",)
        return (*mixing, *output_observables(self.outputs, sum(1 / n for n in self.widths)))

    def cumulant(self, observable: str, order: int) -> float:
        """Exact cumulant: 1 the mean, 2 the variance, 3 the third central moment, ...

        sum_l [psi(k_l/2) - ln(N_l/2)] for the mean, sum_l psi^(order-1)(k_l/2) above, over the degrees of freedom k_l
        of the observable's chi-squares.
        """
        check_count("order", order)
        logs = tuple(name for name in self.observables if not name.startswith("output"))
        if observable not in logs:
            raise InputError("observable", observable, "one of " + ", ".join(logs))
        own = LogChiSquareSum(((self.outputs, 1.0, 1),)).cumulant(order) if observable == "log_output" else 0.0
        return own + self._sum(observable).cumulant(order)

    def _law(self, observable: str) -> Law:
        scale = self._sum(observable)
        if observable == "log_output":
            return log_output_law(self.outputs, scale, scale.cumulant(1), scale.cumulant(2))
        return output_law(scale) if observable.startswith("output") else _solve(scale)

    def _sum(self, observable: str) -> LogChiSquareSum:
        rows = self.outputs if observable == "log_det" else 1
        layers = sorted(Counter(self.widths).items())
        return LogChiSquareSum(tuple((n - i, float(n), count) for n, count in layers for i in range(rows)))


@lru_cache(maxsize=256)
def _solve(law: LogChiSquareSum) -> Tabulated:
    x = score_nodes(law, _POINTS)
    cdf, survival = tail_probabilities(law, x)
    return Tabulated(x, cdf, survival=survival, mean=law.cumulant(1), std=law.cumulant(2) ** 0.5, cdf_error=1e-9)
