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
        best[d], se[d] = lead(row, range(len(row)), columns, np.random.default_rng(d))
    return best, se


def lead(
    row: Float[np.ndarray, "variances replicates"],
    candidates: Sequence[int],
    against: Sequence[int],
    random: np.random.Generator,
) -> tuple[float, float]:
    """Accuracy of the best of the columns `candidates` less that of the best of `against`, and its standard error.

    The best candidate is chosen on half of the replicates and measured on the others. NaN below two replicates.
    """
    count = int(np.isfinite(row[[*candidates, *against]]).sum(axis=1).min())
    if count < 2:
        return math.nan, math.nan
    whole = row[:, :count]
    picks = (random.integers(count, size=whole.shape) for _ in range(_RESAMPLES))
    drawn = [_lead(np.take_along_axis(whole, pick, axis=1), candidates, against, random) for pick in picks]
    return _lead(whole, candidates, against, random), float(np.std(drawn)) * math.sqrt(count / (count - 1))


def _lead(
    row: Float[np.ndarray, "variances replicates"],
    candidates: Sequence[int],
    against: Sequence[int],
    random: np.random.Generator,
) -> float:
    half, measured = row.shape[1] // 2, []
    for _ in range(_SPLITS):
        # each cell by itself: halves of equal ranks in every cell would not be independent
        shuffled = random.permuted(row[list(candidates)], axis=1)
        for chosen, rest in ((shuffled[:, :half], shuffled[:, half:]), (shuffled[:, half:], shuffled[:, :half])):
            measured.append(float(rest[np.argmax(chosen.mean(axis=1))].mean()))
    # rounded: means of equal numbers in another order differ in the last place
    return round(float(np.mean(measured)) - max(float(row[c].mean()) for c in against), 12) + 0.0


def last_trained(
    best: Float[np.ndarray, " depths"], depths: Float[np.ndarray, " depths"], level: float
) -> tuple[float, bool]:
    """ln L up to which the best accuracy of a depth reaches `level`, interpolated; whether the grid ends before that.

    ln of the smallest depth where no depth reaches it.
    """
    x, trained = np.log(depths), np.flatnonzero(best >= level)
    i = int(trained[-1]) if trained.size else -1
    if i < 0 or i + 1 == len(x):
        return float(x[i] if trained.size else x[0]), bool(trained.size)
    return float(x[i] + (x[i + 1] - x[i]) * (best[i] - level) / (best[i] - best[i + 1])), False
