"""Deep linear networks with real weight matrices: the oracle of the Bartlett factors.

The D x n matrix M = W_{L+1} W_L ... / sqrt(n_1 ... n_L) is multiplied out from the output side. It is kept as G O with
orthonormal rows O, so that rows which become parallel with depth do not drown the smaller eigenvalues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.linear_state import TriangularProduct


def sample_mixing(
    widths: Sequence[int], outputs: int, *, depths: Sequence[int], batch: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "batch depths"]]:
    """Observables of Q_d = M_d M_d' with M_d of shape D x n_d from weights D x n_1, n_1 x n_2, ..., n_{d-1} x n_d.

    The law of Q_d does not depend on the order of the widths (products of Gaussian matrices commute weakly,
    arXiv 1310.4154), so this is the network with hidden widths n_1 .. n_d. Cost: n^2 normals a layer and network.
    """
    device = generator.device
    fan_out = [outputs, *widths]
    largest = max(n * width for n, width in zip(fan_out, widths, strict=False))
    drawn = torch.empty(batch * largest, device=device)
    product = TriangularProduct(batch, outputs, device)
    rows = torch.eye(outputs, dtype=torch.float64, device=device).expand(batch, outputs, outputs)
    recorded = []
    with torch.inference_mode():
        for depth, width in enumerate(widths[: depths[-1]], start=1):
            shape = (batch, fan_out[depth - 1], width)
            size = math.prod(shape)
            weights = drawn[:size].normal_(generator=generator).double().view(shape)
            basis, upper = torch.linalg.qr((rows @ weights).mT)
            rows = basis.mT
            product.append(upper.mT / width**0.5)
            if depth in depths:
                recorded.append(product.observables())
    return {name: torch.stack([values[name] for values in recorded], dim=1) for name in recorded[0]}
