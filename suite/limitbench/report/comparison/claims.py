"""Claims against claims: measured values over their combined standard error, and verdicts that turned round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import xarray as xr
from scipy.special import ndtr

from limitbench.report.comparison.findings import Finding
from limitbench.report.comparison.pair import Pair
from limitbench.report.style import number

#: Agreement of measured values that have no standard error, relative to their size.
RELATIVE = 1e-6


def compare_claims(pair: Pair, *, same_networks: bool) -> Iterator[tuple[Finding, bool]]:
    """Every claim that both runs measured, and whether it agrees bit by bit.

    Arguments:
        pair: the study in both runs.
        same_networks: whether both runs hold the same networks; then no sampling lies between them, and values may
            differ by a change of code only.

    A claim may be a fit over the whole grid, so runs of different cells are not compared (`comparable_claims`). Where
    the networks differ, values are tested if both have a standard error, and predicted values are left aside, as some
    of them are measured too.
    """
    a, b = (run.group("claims") for run in (pair.a, pair.b))
    if not comparable_claims(pair):
        return
    there = {str(name): k for k, name in enumerate(b["claim"].to_numpy())}
    for k, name in enumerate(map(str, a["claim"].to_numpy())):
        if name in there:
            one, other = _claim(a, k), _claim(b, there[name])
            if math.isfinite(one.measured) and math.isfinite(other.measured):
                same = (one.measured, one.predicted, one.verdict) == (other.measured, other.predicted, other.verdict)
                yield _finding(pair.name, name, one, other, same_networks=same_networks), same


def comparable_claims(pair: Pair) -> bool:
    """Whether both runs have claims, about the same cells."""
    present = all("measured" in run.group("claims") for run in (pair.a, pair.b))
    return present and pair.comparable and pair.lacking == (0, 0)


@dataclasses.dataclass(frozen=True)
class _Claim:
    measured: float
    se: float
    predicted: float
    verdict: str
    text: str


def _claim(claims: xr.Dataset, k: int) -> _Claim:
    row = {name: claims[name].isel(claim=k).item() for name in ("measured", "se", "predicted", "verdict", "text")}
    return _Claim(float(row["measured"]), float(row["se"]), float(row["predicted"]), row["verdict"], row["text"])


def _finding(study: str, name: str, a: _Claim, b: _Claim, *, same_networks: bool) -> Finding:
    difference = abs(a.measured - b.measured)
    before, after = (f"{number(c.measured, 4)} ± {number(c.se, 2)}, {c.verdict}" for c in (a, b))
    found = Finding("claim", study, name, "", before, after, difference, "in the measured value")
    if same_networks:
        predicted = abs(a.predicted - b.predicted) > RELATIVE * max(1.0, abs(a.predicted))
        allowed = RELATIVE * max(1.0, abs(a.measured))
        flipped = a.verdict != b.verdict and "undecided" not in (a.verdict, b.verdict)
        return dataclasses.replace(found, allowed=allowed, certain=predicted or flipped or difference > allowed)
    se = math.hypot(a.se, b.se)  # NaN where one is unknown
    return dataclasses.replace(found, pvalue=2 * float(ndtr(-difference / se))) if se > 0 else found
