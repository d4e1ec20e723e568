"""The SDE of q without its drift kappa q: a version that networks reject, kept to show how clearly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.affine_sde import AffineSDE
from limitbench.theories.unshaped_relu.q_sde import QTheory


@final
@dataclass(frozen=True)
class WithoutItoDrift(QTheory):
    """The equation of q with the same noise but no drift kappa q (2q for ReLU), from the singular start.

        dq = [2q/t - (alpha/3)(2q)^{3/2}/t] dt + 2 sqrt(kappa) q dB,
        dw = (3 kappa/2 w + k0) dt - sqrt(kappa) w dB,   w_0 = 0.

    The drift that is missing is the mean of chi2_{N-1}/chi2_N over the N units that are on, 1 + 2/n for ReLU: with it
    E w_t is k0 (e^{kappa t} - 1)/kappa, without it k0 (e^{3 kappa t/2} - 1)/(3 kappa/2), twice as much at t = 1.

    Arguments, errors: those of `QTheory`; `rho0` plays no part. Cost: 60 ms, cached.
    """

    name: ClassVar[str] = "q-sde-no-drift"
    title: ClassVar[str] = "SDE of q without + κq"
    reference: ClassVar[str] = "a common misreading of arXiv 2310.12079"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "none"

    @property
    def sde(self) -> AffineSDE:
        """The equation of w."""
        return AffineSDE(1.5 * self.kappa, self.source, math.sqrt(self.kappa))
