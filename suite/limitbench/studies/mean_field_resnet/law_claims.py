"""Claims of `mean-field-resnet` about laws in depth, decided by long recurrences and by the kernels themselves.

Closed forms of exponents and constants are derived from the definition of the networks; that the paper's table prints
the same is recollection. Each reading has its own error, the distance to the reading at half the depth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from limitbench.numerics.alpha_relu_kernel import identity_errors
from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import Evidence
from limitbench.studies.mean_field_resnet.collapse import collapse_claims
from limitbench.studies.mean_field_resnet.verdicts import relative_claim
from limitbench.theories.mean_field import MeanField
from limitbench.theories.mean_field.exponents import ALPHAS, Estimate, exponent_table, limit_cosine

#: Largest relative deviation of exponents and constants; of what converges as a small power of depth.
SHARP, SLOW = 0.01, 0.025
#: Variances (v, w, a, b) beside the paper's at which the limit of the cosine is read too.
_OTHER_SIGMAS = ((0.5, 1.0, 1.0, 0.1), (4.0, 0.5, 0.0, 1.5))
#: Depth at which powers of l of the parameters' gradients are read.
_BLOCKS = 20_000
_SLOW_QUANTITIES = ("B", "limit cosine", "cosine exponent")
_WORDS = {
    "length exponent": "exponent of p_l + C sqrt(l), 1",
    "C": "C of p_l = b l - C sqrt(l)",
    "A": "A of ln(chi_0/chi_l) = A sqrt(l) + B ln l",
    "B": "B of ln(chi_0/chi_l) = A sqrt(l) + B ln l",
    "limit cosine": "1 - e*, e* the limit of the cosine",
    "cosine exponent": "exponent delta of |e_l - e*|, the forced term F l^-1/2 taken off",
    "growth": "ln(chi_{l-1}/chi_l) = ln B, B = 1 + sigma_v^2 sigma_w^2/2",
    "length growth": "ln(p_l/p_{l-1}), the same",
    "prefactor": "(1 - e_l) over [(B - 1) U l/B]^-2, U = sqrt(2)/(3 pi)",
}
_RELU_WORDS = _WORDS | {"cosine exponent": "1 - e_l falls as l^-2: the exponent"}
_POWER_WORDS = {
    "length exponent": "p_l ~ l^{1/(1-A)}",
    "gain exponent": "chi_0/chi_l ~ l^R, R = A^2/((1-A)(2A-1)), smallest (4) at A = 2/3",
    "prefactor": "p_l over K l^{1/(1-A)}",
    "limit cosine": "1 - e*(A) > 0, e* the limit of the cosine, a function of A alone",
    "cosine exponent": "|e_l - e*| ~ l^-mu, mu = (1 - Jhat'(e*))/(1-A), read beside e* (hidden from a generic start)",
}


def law_claims(evidence: Evidence) -> list[Claim]:
    """The table of exponents, gradients of parameters, the edge, kernel identities: part of every run's ledger."""
    table = [_gap(row) for row in exponent_table()]
    claims = [
        *(_estimate(row) for row in table if not row.activation.startswith("relu-")),
        *(
            _powers([row for row in table if row.activation.startswith("relu-") and row.quantity == q])
            for q in _POWER_WORDS
        ),
        *_other_variances(),
        *_parameters(),
        *collapse_claims(evidence),
        *_identities(evidence),
    ]
    return [dataclasses.replace(claim, command=f"limitbench run {evidence.study.name}") for claim in claims]


def _gap(row: Estimate) -> Estimate:
    """1 - e* in place of e*: e* = 1 is a fixed point too, and within a few per cent of those of powers of ReLU."""
    if row.quantity != "limit cosine":
        return row
    return dataclasses.replace(row, predicted=1 - row.predicted, measured=1 - row.measured)


def _other_variances() -> Iterator[Claim]:
    """e* of powers of ReLU at other variances, where the same is predicted."""
    for v, w, a, b in _OTHER_SIGMAS:
        fields = [
            MeanField("full", f"relu-{alpha:.16f}", sigma_v2=v, sigma_w2=w, sigma_a2=a, sigma_b2=b) for alpha in ALPHAS
        ]
        claim = _powers([_gap(limit_cosine(field)) for field in fields])
        setting = f"sigma_v^2 = {v:g}, sigma_w^2 = {w:g}, sigma_a^2 = {a:g}, sigma_b^2 = {b:g}"
        yield dataclasses.replace(
            claim, name=f"{claim.name}-at-sigma-v2-{v:g}", text=f"At other variances ({setting}): {claim.text}"
        )


