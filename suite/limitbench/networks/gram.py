"""Matrix roots of the inputs' Gram matrix, for any number of inputs, duplicated ones included."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Gram = tuple[tuple[float, ...], ...]


def correlation_root(gram: Gram) -> Float[Tensor, "inputs inputs"]:
    """R with R'R the correlation matrix of `gram`; float64."""
    matrix = torch.tensor(gram, dtype=torch.float64)
    scale = matrix.diagonal().sqrt()
    values, vectors = torch.linalg.eigh(matrix / torch.outer(scale, scale))
    values = torch.where(values > 1e-15 * len(gram), values, 0.0)  # rounding, whose root would part duplicates
    root: Tensor = values.sqrt()[:, None] * vectors.mT
    return root


def gram_root(gram: Gram) -> Float[Tensor, "inputs inputs"]:
    """R with R'R = `gram`; float64."""
    root: Tensor = correlation_root(gram) * torch.tensor(gram, dtype=torch.float64).diagonal().sqrt()
    return root
