"""What both samplers of residual networks share: the constants of a block and the observables of a recorded layer.

Both carry each column z (one input, or a tangent) by a multiple whose log is kept apart, so that no depth overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Columns: TypeAlias = Float[Tensor, "columns batch width"]
Logs: TypeAlias = Float[Tensor, "columns batch"]
Values: TypeAlias = Float[Tensor, " batch"]


@dataclass(frozen=True)
class ResidualBlock:
    """z -> skip z + branch n^{-1/2} W phi(sigma * z) with phi(x) = s_+ max(x, 0) + s_- min(x, 0)."""

    width: int
    skip: float
    branch: float
    slope_plus: float
    slope_minus: float
    balanced: bool

    @property
    def growth(self) -> float:
        """s = skip^2 + branch^2 (s_+^2 + s_-^2) / 2, the mean factor of a squared norm at infinite width."""
        return self.skip**2 + self.branch**2 * (self.slope_plus**2 + self.slope_minus**2) / 2.0

    @property
    def mirrored(self) -> bool:
        """Whether s_- is the larger slope: then phi(x) = -s_- m(-x) with m(x) = max(x, 0) + ratio min(x, 0)."""
        return abs(self.slope_minus) > abs(self.slope_plus)

    @property
    def lead(self) -> float:
        """phi(x) = lead m(x), or lead m(-x) if `mirrored`; 1 for slopes that are both 0."""
        return (-self.slope_minus if self.mirrored else self.slope_plus) or 1.0

    @property
    def ratio(self) -> float:
        """The smaller slope over the larger one, in [-1, 1]."""
        small, large = sorted((self.slope_plus, self.slope_minus), key=abs)
        return small / large if large else 0.0


class Recorded(NamedTuple):
    """Layer l of a batch: its columns are exp(log_scale) z.

    `signs` are the sigma_l that the next block applies (None where they are all 1); `log_output` is ln |z_out|^2 of
    column 1; `log_gradient` is ln(|J'v|^2 / |v|^2) with J = d z_l / d z_0 at column 1, None where it is not asked for.
    """

    layer: int
    z: Columns
    log_scale: Logs
    signs: Float[Tensor, "batch width"] | None
    log_output: Values
    log_gradient: Values | None = None


def log_norms(layer: Recorded) -> Logs:
    """ln(|z|^2 / n) of every column."""
    norm: Logs = torch.linalg.vector_norm(layer.z, dim=2).double().log() + layer.log_scale
    return 2.0 * norm - math.log(layer.z.shape[2])


def correlation(layer: Recorded, a: int, b: int) -> Values:
    """Cosine of the angle between columns a and b; NaN where one is zero; 1 for equal columns."""
    z = layer.z[[a, b]].double()
    norms: Logs = torch.linalg.vector_norm(z, dim=2)
    return ((z[0] * z[1]).sum(1) / (norms[0] * norms[1])).clamp(-1.0, 1.0)


def covariance(layer: Recorded, a: int, b: int) -> Values:
    """V^ab = <z^a, z^b> / n."""
    scale = torch.exp(layer.log_scale[a] + layer.log_scale[b])
    return (layer.z[a].double() * layer.z[b]).mean(1) * scale


def active_fraction(layer: Recorded) -> Values:
    """#{z_i > 0} / n of column 1."""
    z = layer.z[0]
    active: Values = torch.gt(z, 0.0, out=torch.empty_like(z)).sum(1).double() / z.shape[1]
    return active


def relu_share(layer: Recorded) -> Values:
    """|max(sigma z, 0)|^2 / |z|^2 of column 1; NaN where z = 0."""
    z = layer.z[0]
    passed = z.clamp_min(0.0) if layer.signs is None else torch.mul(layer.signs, z).clamp_min_(0.0)
    norms = [torch.linalg.vector_norm(vectors, dim=1).double() for vectors in (passed, z)]
    share: Values = (norms[0] / norms[1]).square()
    return share


def rescale(z: Columns, log_scale: Logs) -> None:
    """Bring the norm of each column into [1/2, 1) by a power of two, which rounds nothing; in place."""
    exponent = torch.frexp(torch.linalg.vector_norm(z, dim=2)).exponent
    z.mul_(torch.ldexp(z.new_ones(log_scale.shape), -exponent)[:, :, None])
    log_scale.add_(exponent, alpha=math.log(2.0))
