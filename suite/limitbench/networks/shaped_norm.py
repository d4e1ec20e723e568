"""One input through a shaped ReLU network: its squared norm is a product of independent sums of two chi-squares.

Of the n pre-activations a Binomial(n, 1/2) number K is positive, and their squares are chi-squares whatever the signs:
V_l = V_{l-1} (c / n) (s_+^2 chi2_K + s_-^2 chi2_{n-K}), O(1) a layer at any width (arXiv 2206.02768, section 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.chi_square import chi_square
from limitbench.networks.shaping import ShapedLayer
from limitbench.numerics.random import Stream


def sample_norm(
    layers: Sequence[ShapedLayer], *, depths: Sequence[int], batch: int, stream: Stream
) -> Float[Tensor, "batch depths"]:
    """ln(V_d / V_0) of `batch` networks, one column per depth; -inf from the layer at which every unit is off."""
    half = torch.full((batch,), 0.5, dtype=torch.float64, device=stream.device)
    log_norm = torch.zeros_like(half)
    norms = []
    with torch.inference_mode():
        for depth, layer in enumerate(layers[: depths[-1]], start=1):
            positive = torch.binomial(torch.full_like(half, layer.width), half, generator=stream.torch)
            log_norm = (
                log_norm
                + math.log(layer.constant / layer.width)
                + torch.log(
                    layer.slope_plus**2 * chi_square(positive, stream)
                    + layer.slope_minus**2 * chi_square(layer.width - positive, stream)
                )
            )
            if depth in depths:
                norms.append(log_norm)
    return torch.stack(norms, dim=1)
