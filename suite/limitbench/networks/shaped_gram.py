"""Any number of inputs through a shaped ReLU network without weights: the m x m matrix V_l is a Markov chain.

Given the features F of a layer, the rows of the next pre-activations are i.i.d. N(0, F'F). They are drawn as G R with
R from the QR decomposition of F, which needs no positive definite F'F: more inputs than units, duplicated inputs and
dead features are ordinary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.networks.shaping import ShapedLayer, activate
from limitbench.numerics.random import Stream


def sample_gram(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
) -> tuple[Float[Tensor, "batch depths inputs"], Float[Tensor, "batch depths inputs inputs"]]:
    """ln(V_d^aa / V_0^aa) and the correlations of V_d, where root' root is the correlation matrix of V_0.

    Cost: n min(n, m) normals and O(n m^2) operations a layer and network, float64. A dead input has ln V = -inf and
    correlations NaN from there on.
    """
    inputs = root.shape[1]
    root = root.to(stream.device).expand(batch, *root.shape)
    log_norm = torch.zeros(batch, inputs, dtype=torch.float64, device=stream.device)
    norms, correlations = [], []
    with torch.inference_mode():
        for depth, layer in enumerate(layers[: depths[-1]], start=1):
            normals = torch.empty(batch, layer.width, root.shape[1], device=stream.device)
            features = activate(stream.normal_(normals).double() @ root, layer)
            norm_sq = (features**2).sum(dim=1)
            log_norm = log_norm + torch.log(norm_sq) + math.log(layer.constant / layer.width)
            features = features / torch.where(norm_sq > 0.0, norm_sq, 1.0).sqrt()[:, None, :]
            root = torch.linalg.qr(features, mode="r").R
            if depth in depths:
                norms.append(log_norm)
                correlations.append(correlation_matrix(features, norm_sq > 0.0))
    return torch.stack(norms, dim=1), torch.stack(correlations, dim=1)


def correlation_matrix(
    unit_features: Float[Tensor, "batch width inputs"], alive: Bool[Tensor, "batch inputs"]
) -> Float[Tensor, "batch inputs inputs"]:
    """F'F of features with unit columns, in [-1, 1] with diagonal 1; NaN where one of the two inputs is dead."""
    correlations = (unit_features.mT @ unit_features).clamp(-1.0, 1.0)
    correlations.diagonal(dim1=1, dim2=2).fill_(1.0)
    return torch.where(alive[:, :, None] & alive[:, None, :], correlations, math.nan)
