"""Measures of `shaped-smooth` on the cells of a run, and the claim about the worst of several."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim
from limitbench.studies.evidence import STANDARD_ERRORS, CellEvidence, Evidence, missing, value_claim
from limitbench.studies.ledger import answering
from limitbench.studies.measured import Measured

#: Below this width explosions have not converged; norms that do not explode have from the other one on.
CONVERGED, WIDE_ENOUGH = 128, 64


def share(cell: CellEvidence) -> Measured:
    """Exploded share; its standard error is at least that of one network."""
    x = cell.samples("exploded")
    p = float(x.mean())
    return Measured(p, math.sqrt(max(p * (1 - p), 1 / x.size) / x.size), (cell,))


def spread(x: Float[np.ndarray, " networks"]) -> Measured:
    """Standard deviation and its standard error."""
    sd = float(x.std(ddof=1))
    return Measured(sd, math.sqrt(max(float(((x - x.mean()) ** 4).mean()) - sd**4, 0.0) / x.size) / (2 * sd))


@answering
def worst_claim(
    evidence: Evidence,
    found: Sequence[tuple[float, Measured]],
    need: str,
    *,
    name: str,
    text: str,
    resolution: float,
) -> Claim:
    """The pair of a predicted and a measured number that are furthest apart in standard errors."""
    found = [(p, m) for p, m in found if math.isfinite(m.value) and m.se > 0]
    if not found:
        return missing(name, text, math.nan, need)
    predicted, worst = max(found, key=lambda pair: abs(pair[1].value - pair[0]) / pair[1].se)
    cells = [cell for _, m in found for cell in m.cells]
    text = f"{text} (furthest off of {len(found)}: {_where(worst.cells)})"
    # all pairs must be told from others, not only the worst one
    se = max(m.se for _, m in found)
    claim = value_claim(evidence, cells, predicted, worst.value, worst.se, name=name, text=text, resolution=resolution)
    coarse = claim.verdict == "holds" and STANDARD_ERRORS * se > resolution
    return dataclasses.replace(claim, verdict="undecided") if coarse else claim


def _where(cells: Sequence[CellEvidence]) -> str:
    p = cells[-1].parameters
    return f"{p['activation']}, a = {p['scale']:g}, V0 = {p['norm0']:g}, width {p['width']}"
