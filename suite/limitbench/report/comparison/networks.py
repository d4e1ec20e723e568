"""Networks against networks: are the samples of both runs drawn from one law?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from limitbench.report.comparison.findings import Finding
from limitbench.report.comparison.pair import Pair, SharedCell
from limitbench.report.style import number
from limitbench.statistics.distances import kolmogorov_pvalue
from limitbench.statistics.tests_of_difference import ks_two_sample

#: Values closer than this, in standard deviations, may be one: rounding differs with generator, dtype and version, and
#: would tear an atom apart.
ROUNDING = 1e-5
#: Below this many pairs of networks the exact law of the statistic is used, which knows no rounding.
FEW = 10_000


def same_networks(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"], shared: int) -> bool:
    """Whether the first `shared` networks of two runs of one cell are the same, bit by bit."""
    return shared > 0 and np.array_equal(a[:shared], b[:shared], equal_nan=True)


def compare_networks(
    pair: Pair, observable: str, cells: list[SharedCell]
) -> Iterator[tuple[SharedCell, Finding | None]]:
    """Every cell of a column with what its two samples say; None where they are the same networks: those of the
    smaller sample are then the first of the larger one.

    The smaller of two p-values counts, doubled: Kolmogorov-Smirnov for the values, and Fisher's exact test for the
    networks without a value (dead or exploded). Where there are none of these, it is the first.
    """
    columns = zip(cells, pair.samples("a", observable, cells), pair.samples("b", observable, cells), strict=True)
    for cell, a, b in columns:
        counts = pair.count("a", cell.a), pair.count("b", cell.b)
        if same_networks(a, b, min(counts)):
            yield cell, None
        else:
            yield cell, _finding(pair.name, observable, cell.label, a[np.isfinite(a)], b[np.isfinite(b)], counts)


def smirnov(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """Kolmogorov-Smirnov statistic of two samples up to rounding, and its p-value.

    The largest F(x - e) - G(x) of either order, e = `ROUNDING` standard deviations: never more than sup |F - G|.
    """
    if a.size * b.size <= FEW:
        return ks_two_sample(a, b)
    x, y = np.sort(a), np.sort(b)
    slack = ROUNDING * max(float(a.std()), float(b.std()))
    # F(x - e) - G(x) is largest where F rises, at e above a value of its own sample
    gaps = [
        np.searchsorted(one, one, side="right") / one.size
        - np.searchsorted(other, one + slack, side="right") / other.size
        for one, other in ((x, y), (y, x))
    ]
    largest = max(0.0, *(float(gap.max()) for gap in gaps))
    return largest, kolmogorov_pvalue(largest, a.size * b.size / (a.size + b.size))


def _finding(
    study: str,
    observable: str,
    where: str,
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    counts: tuple[int, int],
) -> Finding:
    difference, pvalue = smirnov(a, b) if a.size and b.size else (math.nan, math.nan)
    dead = max(counts[0] - a.size, 0), max(counts[1] - b.size, 0)
    if any(dead):
        from scipy import stats

        table = np.array([[dead[0], a.size], [dead[1], b.size]])
        death = float(stats.fisher_exact(table).pvalue)
        pvalue = death if math.isnan(pvalue) else min(1.0, 2 * min(pvalue, death))
        difference = np.nanmax([difference, abs(dead[0] / counts[0] - dead[1] / counts[1])])
    return Finding(
        "networks", study, observable, where, _words(a), _words(b), float(difference), "in the cdf", pvalue=pvalue
    )


def _words(values: Float[np.ndarray, " n"]) -> str:
    if not values.size:
        return "no finite value"
    return f"{number(values.mean(), 4)} ± {number(values.std(), 3)}"
