"""What the claims of `trainability` share: tables by design, verdicts that need replicates, missing images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ParamSpec

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.base import Claim, Relation, Verdict
from limitbench.studies.evidence import CellEvidence, Evidence, missing
from limitbench.studies.trainability.accuracies import ENOUGH, Accuracies

P = ParamSpec("P")
#: Accuracies of every design of a run on one data set.
Tables = Mapping[str, Accuracies]
#: What marks the claims that a gradient ratio decides for tanh.
TANH_RECALLED = (
    "[that it is the gradient ratio for tanh is recollection of the paper, not its print: its abstract says either one "
    "or the other]"
)
#: Ends of a 95 % interval.
INTERVAL = (2.5, 97.5)


def answering(name: str) -> Callable[[Callable[P, Claim]], Callable[P, Claim]]:
    """Makes a kind of claim say so where it needs images that are not at hand."""

    def asking(kind: Callable[P, Claim]) -> Callable[P, Claim]:
        @functools.wraps(kind)
        def asked(*args: P.args, **kwargs: P.kwargs) -> Claim:
            try:
                return kind(*args, **kwargs)
            except InputError as error:
                text = "What theory knows before training depends on the images."
                return missing(name, text, float("nan"), str(error))

        return asked

    return asking


def stream(name: str) -> np.random.Generator:
    """Random numbers of one claim, so that claims do not change with one another."""
    return np.random.default_rng(list(name.encode()))


def sign(values: np.ndarray) -> Verdict:
    """Whether 95 % of resampled values are positive (`holds`) or negative (`fails`)."""
    low, high = np.percentile(values, INTERVAL)
    return "holds" if low > 0 else "fails" if high < 0 else "undecided"


def decided(claim: Claim, tables: Sequence[Accuracies]) -> Claim:
    """The claim, undecided where a cell has fewer than `ENOUGH` replicates."""
    few = min(table.replicates for table in tables) < ENOUGH
    return replace(claim, verdict="undecided") if few else claim


def claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    name: str,
    text: str,
    predicted: float,
    measured: float,
    se: float,
    relation: Relation,
    verdict: Verdict,
) -> Claim:
    """A claim with the seconds and the command of its cells."""
    seconds = sum(cell.seconds for cell in cells)
    return Claim(name, text, predicted, measured, se, verdict, seconds, evidence.command(cells), relation)
