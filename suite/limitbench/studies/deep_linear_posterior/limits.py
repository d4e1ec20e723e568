"""Claims of `deep-linear-posterior` about limits: wide networks of fixed depth, N -> infinity at L/N, no noise."""

from __future__ import annotations

import itertools
import math

import numpy as np

from limitbench.studies.base import Claim, Verdict
from limitbench.studies.deep_linear_posterior.measures import posterior_of
from limitbench.studies.deep_linear_posterior.tasks import finite, nngp, regression
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.theories.linear_posterior import FiniteWidth, InfiniteWidth, ProportionalLimit

#: Noise variance of the claims about laws alone.
_NOISE = 0.2
#: Noise variance that stands for none.
_TINY = 1e-7
_WIDTHS = (8, 32, 128)


def limit_claims(evidence: Evidence) -> list[Claim]:
    """Fixed depth, rates, no noise."""
    return [
        _rate("one"),
        _rate("equal"),
        _fixed_depth_rate(),
        _fixed_depth(evidence),
        _noiseless_mean("one"),
        _noiseless_mean("equal"),
        _noiseless_covariance("one", 0, 0),
        _noiseless_covariance("equal", 0, 0),
        _noiseless_covariance("opposite", 0, 1),
        _less_noise(evidence),
    ]


def _exact_claim(name: str, text: str, predicted: float, measured: float, tolerance: float) -> Claim:
    """A number computed without networks, within a relative tolerance."""
    verdict: Verdict = "holds" if abs(measured - predicted) <= tolerance * abs(predicted) else "fails"
    return Claim(name, f"{text} (laws alone, no networks).", predicted, measured, 0.0, verdict)


def _rate(labels: str) -> Claim:
    """N x (finite - limit) at L = N: the error falls as 1/N."""
    task = regression(labels, _NOISE)
    limit = ProportionalLimit(1.0, task).posterior
    at = (0, 0) if labels == "one" else (0, 1)
    errors = [float(FiniteWidth(n, n, task).posterior.covariance[at] - limit.covariance[at]) for n in _WIDTHS]
    if labels == "one":
        errors = [float(FiniteWidth(n, n, task).posterior.mean[0] - limit.mean[0]) for n in _WIDTHS]
    slope = -math.log(errors[-1] / errors[-2]) / math.log(_WIDTHS[-1] / _WIDTHS[-2])
    what = "predictive mean (one output)" if labels == "one" else "covariance of outputs with equal labels"
    scaled = ", ".join(f"{n * e:.4f}" for n, e in zip(_WIDTHS, errors, strict=True))
    text = f"At L = N the finite mixture's {what} approaches the limit as 1/N: exponent from N = 32 to 128; N x error "
    return _exact_claim(f"rate-{labels}", f"{text}at N = 8, 32, 128: {scaled}", 1.0, slope, 0.05)


def _fixed_depth_rate() -> Claim:
    """At L = 4 the finite mixture's mean approaches NNGP's as 1/N."""
    task = regression("one", _NOISE)
    centre = InfiniteWidth(task).posterior.mean[0]
    errors = [float(FiniteWidth(n, 4, task).posterior.mean[0] - centre) for n in (256, 1024)]
    text = "At fixed depth L = 4 the finite mixture's predictive mean approaches NNGP's as 1/N: exponent from N = 256 "
    exponent = math.log(errors[0] / errors[1]) / math.log(4)
    return _exact_claim("fixed-depth-rate", f"{text}to 1024", 1.0, exponent, 0.05)


def _fixed_depth(evidence: Evidence) -> Claim:
    """Networks of one depth: what is left of the distance to NNGP's mean where the width grows."""
    name = "fixed-depth-nngp"
    text = "At one depth the distance of the networks' predictive mean to NNGP's shrinks with width by the finite "
    text += "mixture's factor: NNGP regression is recovered"
    ends = _same_depth(evidence)
    if ends is None:
        return missing(name, f"{text}.", math.nan, "labels one, two widths at one depth")
    gaps, ses, exact, sizes = [], [], [], []
    for cell in ends:
        seen, centre = posterior_of(evidence, cell), float(nngp(cell.parameters).posterior.mean[0])
        estimate = seen.mean
        gaps.append(estimate.value - centre)
        ses.append(estimate.se)
        exact.append(float(finite(cell.parameters).posterior.mean[0]) - centre)
        sizes.append(seen.effective)
    narrow, wide = (cell.parameters for cell in ends)
    text += (
        f" (L = {narrow['depth']}, N = {narrow['width']} and {wide['width']}; effective sample sizes {sizes[0]:.0f} "
        f"and {sizes[1]:.0f})."
    )
    ratio = gaps[1] / gaps[0]
    se = math.hypot(ses[1], ratio * ses[0]) / abs(gaps[0])
    return value_claim(
        evidence, ends, exact[1] / exact[0], ratio, se, name=name, text=text, resolution=1 - exact[1] / exact[0]
    )


