"""A Gaussian matrix that is used twice, forward on features and backward on gradients, and never drawn.

Let G have independent N(0, 1) entries, and let the columns of B be an orthonormal basis of the features F, F = B R.
Forward, only C = G B is needed, which is again a matrix of independent N(0, 1) entries: G F = C R. Backward, given C,

    G = C B' + G' (I - B B'),   G' fresh and independent of C,   so   G'V = B C'V + (I - B B') xi,

where the rows of xi are independent N(0, V'V), V any gradients that are independent of G' (they come from later
layers). Both are exact in law at any width: O(n m^2) instead of O(n^2 m). C and B are kept from the forward pass, so
nothing is recovered as a quotient or a difference, and features of any rank (more inputs than units, duplicated inputs,
dead units) are ordinary: where a column depends on those before it, B has a column of zeros, and what it would
multiply in C is never used.

A bias b is a column of G: condition on the features augmented by a row for it, and drop that row of G'V.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

#: One vector of every network of a batch in each column.
Vectors = Float[Tensor, "columns batch entries"]


class Seen(NamedTuple):
    """What a forward pass has seen of G: orthonormal columns `basis` (or zeros) and the normals `drawn` = G basis."""

    basis: Vectors
    drawn: Vectors


def forward(features: Vectors, units: int, generator: torch.Generator) -> tuple[Vectors, Seen]:
    """G `features` for a fresh G of `units` rows, and what it tells about G. Cost: `units` normals a column."""
    basis, triangle = orthonormal(features)
    drawn = normals(len(features), features.shape[1], units, generator)
    return combine(triangle, drawn), Seen(basis, drawn)


def backward(seen: Seen, gradients: Vectors, generator: torch.Generator) -> Vectors:
    """The transposed matrix G' applied to `gradients`, given what a forward pass has seen. Cost: as forward.

    `gradients` must be independent of G given `seen`: made from later layers only.
    """
    _, triangle = orthonormal(gradients)
    rows = seen.basis.shape[2]
    fresh = combine(triangle, normals(len(gradients), gradients.shape[1], rows, generator))
    known = torch.einsum("kbu,cbu->ckb", seen.drawn, gradients)
    known -= torch.einsum("kbn,cbn->ckb", seen.basis, fresh)
    return fresh + torch.einsum("ckb,kbn->cbn", known, seen.basis)


def orthonormal(vectors: Vectors) -> tuple[Vectors, Float[Tensor, "columns columns batch"]]:
    """Orthonormal columns B (zeros where a column depends on earlier ones) and upper triangular R, `vectors` = B R.

    Gram-Schmidt, each column twice; one that the second time at least halves lies in the span to rounding.
    """
    basis = torch.zeros_like(vectors)
    triangle = vectors.new_zeros(len(vectors), len(vectors), vectors.shape[1])
    for k, column in enumerate(vectors):
        before, rest = basis[:k], column
        size = torch.linalg.vector_norm(rest, dim=1)
        for _ in range(2 if k else 0):
            size = torch.linalg.vector_norm(rest, dim=1)
            overlaps = (before * rest).sum(2)
            triangle[:k, k] += overlaps
            rest = rest - torch.einsum("jb,jbn->bn", overlaps, before)
        norm = torch.linalg.vector_norm(rest, dim=1)
        norm = torch.where(norm > 0.5 * size, norm, 0.0) if k else norm
        triangle[k, k] = norm
        basis[k] = rest * torch.where(norm > 0.0, 1.0 / norm, 0.0)[:, None]
    return basis, triangle


def combine(triangle: Float[Tensor, "columns columns batch"], vectors: Vectors) -> Vectors:
    """`vectors` R for an upper triangular R."""
    if len(vectors) == 1:
        return triangle[0, 0, :, None] * vectors
    return torch.einsum("kcb,kbn->cbn", triangle, vectors)


def normals(columns: int, batch: int, entries: int, generator: torch.Generator) -> Vectors:
    """Independent N(0, 1), drawn in float32."""
    return torch.empty(columns, batch, entries, device=generator.device).normal_(generator=generator).double()
