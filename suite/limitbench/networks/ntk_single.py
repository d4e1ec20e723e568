"""One input forward through a shaped ReLU network, for neural tangent kernels: two chi-squares a layer at any width.

Flip the signs of units by fair coins: Gaussian weights stay Gaussian and independent of the coins, while the units that
are on become coins that do not depend on the weights (`relu_gradients_exact`). So the k units with slope s_+ and the
n - k others have sums of squares chi2_k and chi2_{n-k}, and these are all that a gradient sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from limitbench.networks.chi_square import chi_square
from limitbench.networks.ntk_sectors import Forward, Seen
from limitbench.networks.shaping import ShapedLayer
from limitbench.numerics.random import Stream


@torch.inference_mode()
def forward(layers: Sequence[ShapedLayer], *, batch: int, stream: Stream) -> Forward:
    """A pass of `batch` networks from an input of norm 1. Cost: O(1) variates a layer and network at any width."""
    device = stream.device
    widths = torch.tensor([layer.width for layer in layers], dtype=torch.float64, device=device)
    slopes = torch.tensor([[[1.0], [layer.ratio]] for layer in layers], dtype=torch.float64, device=device)
    constants = torch.tensor([layer.canonical_constant for layer in layers], dtype=torch.float64, device=device)
    scaled = slopes * (constants / widths).sqrt()[:, None, None]
    counts = torch.empty(len(layers), 2, batch, dtype=torch.float64, device=device)
    sums = torch.empty_like(counts)
    for index, width in enumerate(widths):  # layer by layer, so that a deeper network begins with the same numbers
        counts[index, 0] = torch.binomial(width.expand(batch), torch.full_like(counts[0, 0], 0.5), stream.torch)
        torch.sub(width, counts[index, 0], out=counts[index, 1])
        sums[index] = chi_square(counts[index], stream)
    squares = (scaled**2 * sums).sum(1)
    log_norms = torch.cat([torch.zeros_like(squares[:1]), squares.log().cumsum(0)])

    def seen(chosen: range) -> Seen:
        at = torch.tensor(chosen, device=device) - 1
        drawn = sums[at].sqrt()
        features = scaled[at] * drawn
        norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        basis = torch.where(norms > 0.0, features / norms, 0.0)
        return Seen(counts[at], scaled[at], drawn[:, :, None, None], basis[:, :, None, None])

    return Forward(log_norms[:, None], torch.ones_like(log_norms), seen)
