"""Claims of `shaped-smooth` about the norm: explosion, stationary law, collapse (sheet A 1.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim, widest
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.measured import mean_of, values
from limitbench.studies.shaped_smooth.cells import CRITICAL, beta, late_stationary, time
from limitbench.studies.shaped_smooth.evidence import CONVERGED, WIDE_ENOUGH, share, spread, worst_claim
from limitbench.theories.shaped_smooth import NormSDE, StationaryNorm

#: (a, V_0, exploded share at width 128) of root by t = 3 (sheet A 1.5): not yet the limit's.
_UNFINISHED = ((1.0, 1.0, 0.1800), (0.6, 1.0, 0.2605), (1.0, 3.0, 0.6178))
#: Half of what E ln V falls by in a unit of time without drift.
_FALL = 0.5


def norm_claims(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """All claims about norms; `critical` are the cells at rate 1/2."""
    return [
        *_explosion(evidence),
        *_stationary(evidence, critical),
        *_collapse(evidence),
        *_classification(evidence, critical),
    ]


def _explosion(evidence: Evidence) -> list[Claim]:
    """Exploded share of phi = x + sqrt(1 + x^2) - 1 by t = 3 (sheet A 1.5), and how slowly it converges."""
    found = []
    for scale, norm0, unfinished in _UNFINISHED:
        cells = evidence.where(activation="root", scale=scale, rate=CRITICAL, norm0=norm0, alpha=3.0)
        predicted = NormSDE(time=3.0, beta=0.75 / scale**2, norm0=norm0).exploded_share
        tag, setting = f"a{scale:g}-v{norm0:g}", f"root, a = {scale:g}, V0 = {norm0:g}, t = 3"
        wide = [c for c in cells if float(c.parameters["width"]) >= 512]
        name = f"explosion-{tag}"
        text = (
            f"The exploded share ({setting}) is the norm SDE's at width 512 and more, with errors that tell it from "
            f"the {unfinished:.4f} of width 128."
        )
        if wide:
            seen, distance = share(wide[0]), wide[0].score("distance", "exploded", "norm-sde")
            found.append(
                value_claim(
                    evidence,
                    wide[:1],
                    predicted,
                    seen.value,
                    seen.se,
                    name=name,
                    text=text,
                    resolution=abs(predicted - unfinished),
                    distance=distance,
                )
            )
        else:
            found.append(missing(name, text, predicted, f"width 512 at {setting}"))
        narrow = [c for c in cells if float(c.parameters["width"]) < CONVERGED]
        name, text = f"explosion-unfinished-{tag}", f"Below width {CONVERGED} too few networks explode ({setting})."
        if narrow:
            least = min((share(c) for c in narrow), key=lambda s: predicted - s.value)
            found.append(
                value_claim(
                    evidence, narrow, predicted, least.value, least.se, name=name, text=text, relation="at most"
                )
            )
        else:
            found.append(missing(name, text, predicted, f"a width below {CONVERGED} at {setting}"))
    found.append(_convergence(evidence))
    return found


def _convergence(evidence: Evidence) -> Claim:
    """How much of the deficit is left at four times the width; 1/4 would be the rate 1/n."""
    name = "explosion-convergence"
    text = (
        "The deficit of the exploded share (root, a = 1, V0 = 1, t = 3) is at least halved at 4n: share that is left."
    )
    predicted = NormSDE(time=3.0, beta=0.75).exploded_share
    cells = {
        float(c.parameters["width"]): c
        for c in evidence.where(activation="root", scale=1.0, rate=CRITICAL, norm0=1.0, alpha=3.0)
    }
    pair = next(((cells[n], cells[4 * n]) for n in sorted(cells) if 4 * n in cells), None)
    if pair is None:
        return missing(name, text, 0.5, "two widths n and 4n at d = 3n")
    few, many = (share(c) for c in pair)
    before, after = predicted - few.value, predicted - many.value
    ratio = after / before
    se = math.hypot(many.se, ratio * few.se) / abs(before)
    return value_claim(evidence, pair, 0.5, ratio, se, name=name, text=text, relation="at most")


def _stationary(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """beta < -1: V is Gamma(|beta| - 1, rate |beta|) at late times (sheet A 1.5)."""
    late = [c for c in critical if late_stationary(c.parameters)]
    tanh = widest([c for c in late if c.parameters["activation"] == "tanh" and c.parameters["scale"] == 0.7])[-1:]
    law = StationaryNorm(beta=-2 / 0.7**2)
    found = [
        worst_score_claim(
            evidence,
            [c for c in late if float(c.parameters["width"]) >= WIDE_ENOUGH],
            "log_norm",
            "stationary",
            expected="holds",
            name="stationary-holds",
            text=f"The stationary Gamma law of V holds for beta < -1, late, from width {WIDE_ENOUGH} on (largest D).",
        )
    ]
    for moment, predicted in (("mean", law.mean_norm), ("sd", law.std_norm)):
        name, text = (
            f"stationary-{moment}",
            f"The {moment} of V for tanh, a = 0.7, late, is that of the Gamma law.",
        )
        if not tanh:
            found.append(missing(name, text, predicted, "tanh at scale 0.7, d = 3n or more"))
            continue
        x = np.exp(tanh[0].samples("log_norm")) * float(tanh[0].parameters["norm0"])
        seen = mean_of(x) if moment == "mean" else spread(x)
        distance = tanh[0].score("distance", "log_norm", "stationary")
        found.append(
            value_claim(
                evidence,
                tanh[:1],
                predicted,
                seen.value,
                seen.se,
                name=name,
                text=text,
                resolution=law.std_norm / 4,
                distance=distance,
            )
        )
    return found


def _collapse(evidence: Evidence) -> list[Claim]:
    """-1 < beta <= 0: E ln V falls as the norm SDE says, still faster than its asymptotic slope (sheet A 1.5)."""
    found = []
    b = -1 / 1.5**2
    row = widest(evidence.where(activation="arcsinh", scale=1.5, rate=CRITICAL, norm0=1.0))
    for t in (1.0, 2.0, 4.0):
        law = NormSDE(time=t, beta=b).law("log_norm")
        name, text = f"collapse-t{t:g}", f"E ln V for arcsinh, a = 1.5, at t = {t:g} is the norm SDE's."
        at = [c for c in row if math.isclose(time(c.parameters), t)]
        if at:
            seen, distance = mean_of(at[0].samples("log_norm")), at[0].score("distance", "log_norm", "norm-sde")
            found.append(
                value_claim(
                    evidence,
                    at,
                    law.mean,
                    seen.value,
                    seen.se,
                    name=name,
                    text=text,
                    resolution=law.std / 4,
                    distance=distance,
                )
            )
        else:
            found.append(missing(name, text, law.mean, f"arcsinh at scale 1.5, norm0 1, d = {t:g} n"))
    name = "collapse-slope-not-reached"
    text = "-E ln V/t for arcsinh, a = 1.5, is still above the asymptotic slope 1 + beta at the largest time."
    if row:
        seen, t = mean_of(row[-1].samples("log_norm")), time(row[-1].parameters)
        found.append(
            value_claim(
                evidence, row[-1:], 1 + b, -seen.value / t, seen.se / t, name=name, text=text, relation="at least"
            )
        )
    else:
        found.append(missing(name, text, 1 + b, "arcsinh at scale 1.5"))
    return found


def _never(evidence: Evidence, cells: Sequence[CellEvidence]) -> Claim:
    """An exact statement: one network that explodes refutes it."""
    name, text = "beta-negative-never-explodes", "No norm explodes where beta <= 0 (share of all networks)."
    if not cells:
        return missing(name, text, 0.0, "beta <= 0")
    exploded = np.concatenate([c.samples("exploded") for c in cells])
    verdict: Verdict = "fails" if exploded.any() else "holds"
    measured = float(exploded.mean())
    seconds, command = sum(c.seconds for c in cells), evidence.command(cells)
    return Claim(name, text, 0.0, measured, 1 / exploded.size, verdict, seconds, command)


def _classification(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """The sign of beta and its place with respect to -1 decide what the norm does."""
    late = [c for c in critical if time(c.parameters) >= 3]
    positive = [share(c) for c in late if beta(c.parameters) > 0]
    name, text = "beta-positive-explodes", "At least 1 % of norms explode wherever beta > 0 (smallest share at t >= 3)."
    if positive:
        least = min(positive, key=lambda s: s.value)
        cells = [c for s in positive for c in s.cells]
        found = [value_claim(evidence, cells, 0.01, least.value, least.se, name=name, text=text, relation="at least")]
    else:
        found = [missing(name, text, 0.01, "beta > 0 at t >= 3")]
    found.append(_never(evidence, [c for c in critical if beta(c.parameters) <= 0]))
    columns: dict[tuple[object, ...], list[CellEvidence]] = {}
    for c in (c for c in critical if time(c.parameters) >= 1 and float(c.parameters["width"]) >= WIDE_ENOUGH):
        columns.setdefault(tuple(v for k, v in c.parameters.items() if k not in ("aspect", "depth")), []).append(c)
    pairs = [sorted(column, key=lambda c: time(c.parameters))[-2:] for column in columns.values() if len(column) > 1]
    for name, word, low, high in (
        ("ergodic", "stays where it is: beta < -1", -math.inf, -1.0),
        ("collapsing", "falls: -1 < beta <= 0", -1.0, 1e-12),
    ):
        changes = []
        for first, last in pairs:
            b = beta(first.parameters)
            if low < b < high:
                change = values(last, "log_norm") - values(first, "log_norm")
                laws = [c.theory("norm-sde").law("log_norm").mean for c in (first, last)]
                changes.append((laws[1] - laws[0], mean_of(change, (first, last))))
        found.append(
            worst_claim(
                evidence,
                changes,
                f"widths from {WIDE_ENOUGH} on, two depths from n on",
                name=f"beta-{name}",
                text=f"E ln V {word}; its change over the last two depths is the norm SDE's.",
                resolution=_FALL,
            )
        )
    return found
