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

from limitbench.networks.smooth_single import IN_PLACE
from limitbench.numerics.activations import ACTIVATIONS, SmoothActivation
from limitbench.numerics.random import Stream

#: An input has exploded once its V exceeds this.
EXPLODED = 1e4
#: Below this many s, phi_s is the identity to 1e-8, and differences like tanh(x + b) - tanh b are rounding noise.
_LINEAR = 1e-8
#: Smallest gap that differences of float32 features give to 1e-5 relative a layer.
_RESOLVED = 1e-5


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
    have no meaning. Cost: n m normals and calls of phi a layer and network. Built-in activations are computed in
    float32 while every gap of the batch is resolved there, and in float64 from the first that is not; others, which
    may lose in float32 what they keep in float64, in float64.
    """
    device = stream.device
    inputs = 1 if rho0 is None else 2
    constant = math.log(activation.normaliser(s) / width)
    log_norm = torch.full((inputs, batch), math.log(norm0), dtype=torch.float64, device=device)
    gap = torch.full((batch,), 0.0 if rho0 is None else 1.0 - rho0, dtype=torch.float64, device=device)
    exploded = log_norm > math.log(EXPLODED)
    normals = torch.empty(inputs, batch, width, device=device)
    scratch = torch.empty(2, *normals.shape, device=device)
    in_place = IN_PLACE[activation.name] if ACTIVATIONS.get(activation.name) == activation else None
    norms, gaps, flags = [], [], []
    with torch.inference_mode():
        for depth in range(1, depths[-1] + 1):
            z, size = stream.normal_(normals), ((log_norm / 2.0).exp() / s).clamp_min(_LINEAR)
            single = in_place is not None and (rho0 in (None, 1.0) or gap.amin().item() > _RESOLVED)
            z = z if single else z.double()
            if inputs == 2:
                correlate(z, gap)
            # phi_s(sqrt(V) z)/sqrt(V) is phi(size z)/size
            z.mul_(size.to(z.dtype)[:, :, None])
            if in_place is not None and single:
                in_place(z, scratch)
            else:
                z = activation.function(z)
            norm = torch.linalg.vector_norm(z, dim=2).double()
            log_norm = (norm / size).log_().mul_(2.0).add_(log_norm).add_(constant)
            if inputs == 2:
                difference = z[1].mul_((norm[0] / norm[1]).to(z.dtype)[:, None]).sub_(z[0])
                gap = torch.linalg.vector_norm(difference, dim=1).double().div_(norm[0]).square_().div_(2.0)
                gap.clamp_max_(2.0)
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
    z[1].mul_((gap * (2.0 - gap)).sqrt().to(z.dtype)[:, None]).addcmul_(z[0], (1.0 - gap).to(z.dtype)[:, None])
