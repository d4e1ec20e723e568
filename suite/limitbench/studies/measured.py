"""Numbers measured on cells with their standard errors, pairing the networks that cells of a column share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence


@dataclass(frozen=True)
class Measured:
    """A number, its standard error and the cells that it was made from."""

    value: float
    se: float
    cells: Sequence[CellEvidence] = field(default=())


def values(cell: CellEvidence, observable: str) -> Float[np.ndarray, " networks"]:
    """All networks in their order, NaN where undefined: to pair cells of a column."""
    return np.asarray(cell.tree["samples"][observable].isel(cell.at).to_numpy(), dtype=float)


def defined(cell: CellEvidence, observable: str) -> bool:
    """Whether the first networks have the observable at all."""
    array = cell.tree["samples"][observable].isel(cell.at)
    return bool(np.isfinite(array.isel({array.dims[-1]: slice(0, 64)}).to_numpy()).any())


def column_values(cells: Sequence[CellEvidence], observable: str) -> Float[np.ndarray, "cells networks"]:
    """`values` of cells of one column: its chunks hold all depths, and are decoded once here."""
    axis = next(name for name in ("layer", "depth", "aspect") if name in cells[0].at)
    outer = {name: i for name, i in cells[0].at.items() if name != axis}
    array = cells[0].tree["samples"][observable].isel(outer).transpose(axis, ...)
    return np.asarray(array.to_numpy()[[cell.at[axis] for cell in cells]], dtype=float)


def mean_of(x: Float[np.ndarray, " networks"], cells: Sequence[CellEvidence] = ()) -> Measured:
    """Mean of the values that are defined."""
    x = x[np.isfinite(x)]
    if x.size < 2:
        return Measured(math.nan, math.nan, cells)
    return Measured(float(x.mean()), float(x.std(ddof=1)) / math.sqrt(x.size), cells)


def covariance_of(
    x: Float[np.ndarray, " networks"], y: Float[np.ndarray, " networks"], cells: Sequence[CellEvidence] = ()
) -> Measured:
    """Covariance over networks."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 2:
        return Measured(math.nan, math.nan, cells)
    return mean_of((x[both] - x[both].mean()) * (y[both] - y[both].mean()), cells)


def variance_of(x: Float[np.ndarray, " networks"], cells: Sequence[CellEvidence] = ()) -> Measured:
    """Variance over networks."""
    return covariance_of(x, x, cells)


def variance(cell: CellEvidence, observable: str = "log_norm") -> Measured:
    """Variance over the networks of a cell."""
    return variance_of(values(cell, observable), (cell,))
