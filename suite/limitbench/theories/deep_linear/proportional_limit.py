"""The proportional limit of a deep linear network: a log-normal scale, and a random coupling of the outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.independent_sum import NormalTerm
from limitbench.numerics.random import stream_seed
from limitbench.numerics.triangular_sde import TriangularDraws, triangular_draws
from limitbench.statistics.laws import Empirical, Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.deep_linear.outputs import log_output_law, output_law, output_observables
from limitbench.theories.deep_linear.parameters import check_count, mixing_observables
from limitbench.theories.deep_linear.two_outputs import coupling_law, eigenvalue_law

#: Largest alpha at which Q_12, of order exp(-3 alpha/2), and its moments stay clear of underflow and overflow.
_TABULATED = 128.0
#: Largest alpha (D - 1), the typical ln(lambda_max/lambda_min), that the singular values of a draw of G resolve.
_ESTIMATED = 32.0


@final
@dataclass(frozen=True)
class ProportionalLimit(Theory):
    """Depth and width to infinity together, sum_l 1/N_l -> alpha: Q_alpha = G_alpha G_alpha' with dG = G dA.

    * `log_q11`: N(-alpha, 2 alpha); `log_det`: N(-alpha D(D+1)/2, 2 alpha D);
    * `q12`: exact for every D >= 2, tabulated (`two_outputs.coupling_law`);
    * `log_lambda_min`, `log_lambda_max`: those of `log_q11` for D = 1, exact and tabulated for D = 2
      (`two_outputs.eigenvalue_law`), the triangular stochastic equation for D >= 3;
    * `log_output`: N(-alpha, 2 alpha) + ln chi2_D; `output_1`, `output_2`: Gaussians whose variance is the exponential
      of an N(-alpha, 2 alpha), with kurtosis 3 e^{2 alpha} (`outputs`).

    The matrix laws are given as far as double precision carries them: `q12` and the eigenvalues up to alpha = 128 for
    D = 2, the eigenvalues up to alpha (D - 1) = 32 for D >= 3, the outputs up to alpha = 128. The others have no bound.

    Arguments:
        alpha: sum over hidden layers of 1/width (depth/width at equal widths).
        outputs: D, number of outputs.
        reference_draws: solutions of the triangular equation behind an estimated law (D >= 3).
        steps_per_time: its steps per unit of alpha; at least 16 steps are taken. The weak order is two: at 8 a unit
            the error of the cdf is below 1e-3 (5e-4 at 16), measured at D = 2 and alpha = 1, 4 against the exact law;
            the sampling error of the estimated law itself is 0.004.

    Raises `InputError` where alpha is not positive and finite or a count is not positive. Cost: below 0.1 s exact;
    estimated, with the defaults and up to alpha = 8, 0.4 to 1 s for D = 3 and 0.8 to 2.5 s for D = 5; cached.
    """

    alpha: float
    outputs: int = 2
    reference_draws: int = 1 << 17
    steps_per_time: int = 8

    name: ClassVar[str] = "proportional-limit"
    title: ClassVar[str] = "proportional limit"
    reference: ClassVar[str] = "Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267"
    time_variable: ClassVar[str] = "alpha = sum_l 1/N_l, depth/width at equal widths"
    validity: ClassVar[str] = "every width large, alpha fixed; the error is of order 1/width"

    def __post_init__(self) -> None:
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float) or not 0 < self.alpha < math.inf:
            raise InputError("alpha", self.alpha, "a positive finite number")
        object.__setattr__(self, "alpha", float(self.alpha))
        check_count("outputs", self.outputs)
        check_count("reference_draws", self.reference_draws)
        check_count("steps_per_time", self.steps_per_time)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q11`, `log_det`, `log_output`; `q12` (from D = 2 on), eigenvalues and outputs as far as resolved."""
        resolved = {"log_q11", "log_det"}
        if self.outputs > 1 and self.alpha <= _TABULATED:
            resolved.add("q12")
        if self.outputs == 1 or self.alpha <= (_TABULATED if self.outputs == 2 else _ESTIMATED / (self.outputs - 1)):
            resolved |= {"log_lambda_min", "log_lambda_max"}
        mixing = tuple(name for name in mixing_observables(self.outputs) if name in resolved)
        return (*mixing, *output_observables(self.outputs, self.alpha))

    def _law(self, observable: str) -> Law:
        size = self.outputs
        if observable == "log_output":
            return log_output_law(size, NormalTerm(-self.alpha, 2 * self.alpha), -self.alpha, 2 * self.alpha)
        if observable.startswith("output"):
            return output_law(NormalTerm(-self.alpha, 2 * self.alpha))
        if observable == "log_det":
            return Normal(-self.alpha * size * (size + 1) / 2, math.sqrt(2 * self.alpha * size))
        if observable == "log_q11" or size == 1:
            return Normal(-self.alpha, math.sqrt(2 * self.alpha))
        if observable == "q12":
            # The first two rows of G solve the equation of D = 2: the diagonal's drift depends on the row alone.
            return coupling_law(self.alpha)
        largest = observable == "log_lambda_max"
        if size == 2:
            return eigenvalue_law(self.alpha, largest)
        return _estimated_eigenvalues(self.alpha, size, self.reference_draws, self.steps_per_time)[largest]

    def simulate(self, draws: int, *, seed: int = 0) -> TriangularDraws:
        """Independent draws of G from the triangular equation, all observables at once."""
        check_count("draws", draws)
        steps = max(16, math.ceil(self.steps_per_time * self.alpha))
        return triangular_draws(self.alpha, self.outputs, draws, steps, seed)


@lru_cache(maxsize=32)
def _estimated_eigenvalues(alpha: float, size: int, draws: int, steps_per_time: int) -> tuple[Empirical, Empirical]:
    """Laws of the logs of the smallest and the largest eigenvalue."""
    theory = ProportionalLimit(alpha, size, draws, steps_per_time)
    seed = stream_seed(ProportionalLimit.name, alpha, size, draws, steps_per_time)
    logs = theory.simulate(draws, seed=seed).log_eigenvalues
    return Empirical(logs[0]), Empirical(logs[-1])
