"""The asymptotic laws as a theory: what their leading terms, with corrections, say about a layer of finite depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.mean_field.asymptotic_laws import AsymptoticLaw, asymptotic_law
from limitbench.theories.mean_field.base import MeanFieldTheory


@final
@dataclass(frozen=True)
class Asymptotics(MeanFieldTheory):
    """A point mass at the asymptotic law of each observable (`asymptotic_laws`); none where it is known up to a factor.

    chi_l/chi_L keeps no unknown factor between layers; chi_b, chi_w, chi_v follow from chi and E phi'^2, E phi^2 at the
    q_l of the asymptotic length; e_l is its limit (relu: 1 - e_l of order l^-2), since its distance from the limit
    has an unknown factor. Nothing at layers where the law has not begun (chi_0 of tanh, erf and relu-A) and for
    reduced networks with relu-A. Cost: none.
    """

    name: ClassVar[str] = "asymptotics"
    title: ClassVar[str] = "asymptotic laws with corrections"
    reference: ClassVar[str] = "Yang & Schoenholz 2017, arXiv 1712.08969 (constants and corrections derived)"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = (
        "deep layers: the error falls as ln l/l for lengths of tanh and erf, as l^-delta, l^-mu or 1/l for cosines; "
        "inputs that are neither equal nor opposite"
    )

    def _evaluate(self) -> dict[str, float | None]:
        assert self.layer is not None
        law = asymptotic_law(self.recurrence, self.norm0)
        if law is None:
            return {}
        log_p = law.log_length(self.layer)
        before = math.log(self.norm0) if self.layer == 1 else law.log_length(self.layer - 1)
        log_chi = law.log_gain(self.layer - 1, self.depth)
        after = law.log_gain(self.layer, self.depth)
        values: dict[str, float | None] = {"log_length": log_p, "log_chi": log_chi}
        if self.network == "full":
            values["log_chi_a"] = after
        if log_p is not None and abs(self.rho0) < 1.0:
            values |= self._pair(law, log_p)
        relu = self.recurrence.kernel.exponent == 1.0
        if before is None and not (relu and after is not None):
            return values
        log_q = None if before is None else float(np.logaddexp(math.log(self.sigma_w2) + before, _log(self.sigma_b2)))
        values["log_preactivation"] = log_q
        return values | (self._parameters(after, before, log_q) if after is not None else {})

    def _pair(self, law: AsymptoticLaw, log_p: float) -> dict[str, float | None]:
        assert self.layer is not None
        gap = law.gap(self.layer)
        if gap is None:
            return {}
        return {
            "cosine": 1.0 - gap,
            "log_distance": math.log(2.0 * gap) + log_p if gap > 0.0 else None,
            # gamma = o(p) where e* = 0, of an unknown size
            "covariance_12": (1.0 - gap) * math.exp(log_p) if gap < 1.0 and log_p < 700.0 else None,
        }

    def _parameters(self, after: float, before: float | None, log_q: float | None) -> dict[str, float | None]:
        """chi_b, chi_w, chi_v, chi_a of the block from ln(chi_l/chi_L), ln p_{l-1} and ln q_l."""
        kernel = self.recurrence.kernel
        q = math.exp(min(log_q, 700.0)) if log_q is not None else 1.0
        bias = after + math.log(self.sigma_v2 * kernel.scalar_slope_square(q))
        values: dict[str, float | None] = {"log_chi_b": bias}
        if before is None or log_q is None:
            return values
        values["log_chi_w"] = bias + before
        if self.network == "full":
            square = math.log(kernel.scalar_square(q)) + max(log_q - 700.0, 0.0)
            values["log_chi_v"] = after + square
        return values

    def _law(self, observable: str) -> Law:
        return PointMass(self._values[observable])


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf
