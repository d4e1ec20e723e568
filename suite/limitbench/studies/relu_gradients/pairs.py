"""Numbers of two quantities of the same networks, and of many cells together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence
from limitbench.studies.measured import Measured, covariance_of


def pooled(found: Sequence[Measured]) -> Measured | None:
    """Inverse-variance mean of the values that are defined."""
    found = [m for m in found if math.isfinite(m.value) and m.se > 0]
    if not found:
        return None
    weights = np.array([m.se**-2 for m in found])
    mean = float(weights @ np.array([m.value for m in found]) / weights.sum())
    return Measured(mean, float(weights.sum() ** -0.5), [cell for m in found for cell in m.cells])


def scaled(measured: Measured, scale: float) -> Measured:
    """`measured` over `scale`."""
    return Measured(measured.value / scale, measured.se / scale, measured.cells)


def spread_difference(
    a: Float[np.ndarray, " networks"], b: Float[np.ndarray, " networks"], scale: float, cells: Sequence[CellEvidence]
) -> Measured:
    """(Var a - Var b)/scale over networks that have both, paired: Var a - Var b = Cov(a + b, a - b)."""
    return scaled(covariance_of(a + b, a - b, cells), scale)
