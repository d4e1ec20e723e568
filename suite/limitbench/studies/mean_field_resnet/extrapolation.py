"""Infinite width from finite networks: arithmetic means at several widths, fitted as a + b/N layer by layer.

Arithmetic means are right: ln chi_0/chi_L has a variance of order L/N and a mean about half of it below the
recurrences' value, which geometric means would inherit. Values are taken over those of the recurrences first, so that
nothing overflows and the prediction is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from limitbench.studies.mean_field_resnet.cells import Columns

#: Forward and backward quantities with their symbols.
QUANTITIES = {
    "log_length": "p",
    "covariance_12": "γ",
    "log_preactivation": "q",
    "log_chi": "χ",
    "log_chi_b": "χ_b",
    "log_chi_w": "χ_w",
    "log_chi_v": "χ_v",
    "log_chi_a": "χ_a",
}
#: Relative rounding of a mean: some quantities do not fluctuate (chi_a of the last block is chi_L).
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Extrapolated:
    """a of a + b/N for every layer, with its standard error, and the means that it was fitted to."""

    value: Float[np.ndarray, " layers"]
    se: Float[np.ndarray, " layers"]
    means: Float[np.ndarray, "widths layers"]
    errors: Float[np.ndarray, "widths layers"]


class Comparison(NamedTuple):
    """a of one quantity at one layer, 1 by the recurrences, and its means over theirs at the extreme widths."""

    quantity: str
    layer: int
    value: float
    se: float
    narrowest: float
    widest: float


def extrapolate(
    columns: Columns, observable: str, predicted: Float[np.ndarray, " layers"] | None = None
) -> Extrapolated | None:
    """Means over those of the recurrences (or over `predicted`), extrapolated to infinite width.

    A covariance is off 1 by its difference from the prediction over p. None below three widths or where the networks
    have no such quantity.
    """
    if len(columns.by_width) < 3:
        return None
    reference = columns.logs(observable) if predicted is None else predicted
    means, errors = [], []
    for values in columns.values(observable).values():
        if observable == "covariance_12":
            ratios = 1 + (values - reference[:, None]) * np.exp(-columns.logs("log_length"))[:, None]
        else:
            ratios = np.exp(values - reference[:, None])
        known = np.isfinite(ratios)
        if known.sum(axis=1).min() < 2:
            return None
        means.append(np.mean(ratios, axis=1, where=known))
        spread = np.std(ratios, axis=1, ddof=1, where=known)
        errors.append(np.maximum(spread / np.sqrt(known.sum(axis=1)), _ROUNDING))
    y, se = np.array(means), np.array(errors)
    value, error = intercept(1 / columns.widths, y, se)
    return Extrapolated(value, error, y, se)


def intercept(
    x: Float[np.ndarray, " widths"], y: Float[np.ndarray, "widths layers"], se: Float[np.ndarray, "widths layers"]
) -> tuple[Float[np.ndarray, " layers"], Float[np.ndarray, " layers"]]:
    """a and its standard error of the weighted straight lines a + b x through each column of y."""
    weight = 1 / se**2
    total, first, second = (np.sum(weight * (x**k)[:, None], axis=0) for k in range(3))
    determinant = total * second - first**2
    product = np.sum(weight * x[:, None] * y, axis=0)
    value = (second * np.sum(weight * y, axis=0) - first * product) / determinant
    return value, np.sqrt(second / determinant)


def comparisons(columns: Columns) -> list[Comparison]:
    """All quantities that the networks have, at all layers."""
    found = []
    for observable, symbol in QUANTITIES.items():
        if (fit := extrapolate(columns, observable)) is not None:
            parts = (fit.value, fit.se, fit.means[0], fit.means[-1])
            rows = zip(columns.layers, *(part.tolist() for part in parts), strict=True)
            found += [Comparison(symbol, *row) for row in rows]
    return found


def furthest(means: Sequence[Comparison]) -> Comparison:
    """The one whose a is furthest from 1 in standard errors."""
    return max(means, key=lambda mean: abs(mean.value - 1) / mean.se)


def listed(means: Sequence[Comparison]) -> str:
    """Which quantities at which layers, in words."""
    layers: dict[str, list[str]] = {}
    for mean in means:
        layers.setdefault(mean.quantity, []).append(str(mean.layer))
    together: dict[str, list[str]] = {}
    for quantity, at in layers.items():
        together.setdefault(", ".join(at), []).append(quantity)
    return "; ".join(
        f"{', '.join(quantities)} at layer{'s' if ',' in at else ''} {at}" for at, quantities in together.items()
    )


def log_difference(columns: Columns, observable: str, first: int, last: int) -> tuple[float, float, float] | None:
    """ln of the mean at layer `first` over that at `last`, at infinite width: predicted, measured, standard error.

    The two layers' errors are added as if they were independent. None where there is nothing to fit.
    """
    fit, logs = extrapolate(columns, observable), columns.logs(observable)
    i, j = columns.index(first), columns.index(last)
    if fit is None or i is None or j is None or min(fit.value[[i, j]]) <= 0:
        return None
    predicted = float(logs[i] - logs[j])
    measured = predicted + math.log(fit.value[i]) - math.log(fit.value[j])
    return predicted, measured, math.hypot(fit.se[i] / fit.value[i], fit.se[j] / fit.value[j])
