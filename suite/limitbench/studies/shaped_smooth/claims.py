"""Ledger of `shaped-smooth`: table 1.4 of the covariance SDE, other theories, the ODE; norms have their own file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from limitbench.numerics.activations import activation_of
from limitbench.statistics.laws import Law
from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim, widest
from limitbench.studies.ledger import answering, solutions_agree_claim, worst_score_claim
from limitbench.studies.measured import mean_of
from limitbench.studies.shaped_smooth.cells import CRITICAL, beta, time
from limitbench.studies.shaped_smooth.evidence import CONVERGED, WIDE_ENOUGH, spread, worst_claim
from limitbench.studies.shaped_smooth.norm_claims import norm_claims
from limitbench.theories.shaped_relu import DriftlessCovarianceSDE
from limitbench.theories.shaped_smooth import CovarianceODE

#: What phi'' of shifted-tanh at a = 0.6 moves the mean and the sd of the correlation by at t = 1, rounded down.
_MOVED = 0.12
#: What tells the ODE from the recursion at width 256 (sheet A 2), rounded up.
_STRETCH = 0.06


def claims(evidence: Evidence) -> list[Claim]:
    """All claims of the study on a finished run."""
    critical = [c for c in evidence.cells if c.parameters["rate"] == CRITICAL]
    return [
        *_correlation(evidence),
        *_odd_activations(evidence, critical),
        *norm_claims(evidence, critical),
        *_other_theories(evidence, critical),
        *_below_the_critical_rate(evidence),
    ]


def _with_law(se: float, law: Law) -> float:
    """Standard error with that of an estimated law."""
    return se if law.reference_size is None else math.hypot(se, law.std / math.sqrt(law.reference_size))


def _correlation(evidence: Evidence) -> list[Claim]:
    """Laws of the correlation at t = 1 from V_0 = 1, rho_0 = 0.3 (sheet A 1.4)."""
    found = []
    for activation, scale, least in (("tanh", 1.0, 32), ("shifted-tanh", 0.6, CONVERGED)):
        cells = evidence.where(activation=activation, scale=scale, rate=CRITICAL, norm0=1.0, rho0=0.3, alpha=1.0)
        need = f"{activation} at scale {scale:g}, d = n, norm0 1, rho0 0.3, width >= {least}"
        wide = [c for c in cells if float(c.parameters["width"]) >= least]
        found.append(
            worst_score_claim(
                evidence,
                wide,
                "correlation",
                "covariance-sde",
                expected="holds",
                name=f"correlation-{activation}",
                text=f"The covariance SDE's law of the correlation holds for {activation}, a = {scale:g}, at t = 1 "
                f"from width {least} on (largest D).",
            )
        )
        for moment in ("mean", "sd"):
            name = f"correlation-{moment}-{activation}"
            text = f"The {moment} of the correlation for {activation}, a = {scale:g}, t = 1, at the largest width."
            found.append(_correlation_moment(evidence, widest(wide), moment, need, name=name, text=text))
        if activation == "shifted-tanh":
            narrow = [c for c in cells if float(c.parameters["width"]) < 64]
            text = f"For {activation}, a = {scale:g}, width 32 has not converged: KS distance above its null at t = 1."
            found.append(_off_claim(evidence, narrow, name="correlation-unfinished", text=text))
    return found


@answering
def _correlation_moment(
    evidence: Evidence, cells: Sequence[CellEvidence], moment: str, need: str, *, name: str, text: str
) -> Claim:
    if not cells:
        return missing(name, text, math.nan, need)
    law = cells[0].theory("covariance-sde").law("correlation")
    x = cells[0].samples("correlation")
    mean = moment == "mean"
    seen = mean_of(x) if mean else spread(x)
    distance = cells[0].score("distance", "correlation", "covariance-sde")
    se = _with_law(seen.se, law)
    return value_claim(
        evidence,
        cells[:1],
        law.mean if mean else law.std,
        seen.value,
        se,
        name=name,
        text=text,
        resolution=_MOVED,
        distance=distance,
    )


@answering
def _off_claim(evidence: Evidence, cells: Sequence[CellEvidence], *, name: str, text: str) -> Claim:
    """Kolmogorov-Smirnov distance to the SDE at the narrowest width, clear of its mean under the SDE's own law.

    Holds from 4.5 standard deviations above that mean (p = 5e-4), fails where the distance is what noise alone gives
    (p > 0.05).
    """
    if not cells:
        return missing(name, text, math.nan, "a width below 64")
    cell = cells[0]
    law = cell.theory("covariance-sde").law("correlation")
    size = cell.samples("correlation").size
    effective = size if law.reference_size is None else size * law.reference_size / (size + law.reference_size)
    floor = 0.87 / math.sqrt(effective)
    measured, p = (cell.score(f, "correlation", "covariance-sde") for f in ("ks", "ks_pvalue"))
    claim = value_claim(
        evidence,
        [cell],
        floor,
        measured,
        0.26 / math.sqrt(effective),
        name=name,
        text=f"{text} (p = {p:.1g})",
        relation="at least",
        distance=cell.score("distance", "correlation", "covariance-sde"),
    )
    return dataclasses.replace(claim, verdict="fails") if p > 0.05 else claim


def _odd_activations(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """phi''(0) = 0: the drift of rho vanishes, so that its law is the driftless one whatever a and V_0."""
    cells = [c for c in critical if math.isclose(time(c.parameters), 1.0) and _odd(c) and beta(c.parameters) <= 0]
    found = []
    for cell in widest(cells):
        law = DriftlessCovarianceSDE(time=1.0, rho0=float(cell.parameters["rho0"])).law("correlation")
        seen = mean_of(cell.samples("correlation"), (cell,))
        found.append((law.mean, seen))
    return [
        worst_claim(
            evidence,
            found,
            "an odd activation at d = n",
            name="odd-activations-feel-no-shaping",
            text="Odd activations leave the correlation alone: its mean at t = 1 is that without shaping drift.",
            resolution=_MOVED,
        )
    ]


def _odd(cell: CellEvidence) -> bool:
    return activation_of(str(cell.parameters["activation"])).second == 0


def _other_theories(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    deep = [c for c in critical if time(c.parameters) >= 1]
    return [
        worst_score_claim(
            evidence,
            [c for c in deep if beta(c.parameters) <= 0 and float(c.parameters["width"]) >= WIDE_ENOUGH],
            "log_norm",
            "norm-sde",
            expected="holds",
            name="log-norm-holds",
            text=f"The norm SDE's law of ln V holds for beta <= 0 from width {WIDE_ENOUGH} on, d >= n (largest D).",
        ),
        worst_score_claim(
            evidence,
            [c for c in deep if beta(c.parameters) <= 0],
            "log_norm",
            "infinite-width",
            expected="fails",
            name="infinite-width-fails",
            text="Infinite width fails for ln V wherever d >= n, beta <= 0 (smallest D).",
        ),
        solutions_agree_claim(
            evidence,
            [c for c in deep if time(c.parameters) <= 1],
            "log_norm",
            "norm-sde",
            "covariance-sde",
            name="solved-norm-is-simulated-norm",
            text="The solved norm SDE has the law of the simulated covariance SDE's norm, explosions left out "
            "(no networks).",
        ),
    ]


def _below_the_critical_rate(evidence: Evidence) -> list[Claim]:
    """Rates below 1/2, d << n: the ODE, reached as slowly as n^-1/2 because of s = a n^p, not of noise (sheet A 2)."""
    found = []
    activation = activation_of("shifted-tanh")
    for norm0 in (1.0, 2.0):
        predicted = CovarianceODE(1.0, activation.second, activation.third, 0.5, norm0, 0.0).correlation
        setting = f"shifted-tanh, a = 0.5, p = 1/4, V0 = {norm0:g}, t = 1"
        need = (
            "--set activation=shifted-tanh --set scale=0.5 --set rate=0.25 --set rho0=0 "
            f"--set norm0={norm0:g} --set width=256,4096 --set aspect=0.015625,0.0625"
        )
        cells = {
            float(c.parameters["width"]): c
            for c in evidence.where(activation="shifted-tanh", scale=0.5, rate=0.25, norm0=norm0, rho0=0.0)
            if math.isclose(time(c.parameters), 1.0)
        }
        seen = {n: mean_of(c.samples("correlation"), (c,)) for n, c in sorted(cells.items())}
        name, text = f"ode-unfinished-v{norm0:g}", f"E rho is still short of the ODE below width 1024 ({setting})."
        narrow = [n for n in seen if n < 1024][-1:]
        if narrow:
            at = seen[narrow[0]]
            found.append(
                value_claim(evidence, at.cells, predicted, at.value, at.se, name=name, text=text, relation="at most")
            )
        else:
            found.append(missing(name, text, predicted, need))
        found.append(
            worst_claim(
                evidence,
                [(cells[n].theory("infinite-width").law("correlation").mean, m) for n, m in seen.items()],
                need,
                name=f"ode-error-is-the-stretch-v{norm0:g}",
                text=f"E rho is that of the infinite-width recursion with the network's own s ({setting}).",
                resolution=_STRETCH,
            )
        )
        name = f"ode-rate-v{norm0:g}"
        text = f"The distance of E rho to the ODE falls with n as the recursion's does, towards n^-1/2 ({setting})."
        if len(seen) > 1:
            first, last = min(seen), max(seen)
            before, after = (seen[n].value - predicted for n in (first, last))
            se = math.hypot(seen[last].se, after / before * seen[first].se) / abs(before)
            pair = [cells[first], cells[last]]
            short, far = (c.theory("infinite-width").law("correlation").mean - predicted for c in pair)
            found.append(
                value_claim(evidence, pair, far / short, after / before, se, name=name, text=text, resolution=0.5)
            )
        else:
            found.append(missing(name, text, 0.25, need))
    return found
