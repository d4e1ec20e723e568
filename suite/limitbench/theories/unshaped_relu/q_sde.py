"""The SDE of q_t = t^2/w_t^2 = l^2 (1 - rho_l), solved in w: what its three versions share."""

from __future__ import annotations

import abc
import math
from functools import lru_cache

import numpy as np

from limitbench.errors import InputError
from limitbench.numerics.affine_sde import AffineSDE
from limitbench.statistics.laws import Law, Tabulated
from limitbench.theories.unshaped_relu.base import UnshapedTheory, affine_law

#: Tails below this are rounding noise of the solver, of which no slope can be taken; the table continues from there.
_TAIL = 1e-10
#: No correlation has 1 - rho above 2: a law with more than this beyond it is that of no network.
_IMPOSSIBLE = 0.1
_LARGEST_LOG_GAP = math.log(2)


class QTheory(UnshapedTheory):
    """A version of the SDE; ln q and ln(1 - rho) are listed where at most 10 % of the law lies beyond 1 - rho = 2."""

    @property
    @abc.abstractmethod
    def sde(self) -> AffineSDE:
        """The equation of w."""

    @property
    def impossible(self) -> str:
        """Why the law is that of no network, empty where it may be one's."""
        law = self._log_q(-2 * math.log(self.depth))
        beyond = 1 - float(law.cdf(_LARGEST_LOG_GAP))
        if beyond <= _IMPOSSIBLE:
            return ""
        enough = self.depth * math.exp((float(law.quantile(1 - _IMPOSSIBLE)) - _LARGEST_LOG_GAP) / 2)
        return (
            f"about {math.ceil(enough)} layers or more at t = {self.time:g}: "
            f"{100 * beyond:.0f} % of q/l^2 would lie beyond 2, where no 1 - rho is"
        )

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_q`, `log_gap`; neither where the law is that of no network."""
        return () if self.impossible else super().observables

    def law(self, observable: str) -> Law:
        """The law of `observable`; raises `InputError` where it is that of no network or not a law of this theory."""
        if observable in super().observables and self.impossible:
            raise InputError("observable", f"{observable} at {self.depth} layers", self.impossible)
        return super().law(observable)

    def _log_q(self, shift: float) -> Law:
        """ln q_t + `shift` = 2 ln t - 2 ln w_t + `shift`."""
        sde = self.sde
        return affine_law(_unit_noise_law(sde, self.time), 2 * math.log(self.time) + shift, -2 * sde.sigma)


@lru_cache(maxsize=1024)
def _unit_noise_law(sde: AffineSDE, time: float) -> Tabulated:
    """The law of ln w_t / sigma, tabulated from the Kolmogorov forward equation; cached by parameters."""
    solution = sde.forward_cdf(time)
    # one run of nodes around the median: further out rounding noise may be above the tail again
    outside = np.flatnonzero((solution.cdf <= _TAIL) | (solution.cdf >= 1 - _TAIL))
    after = int(np.searchsorted(outside, np.argmax(solution.cdf > 0.5)))
    kept = slice(outside[after - 1] + 1, outside[after])
    return Tabulated(solution.z[kept], np.maximum.accumulate(solution.cdf[kept]), cdf_error=max(solution.error, 1e-8))
