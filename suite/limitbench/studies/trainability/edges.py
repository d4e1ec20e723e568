"""Where networks stop training, read off a table of accuracies: upper edges, and how far Xavier and He stay behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from limitbench.studies.trainability.accuracies import Accuracies

#: The upper edge of the trainable region is where accuracy is this much below the best of its depth.
MARGIN = 0.05
XAVIER, HE = 1.0, 2.0
#: Splits of the replicates of a depth, and resamples of its deficit.
_SPLITS, _RESAMPLES = 5, 60


def upper_edges(
    mean: Float[np.ndarray, "depths variances"], variances: Float[np.ndarray, " variances"]
) -> Float[np.ndarray, " depths"]:
    """ln sigma_w^2 at the upper edge of each depth, by linear interpolation; NaN where the grid does not reach it."""
    found, x = np.full(len(mean), np.nan), np.log(variances)
    for i, row in enumerate(mean):
        known = np.flatnonzero(np.isfinite(row))
        if not known.size:
            continue
        level = float(np.nanmax(row)) - MARGIN
        last = int(known[row[known] >= level][-1])
        after = known[known > last]
        if after.size:
            j = int(after[0])
            found[i] = x[last] + (x[j] - x[last]) * (row[last] - level) / (row[last] - row[j])
    return found


def slope(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> float:
    """Least-squares slope over the finite points, NaN below three."""
    known = np.isfinite(x) & np.isfinite(y)
    return float(np.polyfit(x[known], y[known], 1)[0]) if known.sum() >= 3 else float("nan")


def deficits(table: Accuracies) -> tuple[Float[np.ndarray, " depths"], Float[np.ndarray, " depths"]] | None:
    """Best accuracy of each depth less the better of Xavier (sigma_w^2 = 1) and He (2), and its standard error.

    The best sigma_w^2 is chosen on half of the replicates and measured on the others, so that the noise of a maximum
    does not count as a deficit; NaN below two replicates. None where the grid lacks 1 or 2.
    """
    at = [np.flatnonzero(np.isclose(table.variances, v)) for v in (XAVIER, HE)]
    if any(not len(i) for i in at):
        return None
    columns = [int(i[0]) for i in at]
    best, se = np.full(len(table.depths), np.nan), np.full(len(table.depths), np.nan)
    for d, row in enumerate(table.table):
        count = int(np.isfinite(row).sum(axis=1).min())
        if count < 2:
            continue
        random = np.random.default_rng(d)
        whole = row[:, :count]
        best[d] = _cross_fitted(whole, columns, random)
        picks = (random.integers(count, size=whole.shape) for _ in range(_RESAMPLES))
        drawn = [_cross_fitted(np.take_along_axis(whole, pick, axis=1), columns, random) for pick in picks]
        se[d] = float(np.std(drawn)) * math.sqrt(count / (count - 1))
    return best, se


def _cross_fitted(
    row: Float[np.ndarray, "variances replicates"], columns: Sequence[int], random: np.random.Generator
) -> float:
    count, measured = row.shape[1], []
    for _ in range(_SPLITS):
        order = random.permutation(count)
        for chosen, rest in ((order[: count // 2], order[count // 2 :]), (order[count // 2 :], order[: count // 2])):
            best = int(np.argmax(row[:, chosen].mean(axis=1)))
            measured.append(float(row[best, rest].mean()))
    # rounded: means of equal numbers in another order differ in the last place
    return round(float(np.mean(measured)) - max(float(row[c].mean()) for c in columns), 12) + 0.0
