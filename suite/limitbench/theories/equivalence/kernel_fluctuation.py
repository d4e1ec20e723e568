"""The first Gaussian fluctuation of the covariance of a network of finite depth, residual or not.

Units interact only through their mean of phi(z) phi(z)', the covariance of the next increment. To first order in
n^-1/2 the covariance V of the features is therefore an average over units of one unit's influence: its own products,
and what they do to the kernel of every later layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.numerics.random import stream_seed
from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.equivalence.infinite_width import InfiniteWidth
from limitbench.theories.equivalence.parameters import Gram, covariance_names
from limitbench.theories.equivalence.recursion import Matrix, Slopes, correlations, kernel_change, layer_kernel
from limitbench.theories.shaped_relu.parameters import count

#: Standard deviations below this are rounding noise of a law without fluctuations.
_NEGLIGIBLE = 1e-9
#: Units of the limit whose influence is averaged; the standard deviations are then right to 1 %.
_UNITS = 1 << 15


@final
@dataclass(frozen=True)
class KernelFluctuation(Theory):
    """Normal laws around infinite width, with variances of order 1/n, at finite depth.

    Residual network (skip > 0), V_l = z'z/n, with the Gaussian process z of infinite width, xi_l = phi(z_l) phi(z_l)'
    - K(V_l) and the change U of the covariance of one unit's z that the other units cause:

        n^1/2 (V_d - E V_d) -> average over units of  z_d z_d' - V_d + U_d,
        U_{l+1} = skip^2 U_l + branch^2 (xi_l + K'(V_l)[U_l]),   U_0 = 0.

    The xi_l of one unit are correlated along depth, as z_l is. MLP (skip = 0), V_l = branch^2 phi(z_l)'phi(z_l)/n: the
    same recursion gives n^1/2 (V_d - E V_d) -> U_d, with xi_l independent of each other. So an MLP of depth d with
    slopes 1 + c_pm d^-1/2 fluctuates by (d/n)^1/2, a residual network with branches d^-1/2 only by n^-1/2.

    The variances are those of 32,768 simulated units, right to 2 % (standard deviations to 1 %).

    Arguments:
        width: n.
        Others, errors: those of `InfiniteWidth`.

    Cost: about 3 ms a layer with three inputs, cached by correlations, slopes and branch/skip.
    """

    depth: int
    width: int
    slope_plus: float
    slope_minus: float
    skip: float
    branch: float
    gram: Gram

    name: ClassVar[str] = "kernel-fluctuation"
    title: ClassVar[str] = "infinite width + CLT"
    reference: ClassVar[str] = "mean-field central limit theorem for the kernel of arXiv 2310.12079, layer by layer"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "width to infinity at fixed depth; d much smaller than n for MLPs"

    def __post_init__(self) -> None:
        checked = self._mean_field
        for field in ("depth", "slope_plus", "slope_minus", "skip", "branch", "gram"):
            object.__setattr__(self, field, getattr(checked, field))
        object.__setattr__(self, "width", count("width", self.width))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_norm`, `covariance_ab` for a <= b."""
        return self._mean_field.observables

    @property
    def _mean_field(self) -> InfiniteWidth:
        return InfiniteWidth(self.depth, self.slope_plus, self.slope_minus, self.skip, self.branch, self.gram)

    def scaled_std(self, observable: str) -> float:
        """Limit of n^1/2 times the standard deviation of `observable`."""
        residual = self.skip != 0
        relative = abs(self.branch / self.skip) if residual else abs(self.branch)
        start = tuple(tuple(float(entry) for entry in row) for row in correlations(np.array(self.gram)))
        stds = _relative_stds(start, self.depth, residual, relative, (self.slope_plus, self.slope_minus))
        if observable in ("correlation", "log_norm"):
            return stds[1][observable]
        a, b = covariance_names(self.gram)[observable]
        final = self._mean_field.covariance
        return float(stds[0][a, b] * math.sqrt(final[a, a] * final[b, b]))

    def _law(self, observable: str) -> Law:
        centre = self._mean_field.law(observable).mean
        std = self.scaled_std(observable) / math.sqrt(self.width)
        return Normal(centre, std) if std > _NEGLIGIBLE else PointMass(centre)


@lru_cache(maxsize=512)
def _relative_stds(
    start: Gram, depth: int, residual: bool, branch: float, slopes: Slopes
) -> tuple[Matrix, dict[str, float]]:
    """Standard deviations of n^1/2 dV^ab/(V^aa V^bb)^1/2, and of the correlation and of ln V_d/V_0, times n^1/2.

    V_0 is z_0'z_0/n in a residual network, the Gram matrix of the inputs in an MLP.
    phi is positively homogeneous, so norms of inputs and a factor common to skip and branch drop out: skip is 1 or 0.
    """
    covariance, skip = np.array(start), 1.0 if residual else 0.0
    rng = np.random.default_rng(stream_seed("kernel-fluctuation", start, residual, branch, list(slopes)))
    units = _normals(rng, covariance)
    first = units[:, 0] ** 2 - 1 if residual else 0.0
    change = np.zeros((_UNITS, *covariance.shape))
    for _ in range(depth):
        mean = layer_kernel(covariance, slopes)
        passed = slopes[0] * np.maximum(units, 0) + slopes[1] * np.minimum(units, 0)
        noise = passed[:, :, None] * passed[:, None, :] - mean
        change = skip * change + branch**2 * (noise + kernel_change(covariance, change, slopes))
        covariance = skip * covariance + branch**2 * mean
        units = skip * units + branch * _normals(rng, mean)
    if residual:
        change = change + units[:, :, None] * units[:, None, :] - covariance
    scale = np.sqrt(np.diag(covariance))
    relative = change / np.outer(scale, scale)
    rho = correlations(covariance)[0, 1]
    turned = relative[:, 0, 1] - rho * (relative[:, 0, 0] + relative[:, 1, 1]) / 2
    log_norm = relative[:, 0, 0] - first
    return np.asarray(relative.std(axis=0)), {"correlation": float(turned.std()), "log_norm": float(log_norm.std())}


def _normals(rng: np.random.Generator, covariance: Matrix) -> Float[np.ndarray, "units inputs"]:
    """Rows N(0, covariance), which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(rng.standard_normal((_UNITS, len(values))) @ root.T)
