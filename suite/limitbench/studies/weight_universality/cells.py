"""Cells and moments that the claims and the figures of `weight-universality` share, all at d = n."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence


def column(evidence: Evidence, network: str, weights: str) -> list[CellEvidence]:
    """Cells at d = n, narrow to wide."""
    cells = evidence.where(network=network, weights=weights, alpha=1.0)
    return sorted(cells, key=lambda cell: int(cell.parameters["width"]))


def widest(evidence: Evidence, network: str, weights: str) -> CellEvidence | None:
    """The widest cell at d = n."""
    return next(reversed(column(evidence, network, weights)), None)


def finite(cell: CellEvidence, observable: str = "log_norm") -> Float[np.ndarray, " networks"]:
    """Values of the networks in which no layer died; a ReLU layer of 16 units dies once in 2^16.

    Raises `InputError` below two of them.
    """
    x = cell.samples(observable)
    x = np.asarray(x[np.isfinite(x)])
    if x.size < 2:
        raise InputError(observable, f"{x.size} networks alive at {cell.parameters}", "at least two")
    return x


def variance(cell: CellEvidence, observable: str = "log_norm") -> tuple[float, float]:
    """Variance and its standard error."""
    x = finite(cell, observable)
    square = (x - x.mean()) ** 2 * (len(x) / (len(x) - 1))
    return float(square.mean()), float(square.std()) / math.sqrt(len(x))
