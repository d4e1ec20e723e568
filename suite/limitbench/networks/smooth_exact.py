"""Smooth shaped networks without weights: given V_{l-1}, the rows of z_l are i.i.d. N(0, V_{l-1}), so V_l is a chain.

The state is ln V^aa, the gap 1 - rho and which inputs have exploded. Features are divided by sqrt(V^aa) before their
squares are summed, so that neither a norm that vanishes nor one that grows leaves the range of float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.numerics.activations import SmoothActivation
from limitbench.numerics.random import Stream

#: An input has exploded once its V exceeds this.
EXPLODED = 1e4
#: Below this many s, phi_s is the identity to 1e-8, and differences like tanh(x + b) - tanh b are rounding noise.
_LINEAR = 1e-8


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
    """ln V_d^aa, ln(1 - rho_d) (None for one input, `rho0` None) and whether V^aa has exceeded 1e4 up to layer d.

    z_1 has rows N(0, V_0) with V_0^aa = `norm0`; V_l = (c/n) phi_s(z_l)' phi_s(z_l). Values of an exploded input
    have no meaning. Cost: n m normals and calls of phi a layer and network, float64.
    """
    device = stream.device
    inputs = 1 if rho0 is None else 2
    constant = math.log(activation.normaliser(s) / width)
    log_norm = torch.full((inputs, batch), math.log(norm0), dtype=torch.float64, device=device)
    gap = torch.full((batch,), 0.0 if rho0 is None else 1.0 - rho0, dtype=torch.float64, device=device)
    exploded = log_norm > math.log(EXPLODED)
    normals = torch.empty(inputs, batch, width, device=device)
    z = torch.empty(inputs, batch, width, dtype=torch.float64, device=device)
    norms, gaps, flags = [], [], []
    with torch.inference_mode():
        for depth in range(1, depths[-1] + 1):
            z.copy_(stream.normal_(normals))
            if inputs == 2:
                correlate(z, gap)
            size = ((log_norm / 2.0).exp() / s).clamp_min(_LINEAR)[:, :, None]
            # phi_s(sqrt(V) z)/sqrt(V) with s taken out: phi(size z)/size
            features = activation.function(z.mul_(size)).div_(size)
            norm = torch.linalg.vector_norm(features, dim=2)
            log_norm = log_norm + 2.0 * norm.log() + constant
            if inputs == 2:
                features /= norm[:, :, None]
                gap = (torch.linalg.vector_norm(features[0] - features[1], dim=1) ** 2 / 2.0).clamp_max(2.0)
            exploded = exploded | (log_norm > math.log(EXPLODED))
            # an exploded input goes on from norm 1: it must not overflow, and is never looked at again
            log_norm = log_norm.masked_fill(exploded, 0.0)
            if depth in depths:
                norms.append(log_norm.mT)
                gaps.append(gap.log())
                flags.append(exploded.mT)
    return torch.stack(norms, dim=1), torch.stack(gaps, dim=1) if inputs == 2 else None, torch.stack(flags, dim=1)


def correlate(z: Float[Tensor, "2 batch width"], gap: Float[Tensor, " batch"]) -> None:
    """Give independent standard normals z_1, z_2 the correlation 1 - gap, in place."""
    z[1].mul_((gap * (2.0 - gap)).sqrt()[:, None]).addcmul_(z[0], (1.0 - gap)[:, None])
