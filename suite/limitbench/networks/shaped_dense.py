"""A shaped ReLU network with real weight matrices: the oracle of the samplers that draw no weights.

Weights are float32 variates, products are float64; features are brought back to unit norm at every layer and the logs
of their norms added up, so that no depth overflows or underflows (biases keep the features of `pytorch` from both).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.networks.shaped_gram import correlation_matrix
from limitbench.networks.shaping import ShapedLayer, activate
from limitbench.networks.weights import WeightStream
from limitbench.numerics.random import Stream


def sample_gram(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    weights: str = "gaussian",
) -> tuple[Float[Tensor, "batch depths inputs"], Float[Tensor, "batch depths inputs inputs"]]:
    """ln(V_d^aa / V_0^aa) and the correlations of V_d, as `shaped_gram.sample_gram`; n^2 normals a layer."""
    norms, correlations = [], []
    for log_norm, features, alive in _forward(layers, root, depths, batch, stream, weights):
        norms.append(log_norm)
        correlations.append(correlation_matrix(features.mT, alive))
    return torch.stack(norms, dim=1), torch.stack(correlations, dim=1)


def sample_pair(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank 2"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    weights: str = "gaussian",
) -> tuple[Float[Tensor, "batch depths"], Float[Tensor, "batch depths"]]:
    """ln(1 - rho_d) = ln(|f_1 - f_2|^2 / 2) for unit features and ln(V_d^11 / V_0^11), as `shaped_pair.sample_pair`.

    The log gap is resolved to about 1e-28; NaN where an input is dead.
    """
    gaps, norms = [], []
    for log_norm, features, alive in _forward(layers, root, depths, batch, stream, weights):
        gap = ((features[:, 0] - features[:, 1]) ** 2).sum(dim=1) / 2.0
        gaps.append(torch.where(alive.all(dim=1), gap.log().clamp_max(math.log(2.0)), math.nan))
        norms.append(log_norm[:, 0])
    return torch.stack(gaps, dim=1), torch.stack(norms, dim=1)


def sample_norm(
    layers: Sequence[ShapedLayer],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    weights: str = "gaussian",
) -> Float[Tensor, "batch depths"]:
    """ln(V_d / V_0) of one input."""
    root = torch.ones(1, 1, dtype=torch.float64)
    norms = [log_norm[:, 0] for log_norm, _, _ in _forward(layers, root, depths, batch, stream, weights)]
    return torch.stack(norms, dim=1)


@torch.inference_mode()
def _forward(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank inputs"],
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    weights: str,
) -> Iterator[tuple[Float[Tensor, "batch inputs"], Float[Tensor, "batch inputs width"], Bool[Tensor, "batch inputs"]]]:
    """Log norms, unit features and which inputs are alive, at each of `depths`.

    The inputs of Gaussian weights have as many entries as `root` has rows; those of others n_1, in random directions.
    """
    device, rank = stream.device, root.shape[0]
    inputs = rank if weights == "gaussian" else max(layers[0].width, rank)
    fan_in = [inputs, *(layer.width for layer in layers)]
    matrices = WeightStream(
        weights, stream, batch * max(n * layer.width for n, layer in zip(fan_in, layers, strict=False))
    )
    root = root.to(device)
    features = root.mT.expand(batch, -1, -1)
    if weights != "gaussian":
        features = matrices.inputs(root, batch, inputs).mT / (inputs**0.5 if matrices.scaled else 1.0)
    log_norm = torch.zeros(batch, root.shape[1], dtype=torch.float64, device=device)
    for depth, layer in enumerate(layers[: depths[-1]], start=1):
        features = matrices.product(layer.width, features.mT, apart=True).mT.contiguous()
        bias = matrices.biases(batch, layer.width, fan_in[depth - 1])
        features = activate(features if bias is None else features + bias.mT, layer)
        norm_sq = (features**2).sum(dim=2)
        alive = norm_sq > 0.0
        # features that are not brought back to unit norm hold all of it
        log_norm = (log_norm if matrices.scaled else 0.0) + norm_sq.log() + math.log(layer.constant / layer.width)
        unit = features / torch.where(alive, norm_sq, 1.0).sqrt()[:, :, None]
        features = unit if matrices.scaled else features
        if depth in depths:
            yield log_norm, unit, alive
