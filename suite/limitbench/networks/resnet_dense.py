"""Residual networks with real weight matrices: the oracle of the sampler without weights, and any other ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.residual import Columns, Recorded, ResidualBlock, rescale
from limitbench.networks.weights import WeightStream
from limitbench.numerics.random import Stream


@torch.inference_mode()
def sample_layers(
    block: ResidualBlock,
    root: Float[Tensor, "rank inputs"],
    *,
    weights: str,
    jacobian: bool,
    outputs: int,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    gradient: bool = False,
) -> Iterator[Recorded]:
    """Layer 0 and the layers `depths`, as `resnet_exact.sample_layers`; n^2 variates a block and network.

    Gaussian weights: z_0 = W_0 root. Others: n_in = max(n, rank) and inputs in random directions. For `pytorch` every
    product n^{-1/2} W x is the layer W x + b, and the tangent's W x. With `gradient` the whole matrix J = d z_l / d z_0
    is multiplied up, n^3 a block, and one v serves all layers.
    """
    device, inputs, n = stream.device, root.shape[1], block.width
    gaussian = weights == "gaussian"
    n_in = len(root) if gaussian else max(n, len(root))
    matrices = WeightStream(weights, stream, batch * n * max(n, n_in, outputs))
    scale = n**-0.5 if matrices.scaled else 1.0

    readout, readout_bias = matrices.matrices(batch, outputs, n).clone(), matrices.biases(batch, outputs, n)
    root = root.to(device)
    x = math.sqrt(n_in) * root.expand(batch, -1, -1) if gaussian else matrices.inputs(root, batch, n_in)
    z = matrices.product(n, x) * (n_in**-0.5 if matrices.scaled else 1.0)
    bias = matrices.biases(batch, n, n_in)
    z = z if bias is None else z + bias
    if jacobian:
        direction = stream.normal_(torch.empty(batch, n, 1, device=device)).double()
        z = torch.cat([z, direction], dim=2)
    log_scale = torch.zeros(z.shape[2], batch, dtype=torch.float64, device=device)
    jacobians = _Jacobians(batch, n, stream) if gradient else None
    signs = _signs(batch, n, stream) if block.balanced else None

    def recorded(layer: int) -> Recorded:
        out = scale * readout @ z[:, :, :1]
        if readout_bias is not None:
            out = out + readout_bias * torch.exp(-log_scale[0])[:, None, None]
        log_output = (out**2).sum(dim=(1, 2)).log() + 2.0 * log_scale[0]
        back = None if jacobians is None else jacobians.log_gradient()
        return Recorded(layer, z.permute(2, 0, 1), log_scale, signs, log_output, back)

    yield recorded(0)
    for layer in range(1, depths[-1] + 1):
        y = z if signs is None else signs[:, :, None] * z
        features = block.slope_plus * y.clamp_min(0.0) + block.slope_minus * y.clamp_max(0.0)
        if jacobian:
            features[:, :, -1] = torch.where(y[:, :, 0] > 0.0, block.slope_plus, block.slope_minus) * y[:, :, -1]
        if jacobians is None:
            step = scale * matrices.product(n, features)
        else:
            weights_now = matrices.matrices(batch, n, n)
            step = scale * (weights_now @ features)
            slopes = torch.where(y[:, :, :1] > 0.0, block.slope_plus, block.slope_minus)
            slopes = slopes if signs is None else slopes * signs[:, :, None]
            jacobians.multiply(block.skip, block.branch * scale * weights_now, slopes)
        bias = matrices.biases(batch, n, n)
        if bias is not None:
            step[:, :, :inputs] += bias * torch.exp(-log_scale[:inputs]).mT[:, None, :]
        z = block.skip * z + block.branch * step
        rescale(z.permute(2, 0, 1), log_scale)
        if block.balanced:
            signs = _signs(batch, n, stream)
        if layer in depths:
            yield recorded(layer)


class _Jacobians:
    """J = d z_l / d z_0 at column 1 of every network, as real matrices up to a scale, and J'v for one Gaussian v."""

    def __init__(self, batch: int, width: int, stream: Stream) -> None:
        device = stream.device
        self._direction = stream.normal_(torch.empty(batch, width, 1, device=device)).double()
        self._product = torch.eye(width, dtype=torch.float64, device=device).repeat(batch, 1, 1)
        self._log_scale = torch.zeros(1, batch, dtype=torch.float64, device=device)

    def multiply(self, skip: float, branch: Float[Tensor, "batch n n"], slopes: Float[Tensor, "batch n 1"]) -> None:
        """J -> (skip + branch diag(slopes)) J."""
        self._product = skip * self._product + branch @ (slopes * self._product)
        columns: Columns = self._product.view(1, len(slopes), -1)
        rescale(columns, self._log_scale)

    def log_gradient(self) -> Float[Tensor, " batch"]:
        """ln(|J'v|^2 / |v|^2)."""
        squares = [(x**2).sum(dim=(1, 2)).log() for x in (self._product.mT @ self._direction, self._direction)]
        return squares[0] - squares[1] + 2.0 * self._log_scale[0]


def _signs(batch: int, width: int, stream: Stream) -> Float[Tensor, "batch width"]:
    """Independent signs +-1, one for each unit of each network."""
    return torch.randint(0, 2, (batch, width), generator=stream.torch, device=stream.device).double() * 2.0 - 1.0
