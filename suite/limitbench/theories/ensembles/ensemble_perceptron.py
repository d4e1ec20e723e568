"""The log squared norm of an MLP whose weights are uniform, Rademacher or orthogonal, at finite width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from scipy.special import digamma, polygamma

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import FiniteWidthPerceptron

#: Fourth moments of independent entries of variance 1.
_KURTOSIS = {"gaussian": 3.0, "uniform": 1.8, "rademacher": 1.0}
ENSEMBLES = (*_KURTOSIS, "orthogonal")
#: Variances below this are rounding noise of an isometry.
_NEGLIGIBLE = 1e-12


@final
@dataclass(frozen=True)
class EnsemblePerceptron(Theory):
    """ln V_d/V_0 ~ N(mean, variance) with the exact moments of Gaussian weights and what the ensemble changes in them.

    Independent entries of fourth moment k: a layer's V'/V is a mean of n terms phi(w.f)^2, in whose variance stands
    E (w.f)^4 = 3 |f|^4 + (k - 3) sum f_i^4. With K = 6 (s_+^4 + s_-^4)/(s_+^2 + s_-^2)^2 and the mean S_l of
    sum f_i^4/|f|^4 for the features that layer l receives,

        variance -> variance + delta,   mean -> mean - delta/2,   delta = (k - 3) K/(3 n) sum_l S_l,

    S_1 = 3/n for inputs in random directions, S_l = (K/n)(1 + r/n) after that (linear: K = 3, r = -2; ReLU: K = 6,
    r = -3), to O(1/n^3),
    so that the limit N(-v t/2, v t), v = K - 1, stays and its O(1/n) correction changes (linear: K = 3, ReLU: K = 6).

    Haar orthogonal matrices keep norms: a layer has the share of the norm that phi passes on, without the factor
    chi2_n/n of Gaussian weights, so ln E chi2-moments drop out exactly,

        mean -> mean - d (psi(n/2) - ln(n/2)),   variance -> variance - d psi'(n/2),

    and the limit itself changes, to v = K - 3: 3 for ReLU, and 0 for linear networks, whose norm is constant.

    Arguments:
        depth, width: d layers of n units.
        weights: gaussian, uniform, rademacher or orthogonal.
        slope_plus, slope_minus: slopes of the activation, as for `FiniteWidthPerceptron`.

    Raises `InputError` where a value cannot be accepted, and below the range of the expansion, where |delta| is more
    than half of the variance that it corrects (one linear Rademacher layer of up to 4 units). Cost: milliseconds.
    """

    depth: int
    width: int
    weights: str
    slope_plus: float = 1.0
    slope_minus: float = 0.0

    name: ClassVar[str] = "ensemble-perceptron"
    title: ClassVar[str] = "finite size, this ensemble"
    reference: ClassVar[str] = "fourth moments in the layer factors of Hanin & Nica 2018, arXiv 1812.05994"
    time_variable: ClassVar[str] = "t = d/n"
    validity: ClassVar[str] = "moments right to O(d/n^3), exact for orthogonal weights; the shape is taken as normal"

    def __post_init__(self) -> None:
        if self.weights not in ENSEMBLES:
            raise InputError("weights", self.weights, " or ".join(ENSEMBLES))
        if self.depth < 1:
            raise InputError("depth", self.depth, "a positive integer")
        checked = self._gaussian
        object.__setattr__(self, "slope_plus", checked.slope_plus)
        object.__setattr__(self, "slope_minus", checked.slope_minus)
        if self.weights in _KURTOSIS and abs(self._excess) > checked.variance / 2:
            raise InputError("width", self.width, f"a width at which {self.weights} weights are a small correction")

    @property
    def mean(self) -> float:
        """Mean of ln V_d/V_0."""
        if self.weights == "orthogonal":
            half = self.width / 2
            return self._gaussian.mean - self.depth * (float(digamma(half)) - math.log(half))
        return self._gaussian.mean - self._excess / 2

    @property
    def variance(self) -> float:
        """Variance of ln V_d/V_0."""
        if self.weights == "orthogonal":
            return self._gaussian.variance - self.depth * float(polygamma(1, self.width / 2))
        return self._gaussian.variance + self._excess

    @property
    def variance_rate(self) -> float:
        """v, the limit of variance/t."""
        return self._share - (3.0 if self.weights == "orthogonal" else 1.0)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)

    @property
    def _gaussian(self) -> FiniteWidthPerceptron:
        return FiniteWidthPerceptron((self.width,) * self.depth, self.slope_plus, self.slope_minus)

    @property
    def _share(self) -> float:
        plus, minus = self.slope_plus**2, self.slope_minus**2
        return 6 * (plus**2 + minus**2) / (plus + minus) ** 2

    @property
    def _excess(self) -> float:
        n = self.width
        m2, m4, m6 = (
            odd * (self.slope_plus**power + self.slope_minus**power) / 2 for odd, power in ((1, 2), (3, 4), (15, 6))
        )
        # delta method for the mean of sum f^4/(sum f^2)^2
        correction = 3 * (m4 / m2**2 - 1) - 2 * (m6 / (m4 * m2) - 1)
        concentration = 3 / n + (self.depth - 1) * self._share / n * (1 + correction / n)
        return (_KURTOSIS[self.weights] - 3) * self._share / (3 * n) * concentration

    def _law(self, observable: str) -> Law:
        if self.variance < _NEGLIGIBLE:
            return PointMass(0.0 if self.weights == "orthogonal" else self.mean)
        return Normal(self.mean, math.sqrt(self.variance))
