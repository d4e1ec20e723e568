"""Slopes in the sum of inverse widths: moments of whole networks' gradients, brought to infinite width."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.measured import Measured, mean_of, values, variance_of
from limitbench.studies.relu_gradients.families import columns, layers_of

#: Networks from this width on are fitted.
NARROWEST = 32
WEIGHT_GRADIENT = "log_weight_gradient"

Moment = Callable[[Float[np.ndarray, " networks"]], Measured]


@dataclass(frozen=True)
class Slope:
    """Moment of ln|dE/dW_l|^2 = slope (1 + k/n + ...) sum_l 1/n_l, over widths n and depths of one architecture."""

    value: float
    se: float
    cells: list[CellEvidence]


def fit_slope(evidence: Evidence, network: str, moment: Moment = variance_of) -> Slope | None:
    """Weighted least squares of moment/t in 1/n, with 1/n^2 from four widths on; None below three widths.

    The layers are independent, so that moment/t of equal widths does not depend on the depth.
    """
    wide = [c for c in columns(evidence, (network,)) if int(c[0].parameters["width"]) >= NARROWEST]
    cells = [column[-1] for column in wide]
    found = [moment(values(cell, WEIGHT_GRADIENT)) for cell in cells]
    kept = [i for i, m in enumerate(found) if math.isfinite(m.value) and m.se > 0]
    n = np.array([float(cells[i].parameters["width"]) for i in kept])
    if len(set(n.tolist())) < 3:
        return None
    t = np.array([layers_of(cells[i].parameters).time(WEIGHT_GRADIENT) for i in kept])
    y, se = np.array([found[i].value for i in kept]) / t, np.array([found[i].se for i in kept]) / t
    design = np.stack([n**-k for k in range(3 if len(set(n.tolist())) > 3 else 2)], axis=1) / se[:, None]
    scale = np.linalg.norm(design, axis=0)
    fitted, *_ = np.linalg.lstsq(design / scale, y / se, rcond=None)
    covariance = np.linalg.inv((design / scale).T @ (design / scale))
    return Slope(float(fitted[0] / scale[0]), float(covariance[0, 0] ** 0.5 / scale[0]), [cells[i] for i in kept])


def mean_slope(evidence: Evidence, network: str) -> Slope | None:
    """The slope of the mean."""
    return fit_slope(evidence, network, mean_of)
