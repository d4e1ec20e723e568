"""Ranking of theories on the same networks: always paired, so that noise they share cancels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.bootstrap import REPLICATES, Resampling
from limitbench.statistics.replicates import compare_cell


@dataclass(frozen=True, eq=False)
class Ranking:
    """Theories ordered by D, averaged over the cells given.

    Attributes:
        theories: names, smallest mean D first; rows and columns of the matrices are in this order.
        distance: mean D of each.
        probability_best: probability that each has the smallest D.
        closer: probability that D of the row theory is below D of the column theory.
        difference, difference_low, difference_high: D of row less D of column, and its paired interval.
    """

    theories: tuple[str, ...]
    distance: Mapping[str, float]
    probability_best: Mapping[str, float]
    closer: Float[np.ndarray, "theories theories"]
    difference: Float[np.ndarray, "theories theories"]
    difference_low: Float[np.ndarray, "theories theories"]
    difference_high: Float[np.ndarray, "theories theories"]


@dataclass(frozen=True)
class Ratio:
    """D of one theory over D of another, with a paired interval.

    `high` is NaN where the interval is unbounded; `value` is then `low` if the second D is not positive as measured.
    """

    value: float
    low: float
    high: float


def rank(
    samples: Float[np.ndarray, "networks ..."],
    laws: Mapping[str, Law | Sequence[Law]],
    *,
    level: float = 0.95,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Ranking:
    """Rank theories by their mean D over one cell, or over cells of one column, all on the same resampled networks.

    Probabilities are bootstrap frequencies over the joint plausible values of all D (`TheoryDistance.plausible`), ties
    shared. Networks with a NaN are dropped.

    Arguments:
        samples: one value per network, or one column per cell.
        laws: for each theory its law, or one law per cell.
        level, seed, replicates: as in `score`.

    Raises `InputError` for fewer than two theories, or where D is not defined for one.
    """
    if len(laws) < 2:
        raise InputError("laws", list(laws), "at least two theories")
    distance, plausible = _paired(samples, laws, seed, replicates)
    order = np.argsort(distance, kind="stable")
    distance, plausible = distance[order], plausible[order]
    names = tuple(list(laws)[i] for i in order)
    gap = plausible[:, None, :] - plausible[None, :, :]
    least = plausible == plausible.min(axis=0)
    low, high = np.quantile(gap, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    best = (least / least.sum(axis=0)).mean(axis=1)
    return Ranking(
        theories=names,
        distance={name: float(d) for name, d in zip(names, distance, strict=True)},
        probability_best={name: float(p) for name, p in zip(names, best, strict=True)},
        closer=np.asarray(((gap < 0) + 0.5 * (gap == 0)).mean(axis=-1)),
        difference=distance[:, None] - distance[None, :],
        difference_low=low,
        difference_high=high,
    )


def paired_ratio(
    samples: Float[np.ndarray, " networks"],
    law_a: Law,
    law_b: Law,
    *,
    level: float = 0.95,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Ratio:
    """D_a/D_b on the same networks, with the percentile interval of the ratio of joint plausible values.

    A plausible D_b <= 0 counts as an infinite ratio, so `low` bounds the ratio from below even where D_b is not told
    from zero.
    """
    (a_hat, b_hat), (a, b) = _paired(samples, {"a": law_a, "b": law_b}, seed, replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(b > 0, np.maximum(a, 0) / b, np.where(a > 0, np.inf, 0.0))
    ends = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    low, high = (float(end) if math.isfinite(end) else math.nan for end in ends)
    return Ratio(float(a_hat / b_hat) if b_hat > 0 else low, low, high)


def _paired(
    samples: Float[np.ndarray, "networks ..."], laws: Mapping[str, Law | Sequence[Law]], seed: int, replicates: int
) -> tuple[Float[np.ndarray, " theories"], Float[np.ndarray, "theories replicates"]]:
    """Mean D over cells for each theory, and its plausible values, joint over theories."""
    table = samples.reshape(samples.shape[0], -1)
    rows = ~np.isnan(table).any(axis=1)
    if rows.sum() < 2:
        raise InputError("samples", f"{int(rows.sum())} networks without NaN", "at least two")
    resampling = Resampling.build(table.shape[0], seed=seed, replicates=replicates).keep(rows)
    per_cell = {name: [law] if isinstance(law, Law) else list(law) for name, law in laws.items()}
    for name, row in per_cell.items():
        if len(row) != table.shape[1]:
            raise InputError(f"laws[{name!r}]", f"{len(row)} laws", f"one law for each of {table.shape[1]} cells")
    cells = [
        compare_cell(table[rows, c], {name: row[c] for name, row in per_cell.items()}, resampling)
        for c in range(table.shape[1])
    ]
    for cell in cells:
        for name, found in cell.theories.items():
            if math.isnan(found.distance):
                raise InputError(f"laws[{name!r}]", "; ".join(found.notes), "a law and samples with a finite D")
    distance = np.array([[cell.theories[name].distance for cell in cells] for name in laws]).mean(axis=1)
    plausible = np.array([[cell.theories[name].plausible for cell in cells] for name in laws]).mean(axis=1)
    return distance, plausible
