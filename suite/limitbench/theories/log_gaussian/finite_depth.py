"""The log-Gaussian law with sums over the layers that a network of finite depth really has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

from limitbench.numerics.interlayer import Interlayer
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import parameters
from limitbench.theories.log_gaussian.outputs import output_law


@final
@dataclass(frozen=True)
class LogGaussianFiniteDepth(Theory):
    """G ~ N(m_d t, v_d t), t = d/n: the constants with sum_{r=1..d-1} (1 - r/d) in place of sum_{r>=1}.

    * `log_norm`: N(m_d t, v_d t);
    * `log_output`: that, plus ln chi2_D, plus ln(chi2_n/n) of the random first layer |z_0|^2/n (s = 1, |x|^2 = n_in);
    * `relu_share`: N(1/2 + E_d/n, 3/(4n)) with the hypoactivation E_d = n (E A_d - 1/2) of layer d; 1/2 if balanced;
    * `log_jacobian` where balanced: the law of `log_norm`.

    What remains is of relative order 1/n; for vanilla networks it is large (variance +42 t/n at residual weight 1/2).

    Arguments:
        depth: d, number of residual layers.
        width: n.
        residual_weight: alpha^2/(alpha^2 + lambda^2), in [0, 1).
        balanced: whether each neuron and layer reflects its ReLU by a random sign.
        outputs: D, number of outputs.

    Raises `InputError` where a value cannot be accepted. Cost: 0.05 s for `log_output`, cached.
    """

    depth: int
    width: int
    residual_weight: float = 0.5
    balanced: bool = False
    outputs: int = 1

    name: ClassVar[str] = "log-gaussian-finite-depth"
    title: ClassVar[str] = "log-Gaussian, finite-depth sums"
    reference: ClassVar[str] = "Li, Nica & Roy 2021, arXiv 2106.04013"
    time_variable: ClassVar[str] = "t = d/n"
    validity: ClassVar[str] = "every depth, width large; the relative error is of order 1/width"

    def __post_init__(self) -> None:
        for field in ("depth", "width", "outputs"):
            object.__setattr__(self, field, parameters.count(field, getattr(self, field)))
        object.__setattr__(self, "residual_weight", parameters.residual_weight(self.residual_weight))
        parameters.truth("balanced", self.balanced)

    @property
    def mean(self) -> float:
        """m_d t."""
        return self.depth / self.width * self.constants.mean_rate

    @property
    def variance(self) -> float:
        """v_d t."""
        return self.depth / self.width * self.constants.variance_rate

    @property
    def mean_growth(self) -> float:
        """ln E exp(G) = (m_d + v_d/2) t, 0 if balanced."""
        return self.depth / self.width * self.constants.growth_rate

    @cached_property
    def constants(self) -> Interlayer:
        """Kernel sums to this depth."""
        return Interlayer(self.residual_weight, self.depth, self.balanced)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_jacobian` where balanced."""
        return ("log_norm", "log_output", "relu_share", *(("log_jacobian",) if self.balanced else ()))

    def _law(self, observable: str) -> Law:
        if observable == "log_output":
            return output_law(self.mean, self.variance, self.outputs, self.width)
        if observable == "relu_share":
            mean = 0.5 + self.constants.share_excess(self.depth) / self.width
            return Normal(mean, math.sqrt(0.75 / self.width))
        return Normal(self.mean, self.variance**0.5)
