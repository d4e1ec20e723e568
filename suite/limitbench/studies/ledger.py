"""Kinds of claims: how one statement of a paper is measured on a finished run and given a verdict.

Each function takes the cells it may use and returns one `Claim`; a run that lacks the cells gets a claim that says
which it would need. A claim about a failure ("infinite width fails") holds when the failure is seen.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal, ParamSpec

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.law_distance import deterministic_ks
from limitbench.statistics.laws import Empirical
from limitbench.statistics.ranking import paired_ratio, rank
from limitbench.statistics.rates import fit_rate
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import STANDARD_ERRORS, CellEvidence, Evidence, missing, within_errors

P = ParamSpec("P")
#: Below this chi-square p-value a fitted model is not the data's.
_BAD_FIT = 1e-3
#: Half-width of a 95 % interval in standard errors.
_HALF_95 = 1.959963984540054


def answering(kind: Callable[P, Claim]) -> Callable[P, Claim]:
    """Makes a kind of claim say so where its cells do not allow it: a theory outside its range, too few networks."""

    @functools.wraps(kind)
    def asked(*args: P.args, **kwargs: P.kwargs) -> Claim:
        try:
            return kind(*args, **kwargs)
        except InputError as error:
            return missing(str(kwargs["name"]), str(kwargs["text"]), math.nan, f"other cells: {error}")

    return asked


@answering
def worst_score_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    theory: str,
    *,
    expected: Literal["holds", "fails"],
    name: str,
    text: str,
) -> Claim:
    """Does `theory` hold (or fail) in every one of `cells`? Predicted is the margin, measured the least clear D."""
    margin = float(evidence.tree["scores"].attrs["margin"])
    scored = [(cell.score("distance", observable, theory), cell) for cell in cells]
    scored = [(d, cell) for d, cell in scored if math.isfinite(d)]
    if not scored:
        return missing(name, text, margin, f"cells where {theory} is scored")
    if len(scored) < len(cells):
        text = f"{text} ({len(cells) - len(scored)} cells without a score are left out)"
    distance, cell = (max if expected == "holds" else min)(scored, key=lambda pair: pair[0])
    verdicts = {cell.verdict(observable, theory) for _, cell in scored}
    opposite = {"holds": "fails", "fails": "holds"}[expected]
    verdict: Verdict = "holds" if verdicts == {expected} else "fails" if opposite in verdicts else "undecided"
    used = [cell for _, cell in scored]
    return Claim(
        name,
        text,
        margin,
        distance,
        cell.distance_error(observable, theory),
        verdict,
        sum(c.seconds for c in used),
        evidence.command(used),
        "at most" if expected == "holds" else "at least",
        distance,
    )


@answering
def growth_with_depth_claim(
    evidence: Evidence, columns: Sequence[Sequence[CellEvidence]], observable: str, theory: str, *, name: str, text: str
) -> Claim:
    """Share of columns in which D of `theory` increases at every step in depth.

    Holds where all do, each by more than the intervals of its two ends; fails where a step falls by more than the
    intervals of its ends.
    """
    columns = [column for column in columns if len(column) > 1]
    if not columns:
        return missing(name, text, 1.0, "at least two depths per width")
    growing, clear, falling = [], [], False
    for column in columns:
        low, middle, high = (
            [cell.score(field, observable, theory) for cell in column]
            for field in ("distance_low", "distance", "distance_high")
        )
        if not all(map(math.isfinite, (*low, *middle, *high))):
            return missing(name, text, 1.0, f"scores of {theory} in every cell of the columns")
        growing.append(all(b > a for a, b in itertools.pairwise(middle)))
        clear.append(low[-1] > high[0])
        falling |= any(after < before for before, after in zip(low, high[1:], strict=False))
    used = [cell for column in columns for cell in column]
    share = float(np.mean(growing))
    verdict: Verdict = "fails" if falling else "holds" if share == 1 and all(clear) else "undecided"
    return Claim(name, text, 1.0, share, 0.0, verdict, sum(c.seconds for c in used), evidence.command(used))


@answering
def best_theory_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    theory: str,
    competitors: Sequence[str],
    *,
    name: str,
    text: str,
) -> Claim:
    """Share of cells in which `theory` has the smallest D among `competitors`, ranked by a paired bootstrap.

    The standard error is the largest probability, over cells, that another competitor is best.
    """
    if not cells:
        return missing(name, text, 1.0, "cells in that range")
    chances = []
    for cell in cells:
        laws = {t: cell.theory(t).law(observable) for t in competitors}
        chances.append(rank(cell.samples(observable), laws).probability_best[theory])
    share = float(np.mean([p > 0.5 for p in chances]))
    verdict: Verdict = "holds" if min(chances) >= 0.95 else "fails" if min(chances) < 0.05 else "undecided"
    return Claim(
        name, text, 1.0, share, 1 - min(chances), verdict, sum(c.seconds for c in cells), evidence.command(cells)
    )


@answering
def paired_gain_claim(
    evidence: Evidence,
    cell: CellEvidence | None,
    observable: str,
    worse: str,
    better: str,
    *,
    at_least: float,
    name: str,
    text: str,
) -> Claim:
    """Ratio D(worse)/D(better) with a paired bootstrap interval; holds when its lower end is `at_least` or more."""
    if cell is None:
        return missing(name, text, at_least, "that cell")
    laws = [cell.theory(t).law(observable) for t in (worse, better)]
    ratio = paired_ratio(cell.samples(observable), *laws)
    verdict: Verdict = "holds" if ratio.low >= at_least else "fails" if ratio.high < at_least else "undecided"
    return Claim(
        name,
        text,
        at_least,
        ratio.value,
        (ratio.high - ratio.low) / (2 * _HALF_95),
        verdict,
        cell.seconds,
        evidence.command([cell]),
        "at least",
        cell.score("distance", observable, better),
    )


def signed_mean_errors(
    cells: Sequence[CellEvidence], observable: str, theory: str
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Widths, signed errors of the mean (network minus theory) and their standard errors."""
    widths, errors, ses = [], [], []
    for cell in cells:
        x = cell.samples(observable)
        law = cell.theory(theory).law(observable)
        widths.append(float(cell.parameters["width"]))
        errors.append(float(x.mean()) - law.mean)
        ses.append(float(x.std(ddof=1)) / math.sqrt(len(x)))
    return np.array(widths), np.array(errors), np.array(ses)


