"""Deep linear networks without weights: every layer is one Bartlett factor, O(D^2) variates at any width.

A D x n matrix of normals is T O with orthonormal rows O independent of the lower triangular T, and O times the next
weight matrix is again a matrix of normals: so Q is the product of independent factors T_l (arXiv 2411.15267).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.chi_square import chi_square
from limitbench.networks.linear_state import TriangularProduct
from limitbench.numerics.random import Stream


def sample_mixing(
    widths: Sequence[int],
    outputs: int,
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    readout: Stream,
) -> dict[str, Float[Tensor, "batch depths"]]:
    """Observables of Q_d = G_d G_d', G_d = T_1 ... T_d, with independent entries of the lower triangular T_l

    (T_ii)^2 ~ chi2_{n_l - i + 1} / n_l,    T_ij ~ N(0, 1 / n_l) for i > j,

    and of the outputs S_d = G_d x, x a vector of D standard normals from the stream `readout`, the same at all depths.
    """
    with torch.inference_mode():
        vector = readout.normal_(torch.empty(batch, outputs, dtype=torch.float64, device=readout.device))
        recorded = [
            product.observables() | product.outputs(vector)
            for product in _products(widths, outputs, depths, batch, stream)
        ]
    return {name: torch.stack([values[name] for values in recorded], dim=1) for name in recorded[0]}


def sample_outputs(
    widths: Sequence[int],
    outputs: int,
    root: Float[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    readout: Stream,
) -> Float[Tensor, "batch depths outputs inputs"]:
    """S_d = G_d X with the networks of `sample_mixing`; rows of X are independent N(0, root' root)."""
    with torch.inference_mode():
        shape = (batch, outputs, len(root))
        rows = readout.normal_(torch.empty(shape, dtype=torch.float64, device=readout.device)) @ root
        recorded = [product.readout(rows) for product in _products(widths, outputs, depths, batch, stream)]
    return torch.stack(recorded, dim=1)


def _products(
    widths: Sequence[int], outputs: int, depths: Sequence[int], batch: int, stream: Stream
) -> Iterator[TriangularProduct]:
    """G_d at each depth of `depths`: one object that goes on growing."""
    device = stream.device
    product = TriangularProduct(batch, outputs, device)
    order = torch.arange(outputs, dtype=torch.float64, device=device).expand(batch, outputs)
    for depth, width in enumerate(widths[: depths[-1]], start=1):
        factor = torch.empty(batch, outputs, outputs, dtype=torch.float64, device=device)
        stream.normal_(factor).tril_(-1)
        factor.diagonal(dim1=1, dim2=2).copy_(chi_square(width - order, stream).sqrt())
        product.append(factor / width**0.5)
        if depth in depths:
            yield product