def _same_depth(evidence: Evidence) -> tuple[CellEvidence, CellEvidence] | None:
    """Narrowest and widest cell of the deepest depth that occurs at the most widths; noisiest task."""
    cells = evidence.where(labels="one")
    noise = max((float(c.parameters["noise"]) for c in cells), default=math.nan)
    cells = [c for c in cells if float(c.parameters["noise"]) == noise]
    cells.sort(key=lambda c: (float(c.parameters["depth"]), float(c.parameters["width"])))
    groups = [list(group) for _, group in itertools.groupby(cells, key=lambda c: c.parameters["depth"])]
    best = max(groups, key=lambda group: (len(group), float(group[0].parameters["depth"])), default=[])
    return (best[0], best[-1]) if len(best) > 1 else None


def _noiseless_mean(labels: str) -> Claim:
    """T -> 0: the predictor is Y K^-1 k0 whatever Q is."""
    task = regression(labels, _TINY)
    predicted = float(task.targets[0] @ np.linalg.solve(task.kernel, task.cross))
    measured = float(ProportionalLimit(1.0, task).posterior.mean[0])
    text = f"Without noise the limit's mean at alpha = 1 is Y K^-1 k0, which is NNGP's ({labels}; T = {_TINY:g})"
    return _exact_claim(f"noiseless-mean-{labels}", text, predicted, measured, 1e-4)


def _noiseless_covariance(labels: str, first: int, second: int) -> Claim:
    """T -> 0: the covariance is E[Q | Y] times NNGP's variance."""
    noisy, exact = regression(labels, _TINY), regression(labels, 0.0)
    remaining = exact.test_variance - float(exact.cross @ np.linalg.solve(exact.kernel, exact.cross))
    mixing = float(ProportionalLimit(1.0, exact).posterior.mean_mixing[first, second])
    measured = float(ProportionalLimit(1.0, noisy).posterior.covariance[first, second])
    entry = f"{first + 1}{second + 1}"
    text = f"Without noise the limit's covariance {entry} at alpha = 1 is E[Q{entry} | Y] = {mixing:.4f} times NNGP's "
    text += f"variance {remaining:.4f} ({labels}; T = {_TINY:g})"
    return _exact_claim(f"noiseless-covariance-{labels}-{entry}", text, mixing * remaining, measured, 1e-4)


def _less_noise(evidence: Evidence) -> Claim:
    """Networks: less noise brings the mean nearer to NNGP's at the same L/N."""
    name, text = "less-noise", "With less noise the networks' mean at L = N is nearer to NNGP's: ratio of the distances"
    cells = sorted(evidence.where(labels="one", alpha=1.0), key=lambda c: float(c.parameters["noise"]))
    groups = {
        c.parameters["width"]: [d for d in cells if d.parameters["width"] == c.parameters["width"]] for c in cells
    }
    pair = next((group for _, group in sorted(groups.items()) if len(group) > 1), None)
    if pair is None:
        return missing(name, f"{text}.", math.nan, "labels one, depth = width, two values of noise")
    ends = (pair[0], pair[-1])
    centres = [float(nngp(c.parameters).posterior.mean[0]) for c in ends]
    exact = [float(finite(c.parameters).posterior.mean[0]) - m for c, m in zip(ends, centres, strict=True)]
    seen = [posterior_of(evidence, c) for c in ends]
    found = [s.mean for s in seen]
    gaps = [f.value - m for f, m in zip(found, centres, strict=True)]
    ratio = gaps[0] / gaps[1]
    low, high = (c.parameters for c in ends)
    text += (
        f" at T = {low['noise']:g} and {high['noise']:g} (N = {low['width']}; effective sample sizes "
        f"{seen[0].effective:.0f} and {seen[1].effective:.0f}); 1 would be no change."
    )
    se = math.hypot(found[0].se, ratio * found[1].se) / abs(gaps[1])
    predicted = exact[0] / exact[1]
    return value_claim(evidence, ends, predicted, ratio, se, name=name, text=text, resolution=1 - predicted)
