"""A shaped ReLU network with real weight matrices: the oracle of the samplers that draw no weights.

Weights are float32 normals, products are float64; features are brought back to unit norm at every layer and the logs of
their norms added up, so that no depth overflows or underflows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.networks.shaped_gram import correlation_matrix
from limitbench.networks.shaping import ShapedLayer, activate


def sample_gram(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch depths inputs"], Float[Tensor, "batch depths inputs inputs"]]:
    """ln(V_d^aa / V_0^aa) and the correlations of V_d, as `shaped_gram.sample_gram`; n^2 normals a layer."""
    norms, correlations = [], []
    for log_norm, features, alive in _forward(layers, root, depths, batch, generator):
        norms.append(log_norm)
        correlations.append(correlation_matrix(features.mT, alive))
    return torch.stack(norms, dim=1), torch.stack(correlations, dim=1)


def sample_pair(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank 2"],
    *,
    depths: Sequence[int],
    batch: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch depths"], Float[Tensor, "batch depths"]]:
    """ln(1 - rho_d) = ln(|f_1 - f_2|^2 / 2) for unit features and ln(V_d^11 / V_0^11), as `shaped_pair.sample_pair`.

    The log gap is resolved to about 1e-28; NaN where an input is dead.
    """
    gaps, norms = [], []
    for log_norm, features, alive in _forward(layers, root, depths, batch, generator):
        gap = ((features[:, 0] - features[:, 1]) ** 2).sum(dim=1) / 2.0
        gaps.append(torch.where(alive.all(dim=1), gap.log().clamp_max(math.log(2.0)), math.nan))
        norms.append(log_norm[:, 0])
    return torch.stack(gaps, dim=1), torch.stack(norms, dim=1)


def sample_norm(
    layers: Sequence[ShapedLayer], *, depths: Sequence[int], batch: int, generator: torch.Generator
) -> Float[Tensor, "batch depths"]:
    """ln(V_d / V_0) of one input."""
    root = torch.ones(1, 1, dtype=torch.float64)
    norms = [log_norm[:, 0] for log_norm, _, _ in _forward(layers, root, depths, batch, generator)]
    return torch.stack(norms, dim=1)


@torch.inference_mode()
def _forward(
    layers: Sequence[ShapedLayer],
    root: Float[Tensor, "rank inputs"],
    depths: Sequence[int],
    batch: int,
    generator: torch.Generator,
) -> Iterator[tuple[Float[Tensor, "batch inputs"], Float[Tensor, "batch inputs width"], Bool[Tensor, "batch inputs"]]]:
    """Log norms, unit features and which inputs are alive, at each of `depths`."""
    device = generator.device
    fan_in = [root.shape[0], *(layer.width for layer in layers)]
    largest = max(n * layer.width for n, layer in zip(fan_in, layers, strict=False))
    drawn = torch.empty(batch * largest, device=device)
    weights = torch.empty(batch * largest, dtype=torch.float64, device=device)
    features = root.mT.to(device).expand(batch, -1, -1)
    log_norm = torch.zeros(batch, root.shape[1], dtype=torch.float64, device=device)
    for depth, layer in enumerate(layers[: depths[-1]], start=1):
        shape = (batch, layer.width, fan_in[depth - 1])
        size = math.prod(shape)
        matrix = weights[:size].copy_(drawn[:size].normal_(generator=generator)).view(shape)
        # one product per input, so that equal features stay equal to the last bit
        features = torch.stack([(matrix @ column[:, :, None])[:, :, 0] for column in features.unbind(dim=1)], dim=1)
        features = activate(features, layer)
        norm_sq = (features**2).sum(dim=2)
        alive = norm_sq > 0.0
        log_norm = log_norm + norm_sq.log() + math.log(layer.constant / layer.width)
        features = features / torch.where(alive, norm_sq, 1.0).sqrt()[:, :, None]
        if depth in depths:
            yield log_norm, features, alive
