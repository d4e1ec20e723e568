"""A smooth shaped network with real weight matrices: the oracle of the sampler that draws none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.networks.smooth_exact import EXPLODED
from limitbench.numerics.activations import SmoothActivation
from limitbench.numerics.random import Stream


def sample_smooth(
    activation: SmoothActivation,
    s: float,
    width: int,
    norm0: float,
    rho0: float | None,
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
) -> tuple[
    Float[Tensor, "batch depths inputs"], Float[Tensor, "batch depths"] | None, Bool[Tensor, "batch depths inputs"]
]:
    """The same as `smooth_exact.sample_smooth`, from z_1 = W_1 x and z_{l+1} = sqrt(c/n) W_l phi_s(z_l), N(0, 1)
    weights.

    Norms are plain float64 numbers: right down to V of about 1e-15 s^2. Cost: n^2 normals a layer.
    """
    device = stream.device
    constant = activation.normaliser(s) / width
    if rho0 is None:
        points = torch.ones(1, 1, dtype=torch.float64, device=device)
    else:
        points = torch.tensor([[1.0, rho0], [0.0, math.sqrt(1.0 - rho0**2)]], dtype=torch.float64, device=device)
    flowing = math.sqrt(norm0) * points.expand(batch, -1, -1)
    exploded = torch.full((batch, points.shape[1]), norm0 > EXPLODED, device=device)
    norms, gaps, flags = [], [], []
    with torch.inference_mode():
        for depth in range(1, depths[-1] + 1):
            weights = stream.normal_(torch.empty(batch, width, flowing.shape[1], device=device)).double()
            # one product per input, so that equal inputs stay equal to the last bit
            z = torch.stack([(weights @ x[:, :, None])[:, :, 0] for x in flowing.unbind(dim=2)], dim=2)
            flowing = math.sqrt(constant) * activation.shaped(z, s)
            v = (flowing**2).sum(dim=1)
            exploded = exploded | (v > EXPLODED)
            unit = flowing / v.sqrt()[:, None, :]
            flowing = torch.where(exploded[:, None, :], unit, flowing)
            if depth in depths:
                norms.append(v.log())
                gaps.append((((unit[:, :, 0] - unit[:, :, -1]) ** 2).sum(dim=1) / 2.0).clamp_max(2.0).log())
                flags.append(exploded)
    return torch.stack(norms, dim=1), None if rho0 is None else torch.stack(gaps, dim=1), torch.stack(flags, dim=1)
