"""Residual networks without weights: given the features F of a layer, the rows of W F are independent N(0, F'F).

They are drawn as G R, where R is the triangular factor of F by modified Gram-Schmidt: R'R = F'F to rounding whatever
the rank of F, so that more inputs than units, duplicated inputs and dead features are ordinary. Gradients go back
through the same matrices, which `conditioned` draws from what the forward pass has seen of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks import conditioned
from limitbench.networks.residual import Columns, Recorded, ResidualBlock, Values, log_norms, rescale
from limitbench.numerics.random import Stream

#: Blocks between two changes of scale: a norm changes by a factor near 1 a block.
_RESCALED_EVERY = 16


class _Block(NamedTuple):
    """What the backward pass needs of a block: what the forward pass saw of W, and phi'(sigma * z_1) * sigma."""

    seen: conditioned.Seen
    slopes: Float[Tensor, "batch width"]


@torch.inference_mode()
def sample_layers(
    block: ResidualBlock,
    root: Float[Tensor, "rank inputs"],
    *,
    jacobian: bool,
    outputs: int,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    gradient: bool = False,
) -> Iterator[Recorded]:
    """Layer 0 and the layers `depths` of `batch` networks; with `jacobian` the last column is the tangent J u.

    Cost: n normals and O(n k) operations a block, network and column, k columns in all. Float64, float32 normals.
    With `gradient` every recorded layer d costs d blocks more, and all blocks are kept: 8 (2k + 1) bytes a unit.
    """
    device, inputs, width = stream.device, root.shape[1], block.width
    columns = inputs + jacobian
    drawn = torch.empty(batch, width, device=device)
    chi = stream.normal_(torch.empty(batch, outputs, device=device)).double().square_().sum(1)
    first = stream.normal_(torch.empty(len(root) + jacobian, batch, width, device=device)).double()
    frame = torch.eye(columns, dtype=torch.float64)[-len(first) :]
    frame[: len(root), :inputs] = root
    z = torch.einsum("kc,kbn->cbn", frame.to(device), first).contiguous()
    log_scale = torch.zeros(columns, batch, dtype=torch.float64, device=device)
    signs = _signs(batch, width, stream) if block.balanced else None
    features, normals = torch.empty_like(z), torch.empty_like(z[0])
    tape: list[_Block] = []
    growth = block.growth
    skip, branch = block.skip / math.sqrt(growth), block.branch / math.sqrt(growth * width)

    def recorded(layer: int) -> Recorded:
        state = Recorded(layer, z, log_scale + layer * math.log(growth) / 2.0, signs, chi)
        if gradient:
            back = _log_gradient(tape, skip, branch, z, stream.another("gradient", layer))
            state = state._replace(log_gradient=back + layer * math.log(growth))
        return state._replace(log_output=log_norms(state)[0] + chi.log())

    yield recorded(0)
    for layer in range(1, depths[-1] + 1):
        if gradient:  # the tape keeps those of the block before
            features = torch.empty_like(z)
        _activate(z, signs, block, jacobian, features)
        slopes = _slopes(z, signs, block) if gradient else None
        z.mul_(skip)
        if slopes is not None:
            seen = conditioned.forward(features, torch.empty(z.shape, device=device), stream)
            tape.append(_Block(seen, slopes))
            z.add_(seen.product(columns), alpha=branch)
        for k in range(0 if gradient else columns):
            norm = torch.linalg.vector_norm(features[k], dim=1)
            normals.copy_(stream.normal_(drawn))
            z[k].addcmul_(normals, (branch * norm)[:, None])
            inverse = torch.where(norm > 0.0, 1.0 / norm, 0.0)
            for a in range(k + 1, columns):
                overlap = (features[k] * features[a]).sum(1) * inverse
                features[a].addcmul_(features[k], (overlap * inverse)[:, None], value=-1.0)
                z[a].addcmul_(normals, (branch * overlap)[:, None])
        if layer % _RESCALED_EVERY == 0:
            rescale(z, log_scale)
        if block.balanced:
            signs = _signs(batch, width, stream)
        if layer in depths:
            yield recorded(layer)


def _activate(
    z: Columns, signs: Float[Tensor, "batch width"] | None, block: ResidualBlock, jacobian: bool, out: Columns
) -> None:
    """phi(sigma * z) of the inputs, and phi'(sigma * z_1) * sigma * t of a tangent t in the last column, into `out`."""
    signed = z if signs is None else signs * z
    if jacobian:
        slope = torch.where(signed[0] > 0.0, block.slope_plus, block.slope_minus)
        torch.mul(slope, signed[-1], out=out[-1])
        signed, out = signed[:-1], out[:-1]
    torch.clamp_min(signed, 0.0, out=out)
    if (block.slope_plus, block.slope_minus) != (1.0, 0.0):
        out.mul_(block.slope_plus - block.slope_minus).add_(signed, alpha=block.slope_minus)


def _slopes(
    z: Columns, signs: Float[Tensor, "batch width"] | None, block: ResidualBlock
) -> Float[Tensor, "batch width"]:
    """phi'(sigma * z_1) * sigma, the derivative of column 1's features."""
    if signs is None:
        return torch.where(z[0] > 0.0, block.slope_plus, block.slope_minus).double()
    return torch.where(signs * z[0] > 0.0, block.slope_plus, block.slope_minus) * signs


def _log_gradient(tape: Sequence[_Block], skip: float, branch: float, z: Columns, stream: Stream) -> Values:
    """ln(|J'v|^2 / |v|^2) through the blocks of `tape` for a Gaussian v, from `stream`.

    Every recorded layer has a stream of its own, for v and for what the forward pass has not seen of the matrices, so
    that none alters another; given the forward pass, gradients of different layers are independent draws.
    """
    gradient = stream.normal_(torch.empty(1, *z.shape[1:], device=z.device)).double()
    log_scale = torch.zeros(gradient.shape[:2], dtype=torch.float64, device=z.device)
    start = torch.linalg.vector_norm(gradient[0], dim=1).log()
    for number, (seen, slopes) in enumerate(reversed(tape), start=1):
        back = slopes * conditioned.backward(seen, gradient, stream)
        gradient = skip * gradient + branch * back
        if number % _RESCALED_EVERY == 0:
            rescale(gradient, log_scale)
    log_gradient: Values = 2.0 * (torch.linalg.vector_norm(gradient[0], dim=1).log() + log_scale[0] - start)
    return log_gradient


def _signs(batch: int, width: int, stream: Stream) -> Float[Tensor, "batch width"]:
    """Independent signs +-1, one for each unit of each network: one bit of every byte of random words."""
    size = batch * width
    words = torch.empty(-(-size // 8), dtype=torch.int64, device=stream.device).random_(generator=stream.torch)
    return ((words.view(torch.int8)[:size] & 2) - 1).double().view(batch, width)