@answering
def rate_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    theory: str,
    *,
    predicted: float,
    tolerance: float,
    corrected: bool = False,
    name: str,
    text: str,
) -> Claim:
    """Exponent b of the signed mean error a n^-b, or a n^-b (1 + k n^-1/2) if `corrected`, within `tolerance`."""
    least = 4 if corrected else 3
    if len({cell.parameters["width"] for cell in cells}) < least:
        return missing(name, text, predicted, f"at least {least} widths at d/n = 1 and rate 1/2")
    widths, errors, ses = signed_mean_errors(cells, observable, theory)
    fit = fit_rate(widths, errors, ses, corrected=corrected)
    verdict: Verdict = "undecided"
    if fit.pvalue < _BAD_FIT:
        text = f"{text} (no such power law: fit p = {fit.pvalue:.2g})"
    elif abs(fit.b - predicted) <= tolerance and fit.b_se <= tolerance:
        verdict = "holds"
    elif abs(fit.b - predicted) > tolerance + STANDARD_ERRORS * fit.b_se:
        verdict = "fails"
    widest = max(cells, key=lambda cell: float(cell.parameters["width"]))
    return Claim(
        name,
        text,
        predicted,
        fit.b,
        fit.b_se,
        verdict,
        sum(c.seconds for c in cells),
        evidence.command(cells),
        distance=widest.score("distance", observable, theory),
    )


