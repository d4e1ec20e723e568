"""Norms, Jacobians and gradients of an MLP with real weight matrices, its gradients by automatic differentiation.

The oracle of the sampler without weights, and the only way for weights that are not Gaussian.
"""

from __future__ import annotations

import math

import torch

from limitbench.networks.relu_gradients_layers import Gradients, MaskedLayers
from limitbench.networks.weights import WeightStream
from limitbench.numerics.random import Stream


def sample_gradients(layers: MaskedLayers, *, weights: str, batch: int, stream: Stream) -> Gradients:
    """All layers of `batch` networks, as `relu_gradients_exact.sample_gradients`: n_l n_{l-1} variates a layer.

    The input is sqrt(n_0) e_1 for Gaussian weights and has a random direction for others. Squares stay inside the range
    of floats while their logs are within +-700.
    """
    device, widths = stream.device, layers.widths
    sizes = (widths[0], *widths)
    matrices = WeightStream(weights, stream, batch * max(a * b for a, b in zip(sizes, widths, strict=False)))
    x = torch.zeros(batch, sizes[0], dtype=torch.float64, device=device)
    if weights == "gaussian":
        x[:, 0] = math.sqrt(sizes[0])
    else:
        root = torch.ones(1, 1, dtype=torch.float64, device=device)
        x = matrices.inputs(root, batch, sizes[0])[:, :, 0]
    tangent = stream.normal_(torch.empty(batch, sizes[0], device=device)).double()

    def log_square(vector: torch.Tensor) -> torch.Tensor:
        return (vector.detach() ** 2).flatten(1).sum(dim=1).log()

    start = log_square(tangent) - math.log(sizes[0])
    used, pre_activations, norms, jacobians, alive = [], [], [], [], []
    for before, units in zip(sizes, widths, strict=False):
        drawn = matrices.matrices(batch, units, before) * layers.scale(before)
        used.append(drawn.requires_grad_())
        z = torch.einsum("bij,bj->bi", used[-1], x)
        mask = layers.mask(z.detach(), stream)
        x = z.relu() * mask if layers.relu else z * mask
        tangent = mask * torch.einsum("bij,bj->bi", drawn.detach(), tangent)
        pre_activations.append(z)
        norms.append(log_square(x) - math.log(units))
        jacobians.append(log_square(tangent) - math.log(units) - start)
        alive.append(mask.any(dim=1))
    readout = matrices.matrices(batch, 1, widths[-1])[:, 0] * layers.scale(widths[-1])
    energy = (readout * x).sum()
    found = torch.autograd.grad(energy, [*pre_activations, *used])
    depth = len(widths)
    gradients = [log_square(gradient) for gradient in found[:depth]]
    of_weights = [log_square(g) - math.log(before) for g, before in zip(found[depth:], sizes, strict=False)]
    columns = (norms, jacobians, gradients, of_weights, alive)
    return Gradients(*(torch.stack(values, dim=1) for values in columns))
