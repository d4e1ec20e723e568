"""Ledger of `deep-linear-posterior`: networks weighed by their likelihood against the three mixtures over Q."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy.special import kolmogi
from scipy.stats import norm

from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.studies.base import Claim, Verdict
from limitbench.studies.deep_linear_posterior.limits import limit_claims
from limitbench.studies.deep_linear_posterior.measures import ENOUGH, NORMAL, CellPosterior, posterior_of
from limitbench.studies.deep_linear_posterior.tasks import LABELS, aspect, finite, limit, nngp
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim, widest
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.measured import Measured
from limitbench.theories.linear_posterior.base import PosteriorTheory

#: Accepted networks from which on D of a posterior draw is told from the margin.
_SHARP = 6000
#: False alarm of all comparisons over the cells of a run together.
_ALARM = 1e-6

#: What is estimated, from networks and from a theory.
Quantity = tuple[Callable[[CellPosterior], Measured], Callable[[PosteriorTheory], float]]
MEAN: Quantity = (lambda seen: seen.mean, lambda theory: float(theory.posterior.mean[0]))
VARIANCE: Quantity = (lambda seen: seen.variance, lambda theory: float(theory.posterior.covariance[0, 0]))
COUPLING: Quantity = (
    lambda seen: seen.coupling,
    lambda theory: float(theory.posterior.covariance[0, 1]),
)


def claims(evidence: Evidence) -> list[Claim]:
    """Moments at depth = width, signs of the coupling, NNGP's failure, every cell, scores; then the limits."""
    found = []
    for labels in LABELS:
        cell = depth_is_width(evidence, labels)
        found += [_moment(evidence, cell, labels, "mean", MEAN), _moment(evidence, cell, labels, "variance", VARIANCE)]
        if labels != "one":
            found += [_moment(evidence, cell, labels, "coupling", COUPLING), _sign(evidence, cell, labels)]
    found += [_nngp_mean(evidence, labels) for labels in ("one", "equal")]
    return [
        *found,
        *_every_cell(evidence),
        _effective_size(evidence),
        *_scores(evidence),
        *limit_claims(evidence),
    ]


def depth_is_width(evidence: Evidence, labels: str) -> CellEvidence | None:
    """The widest cell at L = N; the noisiest of these, where most networks count."""
    cells = widest(evidence.where(labels=labels, alpha=1.0))
    return max(cells, key=lambda cell: float(cell.parameters["noise"]), default=None)


def _needs(labels: str) -> str:
    return f"labels {labels}, depth = width, networks enough for an effective sample size of {ENOUGH:g}"


def _moment(evidence: Evidence, cell: CellEvidence | None, labels: str, word: str, quantity: Quantity) -> Claim:
    measure, predict = quantity
    name = f"{word}-{labels}"
    what = "covariance of the two outputs" if word == "coupling" else f"{word} of the first output"
    text = f"Posterior {what}, {labels if labels == 'one' else labels + ' labels'}, at L = N, is the finite mixture's"
    if cell is None:
        return missing(name, f"{text}.", math.nan, _needs(labels))
    seen, at = posterior_of(evidence, cell), cell.parameters
    exact, proportional, infinite = (predict(build(at)) for build in (finite, limit, nngp))
    text += (
        f" (N = {at['width']}, T = {at['noise']:g}; limit {proportional:.4f}, NNGP {infinite:.4f}; effective sample "
        f"size {seen.effective:.0f} of {seen.networks} networks)."
    )
    estimate = measure(seen)
    # a quarter of what infinite width is off by, or the networks say nothing about it
    resolution = max(abs(exact - infinite), abs(exact) / 4)
    return value_claim(
        evidence,
        [cell],
        exact,
        estimate.value,
        estimate.se,
        name=name,
        text=text,
        resolution=resolution,
        distance=cell.score("distance", "posterior_output_1", "finite-mixture"),
    )


def _sign(evidence: Evidence, cell: CellEvidence | None, labels: str) -> Claim:
    name, sign = f"coupling-sign-{labels}", "positively" if labels == "equal" else "negatively"
    text = f"{labels.capitalize()} labels couple the two outputs {sign}, where NNGP leaves them uncoupled"
    if cell is None:
        return missing(name, f"{text}.", 0.0, _needs(labels))
    seen = posterior_of(evidence, cell)
    estimate = seen.coupling
    return value_claim(
        evidence,
        [cell],
        0.0,
        estimate.value,
        estimate.se,
        name=name,
        text=f"{text} (L = N = {cell.parameters['width']}; effective sample size {seen.effective:.0f}).",
        relation="at least" if labels == "equal" else "at most",
    )


def _nngp_mean(evidence: Evidence, labels: str) -> Claim:
    """These labels are small beside the prior, so that a posterior that adapts its scale shrinks the prediction."""
    name = f"nngp-mean-fails-{labels}"
    text = "Networks shrink their predictive mean below NNGP's at L = N"
    cell = depth_is_width(evidence, labels)
    if cell is None:
        return missing(name, f"{text}.", math.nan, _needs(labels))
    seen = posterior_of(evidence, cell)
    estimate, bound = seen.mean, MEAN[1](nngp(cell.parameters))
    return value_claim(
        evidence,
        [cell],
        bound,
        estimate.value,
        estimate.se,
        name=name,
        text=f"{text} ({labels}; N = {cell.parameters['width']}; effective sample size {seen.effective:.0f}).",
        relation="at most",
        distance=cell.score("distance", "posterior_output_1", "infinite-width"),
    )


