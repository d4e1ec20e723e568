"""How a gradient grows on its way back through one network: the law of the log squared gradient ratio.

The ratio is |g_first|^2/|g_last|^2 of the gradients of a loss whose gradient at the output is independent of the
weights. In a piecewise linear MLP g_l = D_l W_{l+1}' g_{l+1} sqrt(c_l/n_l) with slopes D_l that, signs of rows and
columns of the weights absorbed, are independent and equal either slope with probability 1/2: each factor has exactly
the law of the norm's, (c_l/n_l) sum_i D_i^2 xi_i^2, at any width, and so has their product (arXiv 1812.05994).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from limitbench.advice import piecewise, residual
from limitbench.advice.architecture import PiecewiseMLP, ReluResNet
from limitbench.statistics.base import Law

#: The two gradients of an MLP.
HIDDEN = "pre-activations of the first hidden layer against the output"


@dataclass(frozen=True)
class Gradient:
    """The squared gradient at the first layer over that at the last; logs are natural, NaN where nothing is known.

    Attributes:
        log_mean: log of the arithmetic mean over networks.
        median: log of the ratio of a typical network.
        std: standard deviation of the log.
        low, high: logs between which 95 % of networks lie.
        between: the two gradients, in words.
        basis: what the law rests on, or why there is none.
        parameters: log of the mean squared entry of the gradients of the first block's parameters over the last's.
    """

    log_mean: float = math.nan
    median: float = math.nan
    std: float = math.nan
    low: float = math.nan
    high: float = math.nan
    between: str = ""
    basis: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether there is a law."""
        return not math.isnan(self.median)


def of_law(law: Law, log_mean: float, between: str, basis: str, shift: float = 0.0) -> Gradient:
    """The numbers of a law of the log ratio; `shift` is added to the law and not to `log_mean`."""
    low, median, high = (float(law.quantile(level)) + shift for level in (0.025, 0.5, 0.975))
    return Gradient(log_mean, median, float(law.std), low, high, between, basis)


def piecewise_gradient(network: PiecewiseMLP) -> Gradient:
    """The exact law, that of the norm: at gain 1 the mean ratio is 1, over the probability that no layer is off."""
    log_mean = network.log_norm_shift - piecewise.log_survival(network)
    basis = "exact: the law of the norm, though not jointly with it"
    return of_law(piecewise.norm_law(network), log_mean, HIDDEN, basis, network.log_norm_shift)


def residual_gradient(network: ReluResNet) -> Gradient:
    """Balanced networks: the log-Gaussian law of the norm, to O(1/n); without skip the MLP's; vanilla ones: none."""
    if network.perceptron is not None:
        return piecewise_gradient(network.perceptron)
    between = "z_0 against z_d, with the expected growth taken off"
    if network.balanced:
        law = residual.finite_depth(network).law("log_norm")
        return of_law(law, 0.0, between, "to O(1/n): the law of the norm")
    basis = (
        "no theory: the masks of a vanilla ResNet depend on z, so the gradient does not have the law of the norm "
        "(variance 3.96 ± 0.13 in networks with alpha² = lambda² and n = d = 256, where that of the log norm is 5.31)"
    )
    return Gradient(between=between, basis=basis)
