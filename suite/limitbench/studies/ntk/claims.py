"""Ledger of `ntk`: exact moments at finite width, the log-normal law, and how the kernel leaves infinite width."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, moment_claim, value_claim
from limitbench.studies.ledger import rate_claim, worst_score_claim
from limitbench.studies.measured import variance
from limitbench.theories.ntk import LogNormal

#: Above this d/n the second moment of the kernel is made by networks that a run does not see.
_LARGEST_ASPECT = 0.125
#: In narrower layers the log of K is skewed.
NARROWEST = 64
_KINDS = {"relu": (0.0, "ReLU"), "shaped": (0.5, "slopes 1 and 1 − n^-1/2")}


def claims(evidence: Evidence) -> list[Claim]:
    """Moments and laws for both kinds of slopes, then what is said of infinite width."""
    found = []
    for name, (rate, words) in _KINDS.items():
        cells = evidence.where(rate=rate)
        found += [*_moments(evidence, name, words, cells), _slope(evidence, name, words, cells)]
        found.append(
            worst_score_claim(
                evidence,
                [cell for cell in cells if aspect(cell) <= 1.0 and float(cell.parameters["width"]) >= NARROWEST],
                "log_ntk",
                "log-normal",
                expected="holds",
                name=f"log-normal-{name}",
                text=f"K₁₁ is log-normal with its exact moments where d <= n, n >= {NARROWEST} ({words}; largest D).",
            )
        )
    found.append(
        worst_score_claim(
            evidence,
            evidence.cells,
            "log_ntk",
            "infinite-width",
            expected="fails",
            name="infinite-width-fails",
            text="K₁₁ is random at every depth and width: infinite width fails (smallest D for ln K₁₁).",
        )
    )
    found.append(_ratio_rate(evidence))
    return found


def aspect(cell: CellEvidence) -> float:
    """d/n."""
    return float(cell.parameters["depth"]) / float(cell.parameters["width"])


def _moments(evidence: Evidence, name: str, words: str, cells: list[CellEvidence]) -> list[Claim]:
    """E K and E K^2 in the cell of the largest d/n that shows them."""
    first = f"E K₁₁ is that of infinite width, d + 1, at finite width too ({words})."
    second = f"E K₁₁² exceeds (d + 1)² by the exact finite-width factor ({words})."
    within = [cell for cell in cells if aspect(cell) <= _LARGEST_ASPECT]
    if not within:
        need = f"d/n <= {_LARGEST_ASPECT:g}"
        return [missing(f"mean-{name}", first, 1.0, need), missing(f"second-moment-{name}", second, math.nan, need)]
    cell = max(within, key=aspect)
    kernel = np.exp(cell.samples("log_ntk"))
    growth = math.exp(cast(LogNormal, cell.theory("log-normal")).variance)
    return [
        moment_claim(evidence, cell, "log_ntk", "mean", 1.0, name=f"mean-{name}", text=first, values=kernel),
        moment_claim(
            evidence,
            cell,
            "log_ntk",
            "second moment",
            growth,
            name=f"second-moment-{name}",
            text=second,
            values=kernel,
            theory="log-normal",
        ),
    ]


def _slope(evidence: Evidence, name: str, words: str, cells: list[CellEvidence]) -> Claim:
    """Var ln K_11 over its exact log-normal value, in the widest cell of the smallest d/n; 5 d/n is that of norms."""
    text = f"Var ln K₁₁ is the log-normal one, to first order (7κ/3 − 1) d/n, at the smallest d/n of the run ({words})."
    if not cells:
        return missing(f"variance-{name}", text, math.nan, f"rate {_KINDS[name][0]:g}")
    cell = min(cells, key=aspect)
    predicted = cast(LogNormal, cell.theory("log-normal")).variance
    measured = variance(cell, "log_ntk")
    return value_claim(
        evidence,
        [cell],
        predicted,
        measured.value,
        measured.se,
        name=f"variance-{name}",
        text=text,
        distance=cell.score("distance", "log_ntk", "log-normal"),
    )


def _ratio_rate(evidence: Evidence) -> Claim:
    """The mean of K_12/sqrt(K_11 K_22) leaves infinite width as 1/n."""
    depths = sorted({int(cell.parameters["depth"]) for cell in evidence.where(rate=0.0)})
    depth = next((d for d in depths if d >= 8), 8)
    cells = [cell for cell in evidence.where(rate=0.0, depth=depth) if aspect(cell) <= 0.5]
    return rate_claim(
        evidence,
        cells,
        "ntk_ratio",
        "infinite-width",
        predicted=1.0,
        tolerance=0.25,
        name="ratio-rate",
        text=f"E K₁₂/√(K₁₁K₂₂) − its infinite-width value falls as 1/n at d = {depth} (ReLU; exponent).",
    )
