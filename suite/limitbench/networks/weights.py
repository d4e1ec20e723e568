"""Ensembles of weight matrices: entries of mean 0 and variance 1, or PyTorch's default with its own scale and biases.

Only Gaussian weights have samplers without weights, so networks with any other ensemble multiply real matrices.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.networks.base import Sampler
from limitbench.numerics.random import Stream

#: Entries N(0, 1); uniform on [-sqrt 3, sqrt 3]; +-1; sqrt(max(n_out, n_in)) times a Haar (semi-)orthogonal matrix; or
#: weights and biases of `torch.nn.Linear`, uniform on +-n_in^-1/2.
WEIGHTS = ("gaussian", "uniform", "rademacher", "orthogonal", "pytorch")

Matrices: TypeAlias = Float[Tensor, "batch n_out n_in"]


def ensemble(weights: object, accepted: tuple[str, ...] = WEIGHTS) -> str:
    """`weights` where it is the name of an ensemble in `accepted`; raises `InputError`."""
    if not isinstance(weights, str) or weights not in accepted:
        raise InputError("weights", weights, " or ".join(accepted))
    return weights


def weight_parameter(weights: str) -> dict[str, object]:
    """How an ensemble enters a seed: Gaussian weights are the ones that need no name."""
    return {} if weights == "gaussian" else {"weights": weights}


def real_matrices(weights: str, sampler: Sampler) -> bool:
    """True where networks are drawn with real weight matrices: no other ensemble has a shortcut that is exact."""
    return sampler == "dense" or weights != "gaussian"


class WeightStream:
    """Draws a batch of matrices at a time from one stream, into one buffer.

    `scaled` is True where a layer multiplies by the family's own scale (entries of variance 1), False for `pytorch`,
    whose layer is W x + b.
    """

    def __init__(self, weights: str, stream: Stream, largest: int) -> None:
        self.weights, self.stream = ensemble(weights), stream
        self.scaled = weights != "pytorch"
        self._drawn = torch.empty(largest, device=stream.device)
        self._matrices = torch.empty(largest, dtype=torch.float64, device=stream.device)

    def matrices(self, batch: int, n_out: int, n_in: int) -> Matrices:
        """`batch` matrices of shape n_out x n_in, float64, overwritten by the next draw; float32 variates."""
        shape = (batch, n_out, n_in)
        if self.weights == "orthogonal":
            return self.orthogonal(*shape)
        drawn = self._drawn[: math.prod(shape)]
        if self.weights == "gaussian":
            self.stream.normal_(drawn)
        elif self.weights == "rademacher":
            drawn.random_(0, 2, generator=self.stream.torch).mul_(2.0).sub_(1.0)
        else:
            half = math.sqrt(3.0) if self.weights == "uniform" else n_in**-0.5
            self.stream.uniform_(drawn, -half, half)
        matrices: Tensor = self._matrices[: drawn.numel()].copy_(drawn).view(shape)
        return matrices

    def product(
        self, n_out: int, x: Float[Tensor, "batch n_in m"], *, apart: bool = False
    ) -> Float[Tensor, "batch n_out m"]:
        """W x for matrices W that are used this once; `apart`, one column at a time: equal ones stay equal to the bit.

        For orthogonal W and x = QR, W x is the first n_out rows of sqrt(max(n_out, n_in)) U R with U a Haar frame of as
        many columns as R has rows: exact in law, O(n m^2) for the O(n^3) of a whole matrix.
        """
        batch, n_in, columns = x.shape
        if self.weights == "orthogonal":
            # columns less the first, so that equal ones have the difference 0
            differences = torch.cat([x[:, :, :1], x[:, :, 1:] - x[:, :, :1]], dim=2)
            upper = torch.linalg.qr(differences, mode="r").R
            images: Tensor = self.frame(batch, max(n_out, n_in), upper.shape[1])[:, :n_out] @ upper
            images[:, :, 1:] += images[:, :, :1]
            return images
        matrix = self.matrices(batch, n_out, n_in)
        if apart:
            return torch.cat([matrix @ x[:, :, [a]] for a in range(columns)], dim=2)
        product: Tensor = matrix @ x
        return product

    def orthogonal(self, batch: int, n_out: int, n_in: int) -> Matrices:
        """sqrt(max(n_out, n_in)) times matrices with orthonormal rows or columns, Haar."""
        basis = self.frame(batch, max(n_out, n_in), min(n_out, n_in))
        return basis if n_out >= n_in else basis.mT

    def frame(self, batch: int, n: int, rank: int) -> Float[Tensor, "batch n rank"]:
        """sqrt(n) times n x rank matrices with orthonormal columns, Haar: QR with positive diagonal."""
        normals = self.stream.normal_(torch.empty(batch, n, rank, device=self.stream.device))
        frame, upper = torch.linalg.qr(normals.double())
        basis: Tensor = frame * upper.diagonal(dim1=1, dim2=2).sgn()[:, None, :] * math.sqrt(n)
        return basis

    def biases(self, batch: int, n_out: int, n_in: int) -> Float[Tensor, "batch n_out 1"] | None:
        """Biases of a layer: those of `torch.nn.Linear` for `pytorch`, none for the rest."""
        if self.scaled:
            return None
        drawn = torch.empty(batch, n_out, 1, device=self.stream.device)
        return self.stream.uniform_(drawn, -(n_in**-0.5), n_in**-0.5).double()

    def inputs(self, root: Float[Tensor, "rank inputs"], batch: int, n_in: int) -> Float[Tensor, "batch n_in inputs"]:
        """Inputs with Gram matrix <x^a, x^b> / n_in = root' root in directions that are uniformly random.

        Along coordinate axes a first layer of other weights would be far from Gaussian, whatever the width.
        """
        spread: Tensor = self.orthogonal(batch, n_in, root.shape[0]) @ root
        return spread
