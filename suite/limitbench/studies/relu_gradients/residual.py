"""Ledger of the residual networks: one log-normal law for all directions if Balanced, an observation if vanilla.

No theory is claimed for the gradients of vanilla ResNets: their masks depend on what they pass on, and the known
constants are those of the forward norm. What stands here for them are simulated numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.measured import Measured, mean_of, values, variance_of
from limitbench.studies.relu_gradients.pairs import pooled, spread_difference

VANILLA, BALANCED, BALANCED_LAW = "resnet", "balanced", "balanced-log-normal"
#: Width from which on the log-normal law of Balanced networks holds.
_WIDE = 32
#: Networks in a cell from which on its D is told from the margin.
_SHARP = 8000
#: Earlier simulations of Var ln |J'v|^2 at alpha = lambda by (width, depth), with standard errors.
_OBSERVED = {
    (64, 64): (4.32, 0.10),
    (128, 128): (4.10, 0.11),
    (256, 256): (3.96, 0.13),
    (128, 32): (0.948, 0.015),
    (256, 64): (0.939, 0.017),
}


def residual_claims(evidence: Evidence) -> list[Claim]:
    """Balanced networks first."""
    return [*_balanced(evidence), _below_forward(evidence), *_observations(evidence)]


def whole_networks(evidence: Evidence, network: str) -> list[CellEvidence]:
    """Cells that are read at their last layer."""
    return [c for c in evidence.where(network=network) if c.parameters["layer"] == c.parameters["depth"]]


def _balanced(evidence: Evidence) -> list[Claim]:
    cells = [c for c in evidence.where(network=BALANCED) if int(c.parameters["width"]) >= _WIDE]
    wide = [c for c in cells if int(evidence.tree["run"]["n_samples"].isel(c.at)) >= _SHARP]
    words = {"log_norm": "|z_l|^2", "log_jacobian": "|Ju|^2", "log_gradient": "|J'v|^2"}
    found = [
        worst_score_claim(
            evidence,
            wide,
            name,
            BALANCED_LAW,
            expected="holds",
            name=f"balanced-{name.replace('_', '-')}",
            text=f"Balanced ResNets: ln {word} is N(-beta/2, beta), beta = 2.25 l/n at alpha = lambda, from width "
            f"{_WIDE} on (arXiv 2106.04013; for |J'v|^2 a limit alone; cells of {_SHARP:,} networks).",
        )
        for name, word in words.items()
    ]
    cells = whole_networks(evidence, BALANCED)
    for other, word in (("log_jacobian", "|Ju|^2"), ("log_gradient", "|J'v|^2")):
        name = f"balanced-one-variance-{other.replace('_', '-')}"
        text = f"Balanced ResNets: ln|z_d|^2 and ln {word} have one variance (difference over 2.25 d/n, pooled)."
        measured = pooled([_difference(cell, other) for cell in cells])
        if measured is None:
            found.append(missing(name, text, 0.0, "balanced networks at their last layer"))
            continue
        found.append(
            value_claim(
                evidence, measured.cells, 0.0, measured.value, measured.se, name=name, text=text, resolution=0.25
            )
        )
    return found


def _difference(cell: CellEvidence, other: str) -> Measured:
    scale = 2.25 * int(cell.parameters["depth"]) / int(cell.parameters["width"])
    return spread_difference(values(cell, "log_norm"), values(cell, other), scale, (cell,))


def _below_forward(evidence: Evidence) -> Claim:
    """The forward variance less the gradient's, over the forward one."""
    name = "vanilla-gradient-spreads-less"
    text = "Observation, no theory: in vanilla ResNets Var ln|J'v|^2 is below Var ln|z_d|^2 (smallest relative "
    text += "difference in standard errors, from width 32 and 16 blocks on; 3.96 against 5.31 at n = d = 256 in an "
    text += "earlier simulation)."
    found = []
    for cell in whole_networks(evidence, VANILLA):
        forward, back = values(cell, "log_norm"), values(cell, "log_gradient")
        scale = variance_of(forward).value
        if int(cell.parameters["depth"]) >= 16 and int(cell.parameters["width"]) >= _WIDE and scale > 0:
            found.append(spread_difference(forward, back, scale, (cell,)))
    if not found:
        return missing(name, text, 0.0, f"vanilla ResNets from width {_WIDE} and 16 blocks on, at their last layer")
    least = min(found, key=lambda m: m.value / m.se)
    return value_claim(evidence, least.cells, 0.0, least.value, least.se, name=name, text=text, relation="at least")


def _observations(evidence: Evidence) -> list[Claim]:
    """The simulated variances of vanilla gradients, where the run has their cells."""
    cells = {(int(c.parameters["width"]), int(c.parameters["depth"])): c for c in whole_networks(evidence, VANILLA)}
    found = []
    for (width, depth), (variance, se) in _OBSERVED.items():
        name = f"vanilla-gradient-variance-n{width}-d{depth}"
        text = f"Observation, no theory: Var ln|J'v|^2 of vanilla ResNets at n = {width}, d = {depth} is that of an "
        text += f"earlier simulation, {variance:g} +- {se:g}"
        if (width, depth) not in cells:
            continue
        cell = cells[width, depth]
        measured, mean = variance_of(values(cell, "log_gradient")), mean_of(values(cell, "log_gradient"))
        forward = variance_of(values(cell, "log_norm"))
        text += f" (mean {mean.value:.2f}, forward variance {forward.value:.2f})."
        both = math.hypot(se, measured.se)
        found.append(
            value_claim(evidence, [cell], variance, measured.value, both, name=name, text=text, resolution=variance / 3)
        )
    if not found:
        name, text = "vanilla-gradient-variance-n64-d64", "Observation, no theory: Var ln|J'v|^2 of vanilla ResNets."
        return [missing(name, text, _OBSERVED[64, 64][0], "width and depth 64, the last layer read")]
    return found


def variances(cells: Sequence[CellEvidence], observable: str) -> list[Measured]:
    """Variance of each cell."""
    return [variance_of(values(cell, observable), (cell,)) for cell in cells]
