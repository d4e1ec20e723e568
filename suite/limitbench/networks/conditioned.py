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

from limitbench.numerics.random import Stream

#: One vector of every network of a batch in each column. Float32 or float64, all that belong together alike.
Vectors = Float[Tensor, "columns batch entries"]
#: R of every network: upper triangular, rows first.
Triangles = Float[Tensor, "columns columns batch"]


class Seen(NamedTuple):
    """What a forward pass has seen of G: B (some columns may be zero), C = G B as it is drawn, and R."""

    basis: Vectors
    drawn: Float[Tensor, "columns batch units"]
    triangle: Triangles

    def product(self, columns: int) -> Float[Tensor, "{columns} batch units"]:
        """The first `columns` columns of G F, the same numbers whenever it is asked for."""
        return combine(self.triangle[:columns, :columns], self.drawn[:columns])


def forward(features: Vectors, drawn: Float[Tensor, "columns batch units"], stream: Stream) -> Seen:
    """What a product G `features` sees of a fresh G; its values are `product`. Cost: `units` normals a column.

    In place: `features` become B, and `drawn` is filled.
    """
    return Seen(features, stream.normal_(drawn), orthonormalise(features))


def backward(
    seen: Seen, gradients: Float[Tensor, "gradients batch units"], stream: Stream
) -> Float[Tensor, "gradients batch entries"]:
    """The transposed matrix G' applied to `gradients`, given what a forward pass has seen. Cost: as forward.

    `gradients` must be independent of G given `seen`: made from later layers only.
    """
    _, batch, rows = seen.basis.shape
    normals = stream.normal_(torch.empty(len(gradients), batch, rows, device=gradients.device))
    if len(gradients) == 1:
        drawn: Vectors = normals.to(gradients.dtype).mul_(torch.linalg.vector_norm(gradients, dim=2)[:, :, None])
    else:
        drawn = combine(orthonormalise(gradients.clone()), normals)
    entries, units = torch.empty_like(drawn[0]), torch.empty_like(gradients[0])
    for base, values in zip(seen.basis, seen.drawn, strict=True):
        converted = values.to(gradients.dtype)
        for column, gradient in zip(drawn, gradients, strict=True):
            known = _inner(converted, gradient, units).sub_(_inner(base, column, entries))
            column.addcmul_(base, known[:, None])
    return drawn


def orthonormalise(vectors: Vectors) -> Triangles:
    """R with `vectors` = B R; in place, `vectors` become B, zero where a column depends on earlier ones.

    Gram-Schmidt, each column twice; one that the second time at least halves lies in the span to rounding.
    """
    triangle = vectors.new_zeros(len(vectors), len(vectors), vectors.shape[1])
    room, smallest = torch.empty_like(vectors[0]), torch.finfo(vectors.dtype).tiny
    for k, column in enumerate(vectors):
        size = norm = torch.linalg.vector_norm(column, dim=1)
        for _ in range(2 if k else 0):
            size = norm
            for j, base in enumerate(vectors[:k]):
                overlap = _inner(base, column, room)
                column.addcmul_(base, overlap[:, None], value=-1.0)
                triangle[j, k] += overlap
            norm = torch.linalg.vector_norm(column, dim=1)
        norm = torch.where((norm > 0.5 * size) & (norm > smallest), norm, 0.0)
        column.mul_(torch.where(norm > 0.0, 1.0 / norm, 0.0)[:, None])
        triangle[k, k] = norm
    return triangle


def combine(triangle: Triangles, vectors: Float[Tensor, "columns batch entries"]) -> Vectors:
    """`vectors` R for an upper triangular R, in the type of R."""
    vectors = vectors.to(triangle.dtype)
    product: Vectors = vectors * triangle.diagonal().mT[:, :, None]
    for c in range(1, len(vectors)):
        for k in range(c):
            product[c].addcmul_(vectors[k], triangle[k, c, :, None])
    return product


def _inner(
    first: Float[Tensor, "batch entries"], second: Float[Tensor, "batch entries"], room: Float[Tensor, "batch entries"]
) -> Float[Tensor, " batch"]:
    """Inner products, by way of `room`."""
    products: Tensor = torch.mul(first, second, out=room).sum(1)
    return products
