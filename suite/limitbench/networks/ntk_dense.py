"""Neural tangent kernels of networks with real weight matrices, by automatic differentiation: the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from limitbench.networks.ntk_backward import Kernel
from limitbench.networks.shaping import ShapedLayer, activate
from limitbench.numerics.random import Stream


def sample_kernels(
    layers: Sequence[ShapedLayer],
    inputs: Float64[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
) -> list[Kernel]:
    """K of `batch` networks cut off after each of `depths` hidden layers, with a readout of its own for each.

    n_l n_{l-1} normals a layer, float64 products. Squares stay inside the range of floats while their logs are within
    +-700. Memory: 16 bytes a weight.
    """
    rank, points = inputs.shape
    features = [inputs.to(stream.device).expand(batch, rank, points)]
    weights: list[Tensor] = []
    scale, kernels = 1.0, []
    for depth, layer in enumerate(layers[: depths[-1]], start=1):
        before = features[-1]
        drawn = stream.normal_(torch.empty(batch, layer.width, before.shape[1], device=stream.device)).double()
        weights.append(drawn.requires_grad_())
        features.append(activate(scale * weights[-1] @ before, layer))
        scale = math.sqrt(layer.constant / layer.width)
        if depth in depths:
            readout = stream.another("readout", depth).normal_(torch.empty(batch, 1, layer.width, device=stream.device))
            last = readout.double().requires_grad_()
            outputs = (scale * last @ features[-1]).sum((0, 1))
            gradients = [torch.autograd.grad(value, [*weights, last], retain_graph=True) for value in outputs]
            kernels.append(_kernel(gradients))
    return kernels


def _kernel(gradients: Sequence[Sequence[Float64[Tensor, "batch _ _"]]]) -> Kernel:
    """Norms and cosine of the gradients of all inputs, all matrices of each put together."""
    flat = torch.stack([torch.cat([matrix.flatten(1) for matrix in gradient], dim=1) for gradient in gradients])
    norms = torch.linalg.vector_norm(flat, dim=2)
    cosine = ((flat[0] * flat[-1]).sum(1) / norms[0] / norms[-1]).clamp(-1.0, 1.0)
    return Kernel(2.0 * norms.log(), cosine.masked_fill((norms == 0.0).any(0), math.nan))
