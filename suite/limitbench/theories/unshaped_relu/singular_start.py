"""The limit of q itself: an SDE from a singular start that no longer knows the inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.affine_sde import AffineSDE
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.unshaped_relu.q_sde import QTheory


@final
@dataclass(frozen=True)
class SingularStartSDE(QTheory):
    """Depth and width to infinity together at fixed slopes, q_t = l^2 (1 - rho_l) at t = l/n.

        dq = [2q/t - (alpha/3)(2q)^{3/2}/t + kappa q] dt + 2 sqrt(kappa) q dB,
        dw = (kappa w + k0) dt - sqrt(kappa) w dB,   w_0 = 0,   q = t^2/w^2,
        ln V_t/V_0 ~ N(-(3 kappa - 1) t/2, (3 kappa - 1) t).

    kappa, alpha, k0 as in `UnshapedTheory`. w is linear, so w_t = k0 int_0^t exp(kappa s/2 + sqrt(kappa) B_s) ds in law
    and E w_t = k0 (e^{kappa t} - 1)/kappa; q starts from 1/k0^2 (44.4 for ReLU) whatever the inputs. The law of ln w by
    the Kolmogorov forward equation, to 1e-6 in the cdf for t in [1/16, 4], 1e-4 at t = 1/1000 (`cdf_error`: a bound).

    Arguments, errors: those of `QTheory`; `rho0` plays no part. Cost: 60 ms, cached by time and slope.
    """

    name: ClassVar[str] = "q-sde"
    title: ClassVar[str] = "SDE of q, singular start"
    reference: ClassVar[str] = "Li & Nica 2023, arXiv 2310.12079"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "width to infinity at fixed t; the error of w is O(log n/n), worst at small t"

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_gap` (neither where too much of their law is beyond 1 - rho = 2), `log_norm`."""
        return (*super().observables, "log_norm")

    @property
    def sde(self) -> AffineSDE:
        """The equation of w."""
        return AffineSDE(self.kappa, self.source, math.sqrt(self.kappa))

    def _law(self, observable: str) -> Law:
        if observable == "log_norm":
            variance = (3 * self.kappa - 1) * self.time
            return Normal(-variance / 2, math.sqrt(variance))
        return super()._law(observable)
