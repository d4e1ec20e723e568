"""Chi-square variates on any device."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.random import Stream


def chi_square(dof: Float[Tensor, "*shape"], stream: Stream) -> Float[Tensor, "*shape"]:
    """One chi-square variate for each number of degrees of freedom, 2 Gamma(dof / 2); 0 where `dof` is 0."""
    drawn: Tensor = 2.0 * torch._standard_gamma(dof.clamp_min(1.0) / 2.0, generator=stream.torch)
    return torch.where(dof > 0.0, drawn, 0.0)
