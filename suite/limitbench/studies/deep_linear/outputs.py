"""Claims of `deep-linear` about the outputs S for one input with |x|^2 = n_0.

Given Q they are Gaussian; unconditionally they are not, and their squares are correlated. At fixed depth both effects
vanish, at rate 1/N for the law of an output although ln Q_11 itself fluctuates by N^-1/2.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import kolmogi

from limitbench.numerics.law_distance import deterministic_ks
from limitbench.statistics.laws import Normal
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.studies.base import Claim, Verdict
from limitbench.studies.deep_linear.cells import layer_widths
from limitbench.studies.deep_linear.measures import (
    DIRECTIONS,
    NNGP_ERROR,
    energy_distance,
    output_excess,
    outputs_of,
    predicted_energy_distance,
    predicted_excess,
    projections,
    same_depth,
    whitened_outputs,
)
from limitbench.studies.evidence import CellEvidence, Evidence, missing, moment_claim, value_claim
from limitbench.studies.ledger import answering, worst_score_claim
from limitbench.theories.deep_linear import FiniteWidth, finite_second_moments, limit_second_moments

_ALARM = 1e-6
_GROUPS = 64
#: Literal networks behind the claims about S given Q, and their width and depth.
_REAL, _REAL_WIDTH = 4096, 16


def output_claims(evidence: Evidence) -> list[Claim]:
    """All claims about the outputs."""
    covariance = _squared_covariance(
        evidence,
        name="squared-outputs-covariance",
        text="Cov(S1^2, S2^2) at L/N = 1/4, mean over the widths, is (1 + 2/N)^L - 1, in the limit e^(1/2) - 1 = 0.649 "
        "(NNGP: 0).",
    )
    return [*_gaussian_mixture(evidence), covariance, *_scores(evidence), *_fixed_depth(evidence)]


def _gaussian_mixture(evidence: Evidence) -> list[Claim]:
    claims = []
    for given_q in (True, False):
        which = "given-q" if given_q else "unconditional"
        said = "Given Q the outputs are Gaussian" if given_q else "Unconditionally the outputs are not Gaussian"
        said += f" ({_REAL} literal networks drawn for this claim, N = L = {_REAL_WIDTH})" if given_q else ""
        values = "Q^(-1/2) S" if given_q else "S, whose covariance is I,"
        claims.append(
            _projection_claim(
                evidence,
                given_q,
                name=f"outputs-{which}-projections",
                text=f"{said}: largest sqrt(networks) x KS of 16 projections of {values} to N(0,1); the bound has "
                f"false alarm {_ALARM:g} in all (L/N = 1).",
            )
        )
        claims.append(
            _energy_claim(
                evidence,
                given_q,
                name=f"outputs-{which}-energy",
                text=f"{said}: squared energy distance of {values} to N(0, I) "
                + ("is 0 (L/N = 1)." if given_q else "is pi int (F - Phi)^2 with an output's exact law F (L/N = 1)."),
            )
        )
    return claims


@answering
def _projection_claim(evidence: Evidence, given_q: bool, *, name: str, text: str) -> Claim:
    bound = float(kolmogi(_ALARM / DIRECTIONS))
    cells = evidence.where(alpha=1.0, outputs=2, widths="equal")
    if not cells:
        return missing(name, text, bound, "L/N = 1, outputs 2")
    cell = cells[-1]
    seen = projections(whitened_outputs(_REAL_WIDTH, _REAL) if given_q else outputs_of(cell))
    found = [ks_one_sample(seen[:, k], Normal(0.0, 1.0)) for k in range(DIRECTIONS)]
    largest, gaussian = max(ks for ks, _ in found), min(p for _, p in found) >= _ALARM / DIRECTIONS
    verdict: Verdict = "holds" if gaussian is given_q else "fails"
    error = deterministic_ks(cell.theory("finite-width").law("output_1"), Normal(0.0, 1.0))
    if gaussian and math.sqrt(len(seen)) * error < 2 * bound:
        verdict = "undecided"  # too few networks to tell a mixture from a Gaussian
    return Claim(
        name,
        text,
        bound,
        math.sqrt(len(seen)) * largest,
        0.26,  # standard deviation of Kolmogorov's law
        verdict,
        cell.seconds,
        evidence.command([cell]),
        "at most" if given_q else "at least",
        cell.score("distance", "output_1", "finite-width" if given_q else "infinite-width"),
    )


@answering
def _energy_claim(evidence: Evidence, given_q: bool, *, name: str, text: str) -> Claim:
    cells = evidence.where(alpha=1.0, outputs=2, widths="equal")
    if not cells:
        return missing(name, text, 0.0 if given_q else math.nan, "L/N = 1, outputs 2")
    cell = cells[-1]
    mixture = predicted_energy_distance(cell.theory("finite-width").law("output_1"))
    pairs = whitened_outputs(_REAL_WIDTH, _REAL) if given_q else outputs_of(cell)
    groups = np.array([energy_distance(part) for part in np.array_split(pairs, min(_GROUPS, len(pairs) // 2))])
    return value_claim(
        evidence,
        [cell],
        0.0 if given_q else mixture,
        float(groups.mean()),
        float(groups.std(ddof=1) / math.sqrt(groups.size)),
        name=name,
        text=text,
        resolution=mixture,
        distance=cell.score("distance", "output_1", "finite-width"),
    )


@answering
def _squared_covariance(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = evidence.where(alpha=0.25, outputs=2, widths="equal")
    if not cells:
        return missing(name, text, limit_second_moments(0.25).q11_squared - 1, "L/N = 1/4, outputs 2")
    predicted = float(np.mean([finite_second_moments(layer_widths(c.parameters)).q11_squared - 1 for c in cells]))
    values = [np.prod(outputs_of(cell) ** 2, axis=1) - 1 for cell in cells]  # E S_i^2 = 1 is known
    return value_claim(
        evidence,
        cells,
        predicted,
        float(np.mean([x.mean() for x in values])),
        math.hypot(*(x.std(ddof=1) / math.sqrt(len(x)) for x in values)) / len(values),
        name=name,
        text=text,
        resolution=predicted,
        distance=cells[-1].score("distance", "output_1", "proportional-limit"),
    )


def _scores(evidence: Evidence) -> list[Claim]:
    """ln |S|^2 at every depth; a single output where its law has light enough tails for a D."""
    cells = evidence.where(outputs=2)
    deep = [c for c in cells if float(c.parameters["depth"]) >= float(c.parameters["width"])]
    wide = [c for c in cells if float(c.parameters["width"]) >= 64]
    shallow = evidence.where(outputs=2, alpha=0.25, widths="equal")
    return [
        worst_score_claim(
            evidence,
            cells,
            "log_output",
            "finite-width",
            expected="holds",
            name="log-output-exact",
            text="The exact finite-size law of ln |S|^2 holds in every cell (largest D).",
        ),
        worst_score_claim(
            evidence,
            wide,
            "log_output",
            "proportional-limit",
            expected="holds",
            name="log-output-limit-holds",
            text="The proportional limit holds for ln |S|^2 from width 64 on (largest D).",
        ),
        worst_score_claim(
            evidence,
            deep,
            "log_output",
            "infinite-width",
            expected="fails",
            name="log-output-nngp-fails",
            text="Infinite width (NNGP) fails for ln |S|^2 wherever depth >= width (smallest D).",
        ),
        worst_score_claim(
            evidence,
            shallow,
            "output_1",
            "infinite-width",
            expected="fails",
            name="single-output-nngp-fails",
            text="At L/N = 1/4 already NNGP's N(0, 1) fails for a single output (smallest D), ten times less than for "
            "ln Q11.",
        ),
    ]


def _fixed_depth(evidence: Evidence) -> list[Claim]:
    return [
        _rate_constant(
            name="nngp-rate-constant",
            text="At fixed depth L the law of an output has KS distance 0.1376 L/N to N(0,1): N x KS / L of the exact "
            "law at L = 4, N = 4096 (laws alone, no networks).",
        ),
        _rate_of_networks(
            evidence,
            name="nngp-rate-output",
            text="At one depth the excess of networks with |S1| <= 0.742 over N(0,1) falls with width by the exponent "
            "of the exact law (1 for width >> depth)",
        ),
        _rate_of_scale(
            evidence,
            name="nngp-rate-log-q11",
            text="At one depth sd(ln Q11) falls with width only by the exponent 1/2: a network's scale is N^(-1/2) "
            "from NNGP where the law of its outputs is N^(-1)",
        ),
    ]


@answering
def _rate_constant(*, name: str, text: str) -> Claim:
    width, depth = 4096, 4
    law = FiniteWidth(width=width, depth=depth, outputs=1).law("output_1")
    measured = width / depth * deterministic_ks(law, Normal(0.0, 1.0))
    verdict: Verdict = "holds" if abs(measured / NNGP_ERROR - 1) <= 0.01 else "fails"
    return Claim(name, text, NNGP_ERROR, measured, 0.0, verdict)


@answering
def _rate_of_networks(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = same_depth(evidence)
    if not cells:
        return missing(name, f"{text}.", 1.0, "two widths at one depth, outputs 2")
    ends = cells[0], cells[-1]
    exact = [predicted_excess(cell.theory("finite-width").law("output_1")) for cell in ends]
    (narrow, narrow_se), (wide, wide_se) = (output_excess(cell) for cell in ends)
    if not min(narrow, wide) > 0:
        return missing(name, f"{text}.", 1.0, "networks enough to resolve the excess")
    span = _log_width(ends[1]) - _log_width(ends[0])
    return value_claim(
        evidence,
        ends,
        math.log(exact[0] / exact[1]) / span,
        math.log(narrow / wide) / span,
        math.hypot(narrow_se / narrow, wide_se / wide) / span,
        name=name,
        text=f"{text}: {_where(ends)}.",
        resolution=1.0,
        distance=ends[1].score("distance", "output_1", "infinite-width"),
    )


@answering
def _rate_of_scale(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = same_depth(evidence)
    if not cells:
        return missing(name, f"{text}.", 0.5, "two widths at one depth, outputs 2")
    ends = cells[0], cells[-1]
    found = []
    for cell in ends:
        exact = FiniteWidth(width=layer_widths(cell.parameters), outputs=2).cumulant("log_q11", 2)
        drawn = moment_claim(evidence, cell, "log_q11", "variance", exact, name=name, text=text)
        found.append((exact, drawn.measured, drawn.se / drawn.measured))
    span = 2 * (_log_width(ends[1]) - _log_width(ends[0]))
    return value_claim(
        evidence,
        ends,
        math.log(found[0][0] / found[1][0]) / span,
        math.log(found[0][1] / found[1][1]) / span,
        math.hypot(found[0][2], found[1][2]) / span,
        name=name,
        text=f"{text}: {_where(ends)}.",
        resolution=0.25,
        distance=ends[1].score("distance", "log_q11", "infinite-width"),
    )


def _log_width(cell: CellEvidence) -> float:
    return math.log(float(cell.parameters["width"]))


def _where(ends: tuple[CellEvidence, CellEvidence]) -> str:
    widths = " to ".join(str(cell.parameters["width"]) for cell in ends)
    return f"depth {ends[0].parameters['depth']}, width {widths}"
