"""The SDE of q from where a finite network starts: the dominant correction at finite width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.affine_sde import AffineSDE
from limitbench.theories.unshaped_relu.q_sde import QTheory


@final
@dataclass(frozen=True)
class FiniteStartSDE(QTheory):
    """The same equation of w as `SingularStartSDE`, from the network's own w at layer 0.

        dw = (kappa w + k0) dt - sqrt(kappa) w dB,   w_0 = 1/(n sqrt(1 - rho_0)),   q = t^2/w^2.

    What is left is of order log(l)/(sqrt2 pi n) in w: the gap is not small in the first layers, where the SDE's noise
    and drift, both of small angles, are not the network's.

    Arguments, errors: those of `QTheory`. Cost: 60 ms, cached by (time, slope, w_0).
    """

    name: ClassVar[str] = "q-sde-finite-start"
    title: ClassVar[str] = "SDE of q, finite-width start"
    reference: ClassVar[str] = "Li & Nica 2023, arXiv 2310.12079, with w at layer 0 kept"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "width >= 64 and t >= 1/2; for leaky slopes inputs at a small angle"

    @property
    def sde(self) -> AffineSDE:
        """The equation of w, with its start."""
        start = 1 / (self.width * math.sqrt(1 - self.rho0))
        return AffineSDE(self.kappa, self.source, math.sqrt(self.kappa), start)
