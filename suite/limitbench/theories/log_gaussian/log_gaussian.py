"""The log-Gaussian limit of ReLU ResNets, with the correlations between layers in its constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.interlayer import Interlayer
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import parameters
from limitbench.theories.log_gaussian.outputs import output_law


@final
@dataclass(frozen=True)
class LogGaussian(Theory):
    """Depth and width to infinity together, d/n -> t, for z_{l+1} = alpha z_l + lambda sqrt(2/n) W phi(z_l).

        ln |z_d|^2/(s^d |z_0|^2) -> G ~ N(m t, v t),      s = alpha^2 + lambda^2,
        |z_out|^2 -> exp(G) chi2_D                        (s = 1, |x|^2 = n_in),

    with v = base + C: C from correlations between layers, m below -v/2 + C/2 by hypoactivation (`Interlayer`).
    Balanced: v = base, m = -base/2, and `log_jacobian` has the law of `log_norm`, exactly so at every width.

    Arguments:
        time: t = d/n, positive.
        residual_weight: alpha^2/(alpha^2 + lambda^2), in [0, 1); 0 is a ReLU MLP (v = 5).
        balanced: whether each neuron and layer reflects its ReLU by a random sign.
        outputs: D, number of outputs.

    Raises `InputError` where a value cannot be accepted. Cost: 0.05 s for `log_output`, cached.
    """

    time: float
    residual_weight: float = 0.5
    balanced: bool = False
    outputs: int = 1

    name: ClassVar[str] = "log-gaussian"
    title: ClassVar[str] = "log-Gaussian"
    reference: ClassVar[str] = "Li, Nica & Roy 2021, arXiv 2106.04013"
    time_variable: ClassVar[str] = "t = d/n"
    validity: ClassVar[str] = (
        "depth far beyond the correlation length 2/|ln residual_weight|, width large: vanilla networks exceed the "
        "variance by about 42 t/n at residual weight 1/2"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", parameters.time(self.time))
        object.__setattr__(self, "residual_weight", parameters.residual_weight(self.residual_weight))
        parameters.truth("balanced", self.balanced)
        object.__setattr__(self, "outputs", parameters.count("outputs", self.outputs))

    @property
    def mean(self) -> float:
        """m t."""
        return self.time * Interlayer(self.residual_weight, balanced=self.balanced).mean_rate

    @property
    def variance(self) -> float:
        """v t."""
        return self.time * Interlayer(self.residual_weight, balanced=self.balanced).variance_rate

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`, `log_output`; `log_jacobian` where balanced."""
        return ("log_norm", "log_output", *(("log_jacobian",) if self.balanced else ()))

    def _law(self, observable: str) -> Law:
        if observable == "log_output":
            return output_law(self.mean, self.variance, self.outputs)
        return Normal(self.mean, self.variance**0.5)
