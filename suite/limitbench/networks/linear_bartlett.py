"""Deep linear networks without weights: every layer is one Bartlett factor, O(D^2) variates at any width.

A D x n matrix of normals is T O with orthonormal rows O independent of the lower triangular T, and O times the next
weight matrix is again a matrix of normals: so Q is the product of independent factors T_l (arXiv 2411.15267).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.chi_square import chi_square
from limitbench.networks.linear_state import TriangularProduct


def sample_mixing(
    widths: Sequence[int], outputs: int, *, depths: Sequence[int], batch: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "batch depths"]]:
    """Observables of Q_d = G_d G_d', G_d = T_1 ... T_d, with independent entries of the lower triangular T_l

    (T_ii)^2 ~ chi2_{n_l - i + 1} / n_l,    T_ij ~ N(0, 1 / n_l) for i > j.
    """
    device = generator.device
    product = TriangularProduct(batch, outputs, device)
    order = torch.arange(outputs, dtype=torch.float64, device=device).expand(batch, outputs)
    recorded = []
    with torch.inference_mode():
        for depth, width in enumerate(widths[: depths[-1]], start=1):
            factor = torch.randn(
                batch, outputs, outputs, dtype=torch.float64, device=device, generator=generator
            ).tril_(-1)
            factor.diagonal(dim1=1, dim2=2).copy_(chi_square(width - order, generator).sqrt())
            product.append(factor / width**0.5)
            if depth in depths:
                recorded.append(product.observables())
    return {name: torch.stack([values[name] for values in recorded], dim=1) for name in recorded[0]}
