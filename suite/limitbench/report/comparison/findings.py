"""What a comparison finds: numbers of two runs side by side, each with the chance that sampling alone explains it.

A difference is judged in one of two ways. Where both numbers are free of sampling (solved laws, or scores of the same
networks) it is beyond the declared error or within it. Otherwise it has a p-value, and all p-values of a comparison
are one family, corrected by Holm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from limitbench.statistics.tests_of_difference import holm

Kind = Literal["networks", "law", "distance", "verdict", "claim"]
KINDS: tuple[Kind, ...] = ("networks", "law", "distance", "verdict", "claim")


@dataclass(frozen=True)
class Finding:
    """One number (or word) of run A and the same of run B.

    Attributes:
        kind: networks (samples of an observable), law, distance (the score D), verdict, claim.
        study: name of the study.
        subject: the observable, `theory, observable`, or name of the claim.
        where: the cell, in words; empty for a claim.
        before, after: the two values, in words.
        difference: what separates them, in `unit`.
        unit: of the difference.
        allowed: largest difference that the declared errors explain, NaN where there is a p-value instead.
        pvalue: chance of a difference this large where nothing changed; NaN where sampling plays no part.
        adjusted: `pvalue` after Holm's correction for the whole comparison.
        certain: no sampling is involved and the difference is beyond `allowed`.
    """

    kind: Kind
    study: str
    subject: str
    where: str
    before: str
    after: str
    difference: float
    unit: str
    allowed: float = math.nan
    pvalue: float = math.nan
    adjusted: float = math.nan
    certain: bool = False

    def changed(self, level: float) -> bool:
        """Whether the difference is beyond its errors at family-wise `level`."""
        return self.certain or self.adjusted <= level


@dataclass(frozen=True)
class Tally:
    """How many numbers of a kind were compared, and how many of them agree bit by bit."""

    compared: int = 0
    identical: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.compared + other.compared, self.identical + other.identical)


def adjusted(findings: Sequence[Finding]) -> list[Finding]:
    """`findings` with Holm's adjusted p-values over all of them.

    A verdict is no test of its own: one that turned round has the adjusted p-value of its D.
    """
    tested = [f for f in findings if f.kind != "verdict"]
    family = holm(np.array([f.pvalue for f in tested]))
    corrected = {(f.kind, f.study, f.subject, f.where): p for f, p in zip(tested, family.tolist(), strict=True)}
    found = []
    for f in findings:
        kind = "distance" if f.kind == "verdict" else f.kind
        p = math.nan if math.isnan(f.pvalue) else corrected[kind, f.study, f.subject, f.where]
        found.append(dataclasses.replace(f, adjusted=p))
    return found
