"""Neural tangent kernels from a forward pass: gradients go back in O(1) variates a layer and network at any width.

Let delta_l = df/dz_l, one column an input. In the notation of `ntk_sectors`, layer l gets back from delta = delta_{l+1}

    Y = W'delta = B C'delta + (1 - B B') Xi R,   Xi fresh N(0, 1),   R'R = delta'delta,

exactly in law (`conditioned`), and delta_l is Y times sqrt(c/n) phi'(z_l), unit by unit. Write Xi_s = Q_s N_s + a rest
orthogonal to Q_s in sector s: N_s has independent N(0, 1) entries, and the Gram matrix U_s of the rest is Wishart with
k_s - m degrees of freedom. So

    Y_s = Q_s H_s + a rest of Gram matrix R'U_s R,   H_s = P_s (C'delta) + (N_s - P_s X) R,   X = sum_s P_s'N_s,

and C_s'Y_s = T_s'H_s: the 2 m x m numbers [C'delta; R] are all there is to carry. The kernel has one term for each
weight matrix, K_ab = sum_l V_l^ab <delta_{l+1}^a, delta_{l+1}^b>, l = 0, ..., d, with delta_{d+1} = 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from limitbench.networks.chi_square import chi_square
from limitbench.networks.ntk_sectors import Forward, Seen
from limitbench.numerics.random import Stream

#: Layers times networks whose variates are drawn at once.
_AT_ONCE = 2**12

Values = Float64[Tensor, " batch"]


class Kernel(NamedTuple):
    """K of many networks in a form that no depth overflows; a dead input has log diagonal -inf and cosine NaN."""

    log_diagonal: Float64[Tensor, "inputs batch"]
    cosine: Values


@torch.inference_mode()
def kernel(forward: Forward, depth: int, stream: Stream) -> Kernel:
    """K of the networks that `forward` has passed, cut off after `depth` hidden layers and read out by one output.

    Cost: for two inputs 15 to 20 normals and 6 to 8 chi-squares a layer and network, and small matrices in float64.
    """
    _, inputs, batch = forward.log_norms.shape
    cosine = forward.log_norms.new_ones(batch)
    root = _root(cosine, inputs)
    carried = stream.normal_(torch.empty(inputs, 1, batch, device=stream.device)).double().expand(-1, inputs, -1)
    log_squares = torch.zeros(depth + 1, inputs, batch, dtype=torch.float64, device=stream.device)
    cosines = torch.ones(depth + 1, batch, dtype=torch.float64, device=stream.device)
    step = max(_AT_ONCE // batch, 1)
    for top in range(depth, 0, -step):
        chosen = range(top, max(top - step, 0), -1)
        seen = forward.seen(chosen)
        maps, rests = _maps(seen, stream), _rests(seen, stream)
        slopes = seen.slopes.repeat_interleave(inputs, 1)[:, :, :, None]
        for index, layer in enumerate(chosen):
            rows = (maps[index][:, :, None] * torch.cat([carried, root])[:, None]).sum(0)
            delta = rows.mul_(slopes[index])
            squares = delta.square().sum(0)
            squares[0] += rests[index, 0]
            if inputs == 2:
                _, along, _, across = root.flatten(0, 1)
                mixed, second = rests[index, 1:3], rests[index, 3:]
                squares[1].addcmul_(along.square(), second[0]).addcmul_(across.square(), second[2])
                squares[1].addcmul_(along * across, second[1], value=2.0)
            norms = squares.sqrt()
            carried = (seen.drawn[index].flatten(0, 1)[:, :, None] * delta[:, None]).sum(0).div_(norms)
            if inputs == 2:
                product = (delta[:, 0] * delta[:, 1]).sum(0).addcmul_(along, mixed[0]).addcmul_(across, mixed[1])
                cosine = product.div_(norms[0]).div_(norms[1]).clamp_(-1.0, 1.0)
                root = _root(cosine, inputs)
                cosines[layer - 1] = cosine
            log_squares[layer - 1] = squares
    log_squares[:-1] = log_squares[:-1].log().flip(0).cumsum(0).flip(0)
    return _total(forward, log_squares, cosines)


def _total(
    forward: Forward, log_gradients: Float64[Tensor, "depths inputs batch"], cosines: Float64[Tensor, "depths batch"]
) -> Kernel:
    """The sum over weight matrices: V_l times the Gram matrix of the gradients behind it."""
    terms = log_gradients + forward.log_norms[: len(log_gradients)]
    dead = forward.log_norms[len(log_gradients) - 1].isneginf()
    diagonal = terms.logsumexp(0).masked_fill(dead, -math.inf)
    mixed = (terms - diagonal).mean(1).mul_(len(diagonal) / 2).exp_()
    cosine = (forward.cosines[: len(cosines)] * cosines * mixed).sum(0)
    return Kernel(diagonal, cosine.clamp_(-1.0, 1.0).masked_fill(dead.any(0), math.nan))


def _root(cosine: Values, inputs: int) -> Float64[Tensor, "inputs inputs batch"]:
    """R of gradients of norm 1."""
    one = torch.ones_like(cosine)
    if inputs == 1:
        return one[None, None]
    rest = (1.0 - cosine.square()).sqrt_()
    return torch.stack([one, cosine, torch.zeros_like(one), rest]).view(2, 2, -1)


def _maps(seen: Seen, stream: Stream) -> Float64[Tensor, "layers carried rows batch"]:
    """[P_s, N_s - P_s X], the rows of H_s from [C'delta; R], for all sectors."""
    layers, sectors, inputs, _, batch = seen.basis.shape
    normals = torch.empty(layers, sectors, inputs, inputs, batch, device=stream.device)
    maps = seen.basis.new_empty(layers, 2, inputs, sectors, inputs, batch)
    basis, fresh = maps.unbind(1)  # columns before sectors and rows
    basis.copy_(seen.basis.permute(0, 3, 1, 2, 4))
    fresh.copy_(stream.normal_(normals).permute(0, 3, 1, 2, 4))
    for row in range(inputs):
        fresh[:, :, :, row] *= seen.counts[:, None] > row
    projected = (basis[:, :, None] * fresh[:, None]).sum((3, 4))
    for column in range(inputs):
        fresh.sub_(basis[:, column, None] * projected[:, column, :, None, None])
    return maps.flatten(3, 4).flatten(1, 2)


def _rests(seen: Seen, stream: Stream) -> Float64[Tensor, "layers numbers batch"]:
    """The sums of s_a s_b U_s over sectors that R'U_s R needs.

    Entry 11 of U for inputs (1, 1); entries 11 and 12 for (1, 2); entries 11, 12 and 22 for (2, 2).
    """
    _, sectors, inputs, _, batch = seen.basis.shape
    freedom = seen.counts[:, :, None] - inputs - torch.arange(inputs, device=stream.device)[:, None]
    chi = chi_square(freedom.clamp_min_(0.0), stream)
    first = seen.slopes[:, :, 0, None]
    if inputs == 1:
        return (first**2 * chi[:, :, 0]).sum(1, keepdim=True)
    second = seen.slopes[:, :, 1, None]
    normals = stream.normal_(torch.empty(len(chi), sectors, batch, device=stream.device)).double()
    normals *= seen.counts > 2.0
    u_11, u_12, u_22 = chi[:, :, 0], chi[:, :, 0].sqrt().mul_(normals), chi[:, :, 1].add_(normals.square_())
    pairs = [
        (first**2, u_11),
        (first * second, u_11),
        (first * second, u_12),
        (second**2, u_11),
        (second**2, u_12),
        (second**2, u_22),
    ]
    return torch.stack([(weight * entry).sum(1) for weight, entry in pairs], dim=1)
