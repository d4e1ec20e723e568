"""Claims of `residual-equivalence` about fluctuations: (d/n)^1/2 for MLPs, n^-1/2 for residual networks."""

from __future__ import annotations

import math

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.studies.ledger import answering
from limitbench.studies.residual_equivalence.cells import (
    MLP,
    NORMALISED,
    OBSERVABLE,
    PLAIN,
    WORDS,
    Estimate,
    root_cells,
    scaled,
    size,
    std,
)
from limitbench.theories.equivalence import GaussianFluctuation, KernelFluctuation

#: Sizes of sheet A section 2: d = n^1/2, so p = 1/4.
SIZES = ((64, 8), (256, 16), (1024, 32), (4096, 64))
#: The standard deviations of `KernelFluctuation` are simulated, to this relative error.
_SIMULATED = 0.01


def fluctuations(evidence: Evidence) -> list[Claim]:
    """(d/n)^1/2 for MLPs, with constant .4245 in the limit; n^-1/2 for residual networks."""
    limit = GaussianFluctuation(1.0, 3.0, -0.2, 8, 64).scaled_std
    cells = {(c.parameters["width"], c.parameters["depth"]): c for c in root_cells(evidence, MLP)}
    return [
        *(
            _scaled_sd(
                evidence,
                cells.get((n, d)),
                limit,
                name=f"scaled-sd-mlp-n{n}-d{d}",
                text=f"The MLP's sd(rho)/(d/n)^1/2 at n = {n}, d = {d} is that of the finite-width chain (limit "
                f"{limit:.4f}).",
            )
            for n, d in SIZES
        ),
        _approach(
            evidence,
            limit,
            name="scaled-sd-approaches-limit",
            text=f"The MLP's scaled sd approaches {limit:.4f}: its distance to it at the largest size over that at the "
            "smallest",
        ),
        *(
            _residual_fluctuation(
                evidence,
                network,
                name=f"fluctuation-{network}",
                text=f"n^1/2 sd(rho) of {WORDS[network]} is that of infinite width + CLT",
            )
            for network in (NORMALISED, PLAIN)
        ),
        _ratio(
            evidence,
            name="mlp-fluctuates-more",
            text="Equal in the mean, unequal in law: the MLP's sd(rho) over that of the normalised residual network",
        ),
    ]


@answering
def _scaled_sd(evidence: Evidence, cell: CellEvidence | None, limit: float, *, name: str, text: str) -> Claim:
    if cell is None:
        return missing(name, text, limit, "the shaped MLP at this size")
    root = math.sqrt(_width(cell) / float(cell.parameters["depth"]))
    predicted = root * cell.theory("finite-width-chain").law(OBSERVABLE).std
    found = scaled(cell)
    distance = cell.score("distance", OBSERVABLE, "finite-width-chain")
    return value_claim(evidence, [cell], predicted, found.value, found.se, name=name, text=text, distance=distance)


@answering
def _approach(evidence: Evidence, limit: float, *, name: str, text: str) -> Claim:
    cells = root_cells(evidence, MLP)
    if len(cells) < 2:
        return missing(name, f"{text}.", 1.0, "two sizes with d = n^1/2 of the shaped MLP")
    first, last = (Estimate(scaled(c).value - limit, scaled(c).se) for c in (cells[0], cells[-1]))
    ratio = abs(last.value / first.value)
    se = math.hypot(last.se, ratio * first.se) / abs(first.value)
    words = f"{text} ({size(cells[0])} to {size(cells[-1])})."
    return value_claim(evidence, [cells[0], cells[-1]], 1.0, ratio, se, name=name, text=words, relation="at most")


@answering
def _residual_fluctuation(evidence: Evidence, network: str, *, name: str, text: str) -> Claim:
    cells = root_cells(evidence, network)
    if not cells:
        return missing(name, f"{text}.", math.nan, "that network at d = n^1/2, Delta = 3, slope_mean 0, rho0 = -0.2")
    cell = cells[-1]
    root = math.sqrt(float(cell.parameters["width"]))
    predicted = _scaled_std(cell)
    found = std(cell.samples(OBSERVABLE))
    se = math.hypot(root * found.se, _SIMULATED * predicted)
    distance = cell.score("distance", OBSERVABLE, "kernel-fluctuation")
    words = f"{text}, {size(cell)}."
    return value_claim(evidence, [cell], predicted, root * found.value, se, name=name, text=words, distance=distance)


@answering
def _ratio(evidence: Evidence, *, name: str, text: str) -> Claim:
    pairs = list(zip(root_cells(evidence, MLP), root_cells(evidence, NORMALISED), strict=False))
    if not pairs or size(pairs[-1][0]) != size(pairs[-1][1]):
        return missing(name, f"{text}.", math.nan, "both networks at d = n^1/2")
    mlp, ours = pairs[-1]
    a, b = (std(c.samples(OBSERVABLE)) for c in (mlp, ours))
    ratio = a.value / b.value
    predicted = mlp.theory("finite-width-chain").law(OBSERVABLE).std / (_scaled_std(ours) / math.sqrt(_width(ours)))
    se = ratio * math.sqrt((a.se / a.value) ** 2 + (b.se / b.value) ** 2 + _SIMULATED**2)
    return value_claim(
        evidence, [mlp, ours], predicted, ratio, se, name=name, text=f"{text}, {size(mlp)}; it grows as d^1/2."
    )


def _scaled_std(cell: CellEvidence) -> float:
    theory = cell.theory("kernel-fluctuation")
    assert isinstance(theory, KernelFluctuation)
    return theory.scaled_std(OBSERVABLE)


def _width(cell: CellEvidence) -> float:
    return float(cell.parameters["width"])