def _read(name: str, text: str, predicted: float, measured: float, error: float, bound: float) -> Claim:
    """A reading of a recurrence: holds where its deviation and its error are within `bound`, both relative.

    Fails where the deviation less the error is beyond. A prediction of 0 is compared absolutely.
    """
    unit = abs(predicted) or 1.0
    deviation, uncertain = abs(measured - predicted) / unit, error / unit
    verdict: Verdict = "undecided"
    if max(deviation, uncertain) <= bound:
        verdict = "holds"
    elif deviation - uncertain > bound:
        verdict = "fails"
    return Claim(name, f"{text} (to {100 * bound:g} %; closed form derived).", predicted, measured, error, verdict)


def _bound(quantity: str) -> float:
    return SLOW if quantity in _SLOW_QUANTITIES else SHARP


def _estimate(row: Estimate) -> Claim:
    words = (_RELU_WORDS if row.activation == "relu" else _WORDS)[row.quantity]
    return _read(
        f"{row.activation}-{row.network}-{row.quantity.replace(' ', '-')}",
        f"{row.activation}, {row.network}: {words}; {_depth(row)}",
        row.predicted,
        row.measured,
        row.error,
        _bound(row.quantity),
    )


def _powers(rows: list[Estimate]) -> Claim:
    """One quantity of all powers of ReLU; the furthest off is the claim."""
    worst = max(rows, key=lambda row: row.deviation)
    shown = ", ".join(f"{_power(row):.3g}: {row.measured:.4g}" for row in rows)
    return _read(
        f"relu-powers-{worst.quantity.replace(' ', '-')}",
        f"relu-A, full: {_POWER_WORDS[worst.quantity]}; A = {_power(worst):.3g} is furthest off, {_depth(worst)}; "
        f"measured at A = {shown}",
        worst.predicted,
        worst.measured,
        worst.error,
        _bound(worst.quantity),
    )


def _depth(row: Estimate) -> str:
    """A limit that is approached too slowly is what one block leaves unchanged, at the length of a deep layer."""
    return f"recurrences of {row.layers:,} blocks" if row.layers > 1 else "kept by one block at a great length"


def _power(row: Estimate) -> float:
    return float(row.activation.removeprefix("relu-"))


def _parameters() -> Iterator[Claim]:
    """Slopes in ln l of parameters' gradients and of s over the last octave; erf and one power stand for their kind."""
    depth, a = _BLOCKS, 0.75
    cases = {
        "erf": ("erf, full (tanh alike)", -0.5, 0.5, 0.0, 1.0),
        f"relu-{a}": (f"relu-{a}, full", -1.0, a / (1 - a), a / (1 - a), None),
    }
    for activation, (words, *slopes) in cases.items():
        path = MeanField("full", activation).run(depth)
        readings = {
            "chi-b": ("chi_b/chi", path.log_chi_b - path.log_chi),
            "chi-w": ("chi_w/chi", path.log_chi_w - path.log_chi),
            "chi-v": ("chi_v/chi", path.log_chi_v - path.log_chi),
            "distance": ("s", path.log_distance),
        }
        for (name, (symbol, logs)), predicted in zip(readings.items(), slopes, strict=True):
            if predicted is not None:
                found, before = (float(logs[top] - logs[top // 2]) / np.log(2) for top in (depth, depth // 2))
                text = f"{words}: power of l that {symbol} follows; recurrences of {depth:,} blocks"
                yield _read(f"{activation}-power-of-{name}", text, predicted, found, abs(found - before), SLOW)
        if activation != "erf":
            logs = path.log_chi_w
            found, before = (float(logs[top] - logs[top // 2]) / np.log(2) for top in (depth, depth // 2))
            text = f"{words}: power of l that chi_w follows along depth, -A/(2A-1); recurrences of {depth:,} blocks"
            yield _read(
                f"{activation}-power-of-chi-w-along-depth", text, -a / (2 * a - 1), found, abs(found - before), SLOW
            )


def _identities(evidence: Evidence) -> list[Claim]:
    """J_alpha over a grid of alpha and theta."""
    words = {
        "two_forms": "Cho and Saul's integral is the integral over the modified Bessel function K_0",
        "derivative": "dJ_a/d cos theta = a^2 J_{a-1}",
        "three_terms": "J_{a+1} = (2a+1) cos theta J_a + a^2 sin^2 theta J_{a-1}",
        "special_values": "J_a(pi/2), J_0, J_1, J_2 in closed form",
    }
    grid = [identity_errors(a, t) for a in (0.3, 0.55, 0.75, 1.0, 1.5, 2.0) for t in (0.25, 0.8, 1.4, 2.0, 2.45)]
    return [
        relative_claim(
            evidence,
            [],
            0.0,
            max(getattr(errors, field) for errors in grid),
            0.0,
            bound=1e-10,
            name=f"kernel-{field.replace('_', '-')}",
            text=f"Kernel of powers of ReLU: {text} (largest relative error for a in [0.3, 2], theta in (0.2, 2.5); to "
            "1e-10).",
        )
        for field, text in words.items()
    ]
