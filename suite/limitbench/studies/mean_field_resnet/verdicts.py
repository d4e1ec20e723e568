"""A number against its prediction with a bound of the relative deviation: for laws that are asymptotic themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import STANDARD_ERRORS, CellEvidence, Evidence


def relative_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    predicted: float,
    measured: float,
    se: float,
    *,
    bound: float,
    name: str,
    text: str,
) -> Claim:
    """Holds where the relative deviation is within `bound` by 4.5 standard errors, fails where it is beyond by as many.

    A prediction of 0 is compared absolutely.
    """
    unit = abs(predicted) or 1.0
    deviation, error = abs(measured - predicted) / unit, STANDARD_ERRORS * se / unit
    verdict: Verdict = "undecided"
    if math.isfinite(deviation) and math.isfinite(error):
        verdict = "holds" if deviation + error <= bound else "fails" if deviation - error > bound else "undecided"
    seconds = sum(cell.seconds for cell in cells)
    return Claim(name, text, predicted, measured, se, verdict, seconds, evidence.command(cells))
