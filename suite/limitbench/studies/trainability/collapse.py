"""How much of the accuracies of all depths one predictor explains, tested on a depth that it has not seen.

Leave-one-depth-out R^2 = 1 - sum (a - f)^2 / sum (a - mean a)^2: f(predictor) is fitted to the cells of the other
depths, rising and then falling, and read off at the cells of the depth that was left out. A fit to all cells is always
good and says little.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression


def unimodal_fit(
    y: Float[np.ndarray, " points"], weights: Float[np.ndarray, " points"] | None = None
) -> Float[np.ndarray, " points"]:
    """The least-squares fit to y that rises up to some point and falls from there on. Cost: O(n)."""
    weights = np.ones(len(y)) if weights is None else weights
    total = _prefix_errors(y, weights) + _prefix_errors(y[::-1], weights[::-1])[::-1]
    top = int(np.argmin(total))
    parts = []
    for part, rising in ((slice(0, top), True), (slice(top, None), False)):
        if len(y[part]):
            parts.append(isotonic_regression(y[part], weights=weights[part], increasing=rising).x)
    return np.concatenate(parts)


def _prefix_errors(y: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n_plus_1"]:
    """Squared error of the increasing fit to the first k points, k = 0 .. n: one pass that pools violators."""
    errors, total = [0.0], 0.0
    blocks: list[tuple[float, float]] = []
    for value, weight in zip(y.tolist(), weights.tolist(), strict=True):
        mean = value
        while blocks and blocks[-1][0] >= mean:
            before, mass = blocks.pop()
            total += mass * weight / (mass + weight) * (before - mean) ** 2
            mean = (mass * before + weight * mean) / (mass + weight)
            weight += mass
        blocks.append((mean, weight))
        errors.append(total)
    return np.array(errors)


def explained(
    predictor: Float[np.ndarray, " cells"], accuracy: Float[np.ndarray, " cells"], depth: Float[np.ndarray, " cells"]
) -> float:
    """Leave-one-depth-out R^2, which is negative where a constant would do better; NaN below two depths."""
    depths = np.unique(depth)
    if len(depths) < 2 or not accuracy.std() > 0:
        return float("nan")
    fitted = np.empty_like(accuracy)
    for left_out in depths:
        rest = depth != left_out
        x, place, count = np.unique(predictor[rest], return_inverse=True, return_counts=True)
        y = np.bincount(place, weights=accuracy[rest]) / count
        fitted[~rest] = np.interp(predictor[~rest], x, unimodal_fit(y, count.astype(float)))
    return float(1 - ((accuracy - fitted) ** 2).sum() / ((accuracy - accuracy.mean()) ** 2).sum())
