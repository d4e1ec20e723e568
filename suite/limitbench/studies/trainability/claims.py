"""The ledger of `trainability`: what predicts accuracy at initialisation, and where networks stop training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from limitbench.networks.training_data import DIGITS
from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing
from limitbench.studies.trainability import collapse_claims, region_claims
from limitbench.studies.trainability.accuracies import accuracies
from limitbench.studies.trainability.asked import TANH_RECALLED, Tables
from limitbench.studies.trainability.designs import RELU_IMAGES

#: Name, designs, predictors (better, worse) and words of every comparison of two predictors.
_COMPARED = (
    (
        "tanh-adam-gradient-predicts",
        ("tanh-adam",),
        ("gradient", "distance"),
        "Tanh, Adam: gradient explosion before training predicts test accuracy over all depths better than the "
        f"distance of two images does {TANH_RECALLED}",
    ),
    ("tanh-sgd-gradient-predicts", ("tanh-sgd",), ("gradient", "distance"), f"Tanh, SGD: the same {TANH_RECALLED}"),
    (
        "tanh-adam-product-collapses",
        ("tanh-adam",),
        ("product", "variance"),
        "Tanh, Adam: accuracies of all depths collapse in σ_w² L (standard deviation times √depth), not in σ_w²",
    ),
    ("tanh-sgd-product-collapses", ("tanh-sgd",), ("product", "variance"), "Tanh, SGD: the same collapse"),
    (
        "relu-distance-predicts",
        RELU_IMAGES,
        ("distance", "gradient"),
        "ReLU, Adam, images of several norms or angles: their distance predicts test accuracy better than the gradient "
        "ratio does [that it is the distance for ReLU is recollection of the paper, not its print]",
    ),
)
_COVERED = (
    "Standard errors and intervals here and below cover initialisation and order of images, not the single split into "
    "training and test images (1347 and 450 of digits)."
)
_EDGES = (("tanh-adam", "Tanh, Adam"), ("tanh-sgd", "Tanh, SGD"), ("relu-adam", "ReLU, Adam"))


def data_sets(evidence: Evidence) -> list[str]:
    """Names of the data sets of a run."""
    return sorted({str(cell.parameters["data"]) for cell in evidence.cells})


def tables_of(evidence: Evidence, data: str) -> Tables:
    """Accuracies by design."""
    designs = dict.fromkeys(str(cell.parameters["design"]) for cell in evidence.cells)
    found = {design: accuracies(evidence, design, data) for design in designs}
    return {design: table for design, table in found.items() if table is not None}


def claims(evidence: Evidence) -> list[Claim]:
    """All claims for every data set of the run, and the names of those that only larger data can decide."""
    sets = data_sets(evidence) or [DIGITS]
    found = []
    for data in sets:
        made = _claims(evidence, tables_of(evidence, data))
        found += made if data == DIGITS else [_on(claim, data) for claim in made]
    return [*found, *_untested(sets)]


def _claims(evidence: Evidence, tables: Tables) -> list[Claim]:
    compared = [
        collapse_claims.difference(evidence, tables, designs, names, name, text)
        for name, designs, names, text in _COMPARED
    ]
    compared[0] = replace(compared[0], text=f"{compared[0].text} {_COVERED}")
    return [
        *compared,
        collapse_claims.not_separable(evidence, tables),
        collapse_claims.larger_distance(evidence, tables),
        *(region_claims.edge_slope(evidence, tables, design, words) for design, words in _EDGES),
        region_claims.edge_gradient(evidence, tables),
        *(
            claim
            for design, words in (_EDGES[0], _EDGES[2])
            for claim in region_claims.deficit_claims(evidence, tables, design, words)
        ),
        region_claims.interior_optimum(evidence, tables),
        region_claims.plain_stops_first(evidence, tables),
        collapse_claims.predicted_gradients(evidence, tables),
    ]


def _on(claim: Claim, data: str) -> Claim:
    """The claim for another data set, in name, text and command."""
    command = f"{claim.command} --data DIR" if claim.command else ""
    return replace(claim, name=f"{claim.name}-{data}", text=f"{data}: {claim.text}", command=command)


def _untested(sets: Sequence[str]) -> list[Claim]:
    """What digits are too easy or too few to decide."""
    if any(data != DIGITS for data in sets):
        return []
    text = "MNIST, on which the paper trains: every claim above is untested on it until its files are given."
    peak = "The best σ_w² itself falls as 1/L. On digits the rows of accuracies are flat to 0.02 around their best, so "
    peak += "that its place is noise and is not asked; the upper edge is."
    return [
        missing("mnist", text, math.nan, "limitbench run trainability --data DIR, DIR with the files of MNIST"),
        missing("place-of-the-best", peak, math.nan, "more images than digits have: --data DIR"),
    ]
