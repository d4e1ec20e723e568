"""Norms, Jacobians and gradients of an MLP without its weights: each matrix is used forward and backward only.

Forward on the input and on a tangent, backward on the gradient: `conditioned` draws what each of the three sees of a
matrix, exactly in law and jointly, at O(n) a layer. Norms are kept apart as powers of two, so that no depth overflows.

For one input the marginal laws need no vectors at all. Flip the sign of every unit of layer l, its row of W_l and its
column of W_{l+1}, by fair coins S_l: Gaussian weights stay Gaussian and independent of the coins, while the units that
are on, 1{S_l z_l > 0}, become fair coins independent of all weights. So |x_l|, |J_l u| and |delta_l| of a ReLU network
have, jointly, the law of a linear network whose units are on with probability p whatever its weights are. There both
n_{l-1}/n_l |x_l|^2/|x_{l-1}|^2 and |delta_l|^2/|delta_{l+1}|^2 are chi2_K/(p n_l), K ~ Binomial(n_l, p), independent
over l, and |x_{l-1}| and |delta_l| are independent: they share neither weights nor coins. The joint law of all layers
is no product: forward and backward factors of a layer share K, and those of two layers the matrix between them.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks import conditioned
from limitbench.networks.relu_gradients_layers import Gradients, MaskedLayers
from limitbench.networks.residual import rescale
from limitbench.numerics.random import Stream


@torch.inference_mode()
def sample_gradients(layers: MaskedLayers, *, batch: int, stream: Stream) -> Gradients:
    """All layers of `batch` networks. Cost: three normals a unit and network, memory 20 bytes a unit and network.

    Float32 with float64 scales: 1e-5 and 3e-8 a layer in logs.

    The input is sqrt(n_0) e_1 without loss of generality; the tangent J u is the second column.
    """

    def normals(columns: int, units: int) -> Float[Tensor, "columns batch units"]:
        return stream.normal_(torch.empty(columns, batch, units, device=stream.device))

    before = layers.widths[0]
    features = normals(2, before)
    features[0] = 0.0
    features[0, :, 0] = math.sqrt(before)
    log_scale = torch.zeros(2, batch, dtype=torch.float64, device=stream.device)
    start = _log_squares(features, log_scale)
    tape, forward, masks = [], [], []
    for units in layers.widths:
        seen = conditioned.forward(features, torch.empty(2, batch, units, device=stream.device), stream)
        features = seen.product(2)
        mask = layers.mask(features[0], stream)
        features.mul_(mask * layers.scale(before))
        rescale(features, log_scale)
        tape.append((seen, layers.scale(before)))
        forward.append(_log_squares(features, log_scale) - start)
        masks.append(mask)
        before = units

    gradient = normals(1, before).mul_(layers.scale(before))
    log_scale = torch.zeros_like(log_scale[:1])
    backward = []
    for (seen, scale), mask in zip(reversed(tape), reversed(masks), strict=True):
        gradient.mul_(mask)
        rescale(gradient, log_scale)
        units = gradient.shape[2]
        backward.append(_log_squares(gradient, log_scale)[0] + math.log(units))
        gradient = conditioned.backward(seen, gradient, stream).mul_(scale)

    norm, jacobian = torch.stack(forward, dim=2)
    log_gradient = torch.stack(backward[::-1], dim=1)
    below = torch.cat([torch.zeros_like(norm[:, :1]), norm[:, :-1]], dim=1)
    alive = torch.stack([mask.amax(dim=1) > 0.0 for mask in masks], dim=1)
    return Gradients(norm, jacobian, log_gradient, below + log_gradient, alive)


def _log_squares(
    vectors: Float[Tensor, "columns batch width"], log_scale: Float[Tensor, "columns batch"]
) -> Float[Tensor, "columns batch"]:
    """ln(|v|^2/n) of every column."""
    logs: Tensor = 2.0 * (torch.linalg.vector_norm(vectors, dim=2).double().log() + log_scale)
    return logs - math.log(vectors.shape[2])