def _every_cell(evidence: Evidence) -> list[Claim]:
    """All cells against the finite mixture: importance sampling of its moments, and posterior draws of its law."""
    off, distances, used, drawn_in, accepted = [], [], [], [], 0
    for cell in evidence.cells:
        seen, theory = posterior_of(evidence, cell), finite(cell.parameters)
        if seen.effective >= NORMAL:
            for measure, predict in (MEAN, VARIANCE, *((COUPLING,) if len(seen.draws) > 1 else ())):
                estimate = measure(seen)
                off.append(abs(estimate.value - predict(theory)) / estimate.se)
            used.append(cell)
        for output, drawn in enumerate(seen.draws, start=1):
            if drawn.size >= ENOUGH:
                distance, _ = ks_one_sample(drawn, theory.law(f"posterior_output_{output}"))
                distances.append(math.sqrt(drawn.size) * distance)
                drawn_in.append(cell)
                accepted += drawn.size
    alarm = f"the bound has false alarm {_ALARM:g} in all"
    few = len(evidence.cells) - len(used)
    moments = _bounded(
        evidence,
        used,
        off,
        float(norm.isf(_ALARM / (2 * max(len(off), 1)))),
        1.0,
        name="every-cell",
        text="Posterior means, variances and couplings of networks are the finite mixture's in every cell",
        details=f"largest deviation in standard errors of {len(off)} comparisons; {alarm} ({few} cells of an "
        f"effective sample size below {NORMAL:g} are left out)",
        enough=NORMAL,
    )
    draws = _bounded(
        evidence,
        drawn_in,
        distances,
        float(kolmogi(_ALARM / max(len(distances), 1))),
        0.26,  # standard deviation of Kolmogorov's law
        name="posterior-draws",
        text="Networks accepted with probability exp(-|Y - S|^2/(2T)) have the finite mixture's predictive law",
        details=f"largest sqrt(networks) x Kolmogorov-Smirnov distance of {len(distances)} outputs of {accepted:,} "
        f"draws; {alarm}",
        enough=ENOUGH,
    )
    return [moments, draws]


def _bounded(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    found: Sequence[float],
    bound: float,
    se: float,
    *,
    name: str,
    text: str,
    details: str,
    enough: float,
) -> Claim:
    """The largest of many deviations against the bound of the family."""
    if not found:
        return missing(name, f"{text}.", math.nan, f"cells in which {enough:g} networks count")
    verdict: Verdict = "holds" if max(found) <= bound else "fails"
    seconds = sum(cell.seconds for cell in cells)
    command = evidence.command(cells)
    return Claim(name, f"{text}: {details}.", bound, max(found), se, verdict, seconds, command, "at most")


def _effective_size(evidence: Evidence) -> Claim:
    name = "effective-sample-size"
    text = f"Smallest effective sample size of a cell; below {ENOUGH:g} no standard error is given"
    if not evidence.cells:
        return missing(name, f"{text}.", ENOUGH, "any cell")
    smallest, index = min((posterior_of(evidence, cell).effective, i) for i, cell in enumerate(evidence.cells))
    cell = evidence.cells[index]
    at = cell.parameters
    text += f" ({at['labels']}, T = {at['noise']:g}, N = {at['width']}, L = {at['depth']})."
    verdict: Verdict = "holds" if smallest >= ENOUGH else "undecided"
    return Claim(name, text, ENOUGH, smallest, 0.0, verdict, cell.seconds, evidence.command([cell]), "at least")


def _scores(evidence: Evidence) -> list[Claim]:
    """Laws of accepted networks, which are exact posterior draws."""
    sharp = [cell for cell in evidence.cells if posterior_of(evidence, cell).draws[0].size >= _SHARP]
    deep = [cell for cell in sharp if aspect(cell.parameters) >= 1]
    wide = [cell for cell in sharp if float(cell.parameters["width"]) >= 32]

    def claim(name: str, theory: str, cells: Sequence[CellEvidence], expected: str, text: str) -> Claim:
        return worst_score_claim(
            evidence,
            cells,
            "posterior_output_1",
            theory,
            expected="holds" if expected == "holds" else "fails",
            name=name,
            text=f"{text} (cells of {_SHARP:,} accepted networks).",
        )

    return [
        claim(
            "finite-mixture-holds",
            "finite-mixture",
            sharp,
            "holds",
            "The finite mixture is the law of the posterior draws of an output (largest D)",
        ),
        claim(
            "limit-holds",
            "proportional-limit",
            wide,
            "holds",
            "The proportional limit's law of a predicted output holds from width 32 on (largest D)",
        ),
        claim(
            "nngp-fails",
            "infinite-width",
            deep,
            "fails",
            "Infinite width's law of a predicted output fails wherever L >= N (smallest D)",
        ),
    ]