@answering
def amplitude_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    theory: str,
    reference: str,
    *,
    exponent: float,
    name: str,
    text: str,
) -> Claim:
    """Amplitude a of the signed mean error a n^-b (1 + k n^-1/2) at fixed b, against that of a law without sampling.

    The same model is fitted, with the same weights, to the error curve of `reference`. Holds where the amplitudes agree
    and the model fits the networks (chi-square p-value).
    """
    if len({cell.parameters["width"] for cell in cells}) < 4:
        return missing(name, text, math.nan, "at least four widths at d/n = 1 and rate 1/2")
    widths, errors, ses = signed_mean_errors(cells, observable, theory)
    curve = predicted_mean_errors(cells, observable, theory, reference)
    drawn = fit_rate(widths, errors, ses, corrected=True, exponent=exponent)
    predicted = fit_rate(widths, curve, ses, corrected=True, exponent=exponent)
    verdict = within_errors(predicted.a, drawn.a, drawn.a_se)
    if drawn.pvalue < _BAD_FIT:
        verdict = "fails"
    text = f"{text} (k = {drawn.k:.2f} ± {drawn.k_se:.2f}, predicted {predicted.k:.2f}; fit p = {drawn.pvalue:.2g})"
    seconds = sum(c.seconds for c in cells)
    return Claim(name, text, predicted.a, drawn.a, drawn.a_se, verdict, seconds, evidence.command(cells))


def predicted_mean_errors(
    cells: Sequence[CellEvidence], observable: str, theory: str, reference: str
) -> Float[np.ndarray, " cells"]:
    """Mean of `reference` less mean of `theory` in each cell: the error of `theory` without sampling."""
    return np.array([c.theory(reference).law(observable).mean - c.theory(theory).law(observable).mean for c in cells])


@answering
def predicted_curve_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    theory: str,
    reference: str,
    *,
    name: str,
    text: str,
) -> Claim:
    """Do the networks' errors against `theory` lie where `reference`, a law without sampling, puts them?

    Predicted and measured are those of the width that is furthest off in standard errors.
    """
    if len(cells) < 3:
        return missing(name, text, math.nan, "at least three widths at d/n = 1 and rate 1/2")
    widths, errors, ses = signed_mean_errors(cells, observable, theory)
    curve = predicted_mean_errors(cells, observable, theory, reference)
    off = np.abs(errors - curve) / ses
    if not np.isfinite(off).all():
        return missing(name, text, math.nan, "finite mean errors at every width")
    worst = int(np.argmax(off))
    verdict: Verdict = "holds" if off[worst] <= STANDARD_ERRORS else "fails"
    text = f"{text} (furthest off: width {widths[worst]:g})"
    return Claim(
        name,
        text,
        float(curve[worst]),
        float(errors[worst]),
        float(ses[worst]),
        verdict,
        sum(c.seconds for c in cells),
        evidence.command(cells),
        distance=cells[worst].score("distance", observable, reference),
    )


@answering
def solutions_agree_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    observable: str,
    solved: str,
    simulated: str,
    *,
    name: str,
    text: str,
    alarm: float = 1e-6,
) -> Claim:
    """Is a solved law the law of independently simulated paths? Kolmogorov-Smirnov, false alarm `alarm` in all.

    Measured is the largest distance over distinct laws, predicted the distance that a perfect solution has on average,
    0.87 M^-1/2 with M paths.
    """
    found = {}
    for cell in cells:
        paths = cell.theory(simulated).law(observable)
        if isinstance(paths, Empirical) and cell.theory(solved) not in found:
            found[cell.theory(solved)] = (
                ks_one_sample(paths.draws, cell.theory(solved).law(observable)),
                len(paths.draws),
            )
    if not found:
        return missing(
            name, text, math.nan, "cells at d = n and the critical rate, inputs neither parallel nor opposite"
        )
    (worst, _), paths_drawn = max(found.values(), key=lambda pair: pair[0][0])
    verdict: Verdict = "holds" if min(p for (_, p), _ in found.values()) >= alarm / len(found) else "fails"
    floor = 0.87 / math.sqrt(paths_drawn)
    return Claim(name, text, floor, worst, 0.26 / math.sqrt(paths_drawn), verdict, 0.0, evidence.command(cells))


@answering
def limit_distance_claim(
    evidence: Evidence, cell: CellEvidence, constant: float, *, name: str, text: str, tolerance: float
) -> Claim:
    """Width x KS of the exact finite-size law of ln Q_11 to the proportional limit, within a relative tolerance."""
    exact, limit = (cell.theory(t).law("log_q11") for t in ("finite-width", "proportional-limit"))
    measured = float(cell.parameters["width"]) * deterministic_ks(exact, limit)
    verdict: Verdict = "holds" if abs(measured / constant - 1) <= tolerance else "fails"
    return Claim(name, text, constant, measured, 0.0, verdict, 0.0, evidence.command([cell]))
