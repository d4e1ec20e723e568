"""Ledger of `shaped-smooth`: tables 1.4 and 1.5 of the covariance SDE for smooth activations, and the ODE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from limitbench.errors import InputError
from limitbench.numerics.activations import activation_of
from limitbench.statistics.laws import Law
from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.studies.ledger import answering, solutions_agree_claim, worst_score_claim
from limitbench.studies.measured import Measured, mean_of, values
from limitbench.studies.shaped_smooth_cells import CRITICAL, beta, late_stationary, time
from limitbench.theories.shaped_relu import DriftlessCovarianceSDE
from limitbench.theories.shaped_smooth import CovarianceODE, NormSDE, StationaryNorm

#: Below this width explosions have not converged.
CONVERGED = 128


def claims(evidence: Evidence) -> list[Claim]:
    """All claims of the study on a finished run."""
    critical = [c for c in evidence.cells if c.parameters["rate"] == CRITICAL]
    return [
        *_correlation(evidence),
        *_odd_activations(evidence, critical),
        *_explosion(evidence),
        *_stationary(evidence, critical),
        *_collapse(evidence),
        *_classification(evidence, critical),
        *_other_theories(evidence, critical),
        *_below_the_critical_rate(evidence),
    ]


def widest(cells: Sequence[CellEvidence]) -> list[CellEvidence]:
    """Those of the largest width."""
    largest = max((float(c.parameters["width"]) for c in cells), default=0.0)
    return [c for c in cells if c.parameters["width"] == largest]


def share(cell: CellEvidence) -> Measured:
    """Exploded share; its standard error is at least that of one network."""
    x = cell.samples("exploded")
    p = float(x.mean())
    return Measured(p, math.sqrt(max(p * (1 - p), 1 / x.size) / x.size), (cell,))


def _spread(x: np.ndarray) -> Measured:
    sd = float(x.std(ddof=1))
    return Measured(sd, math.sqrt(max(float(((x - x.mean()) ** 4).mean()) - sd**4, 0.0) / x.size) / (2 * sd))


def _with_law(se: float, law: Law) -> float:
    """Standard error with that of an estimated law."""
    return se if law.reference_size is None else math.hypot(se, law.std / math.sqrt(law.reference_size))


def _correlation(evidence: Evidence) -> list[Claim]:
    """Laws of the correlation at t = 1 from V_0 = 1, rho_0 = 0.3 (sheet A 1.4)."""
    found = []
    for activation, scale, least in (("tanh", 1.0, 32), ("shifted-tanh", 0.6, CONVERGED)):
        setting = {"activation": activation, "scale": scale, "rate": CRITICAL, "norm0": 1.0, "rho0": 0.3, "alpha": 1.0}
        cells = evidence.where(**setting)
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
                text=f"The covariance SDE's law of the correlation holds for {activation}, a = {scale:g}, at t = 1 from "
                f"width {least} on (largest D).",
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
    seen = mean_of(x) if mean else _spread(x)
    distance = cells[0].score("distance", "correlation", "covariance-sde")
    se = _with_law(seen.se, law)
    return value_claim(
        evidence, cells[:1], law.mean if mean else law.std, seen.value, se, name=name, text=text, distance=distance
    )


@answering
def _off_claim(evidence: Evidence, cells: Sequence[CellEvidence], *, name: str, text: str) -> Claim:
    """Kolmogorov-Smirnov distance to the SDE at the narrowest width: holds where its p-value is below 1e-6."""
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
    return claim


@answering
def _worst(
    evidence: Evidence, found: Sequence[tuple[float, Measured]], need: str, *, name: str, text: str
) -> Claim:
    """The pair of a predicted and a measured number that are furthest apart in standard errors."""
    found = [(p, m) for p, m in found if math.isfinite(m.value) and m.se > 0]
    if not found:
        return missing(name, text, math.nan, need)
    predicted, worst = max(found, key=lambda pair: abs(pair[1].value - pair[0]) / pair[1].se)
    cells = [cell for _, m in found for cell in m.cells]
    text = f"{text} (furthest off of {len(found)}: {_where(worst.cells)})"
    return value_claim(evidence, cells, predicted, worst.value, worst.se, name=name, text=text)


def _where(cells: Sequence[CellEvidence]) -> str:
    p = cells[-1].parameters
    return f"{p['activation']}, a = {p['scale']:g}, V0 = {p['norm0']:g}, width {p['width']}"


def _odd_activations(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """phi''(0) = 0: the drift of rho vanishes, so that its law is the driftless one whatever a and V_0."""
    cells = [c for c in critical if math.isclose(time(c.parameters), 1.0) and _odd(c) and beta(c.parameters) <= 0]
    found = []
    for cell in widest(cells):
        law = DriftlessCovarianceSDE(time=1.0, rho0=float(cell.parameters["rho0"])).law("correlation")
        seen = mean_of(cell.samples("correlation"), (cell,))
        found.append((law.mean, seen))
    return [
        _worst(
            evidence,
            found,
            "an odd activation at d = n",
            name="odd-activations-feel-no-shaping",
            text="Odd activations leave the correlation alone: its mean at t = 1 is that without shaping drift.",
        )
    ]


def _odd(cell: CellEvidence) -> bool:
    return activation_of(str(cell.parameters["activation"])).second == 0


def _explosion(evidence: Evidence) -> list[Claim]:
    """Exploded share of phi = x + sqrt(1 + x^2) - 1 by t = 3 (sheet A 1.5), and how slowly it converges."""
    found = []
    for scale, norm0 in ((1.0, 1.0), (0.6, 1.0), (1.0, 3.0)):
        cells = evidence.where(activation="root", scale=scale, rate=CRITICAL, norm0=norm0, alpha=3.0)
        predicted = NormSDE(time=3.0, beta=0.75 / scale**2, norm0=norm0).exploded_share
        tag, setting = f"a{scale:g}-v{norm0:g}", f"root, a = {scale:g}, V0 = {norm0:g}, t = 3"
        wide = [c for c in cells if float(c.parameters["width"]) >= 512]
        name, text = f"explosion-{tag}", f"The exploded share ({setting}) is the norm SDE's at width 512 and more."
        if wide:
            seen, distance = share(wide[0]), wide[0].score("distance", "exploded", "norm-sde")
            found.append(
                value_claim(evidence, wide[:1], predicted, seen.value, seen.se, name=name, text=text, distance=distance)
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
    text = "The deficit of the exploded share (root, a = 1, V0 = 1, t = 3) at four times the width is at most half of it."
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
    tanh = widest(evidence.where(activation="tanh", scale=0.7, rate=CRITICAL, norm0=1.0, alpha=4.0))
    law = StationaryNorm(beta=-2 / 0.7**2)
    found = [
        worst_score_claim(
            evidence,
            late,
            "log_norm",
            "stationary",
            expected="holds",
            name="stationary-holds",
            text="The stationary Gamma law of V holds wherever beta < -1 and the time is late (largest D).",
        )
    ]
    for moment, predicted in (("mean", law.mean_norm), ("sd", law.std_norm)):
        name, text = f"stationary-{moment}", f"The {moment} of V for tanh, a = 0.7, at t = 4 is that of the Gamma law."
        if not tanh:
            found.append(missing(name, text, predicted, "tanh at scale 0.7, norm0 1, d = 4n"))
            continue
        x = np.exp(tanh[0].samples("log_norm"))
        seen = mean_of(x) if moment == "mean" else _spread(x)
        distance = tanh[0].score("distance", "log_norm", "stationary")
        found.append(
            value_claim(evidence, tanh[:1], predicted, seen.value, seen.se, name=name, text=text, distance=distance)
        )
    return found


def _collapse(evidence: Evidence) -> list[Claim]:
    """-1 < beta <= 0: E ln V falls as the norm SDE says, still faster than its asymptotic slope (sheet A 1.5)."""
    found = []
    b = -1 / 1.5**2
    row = widest(evidence.where(activation="arcsinh", scale=1.5, rate=CRITICAL, norm0=1.0))
    for t in (1.0, 2.0, 4.0):
        predicted = NormSDE(time=t, beta=b).law("log_norm").mean
        name, text = f"collapse-t{t:g}", f"E ln V for arcsinh, a = 1.5, at t = {t:g} is the norm SDE's."
        at = [c for c in row if math.isclose(time(c.parameters), t)]
        if at:
            seen, distance = mean_of(at[0].samples("log_norm")), at[0].score("distance", "log_norm", "norm-sde")
            found.append(value_claim(evidence, at, predicted, seen.value, seen.se, name=name, text=text, distance=distance))
        else:
            found.append(missing(name, text, predicted, f"arcsinh at scale 1.5, norm0 1, d = {t:g} n"))
    name = "collapse-slope-not-reached"
    text = "-E ln V/t for arcsinh, a = 1.5, is still above the asymptotic slope 1 + beta at the largest time."
    if row:
        seen, t = mean_of(row[-1].samples("log_norm")), time(row[-1].parameters)
        found.append(
            value_claim(evidence, row[-1:], 1 + b, -seen.value / t, seen.se / t, name=name, text=text, relation="at least")
        )
    else:
        found.append(missing(name, text, 1 + b, "arcsinh at scale 1.5"))
    return found


def _classification(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    """The sign of beta and its place with respect to -1 decide what the norm does."""
    late = [c for c in critical if time(c.parameters) >= 3]
    positive = [share(c) for c in late if beta(c.parameters) > 0]
    name, text = "beta-positive-explodes", "Norms explode wherever beta > 0 (smallest exploded share at t >= 3)."
    if positive:
        least = min(positive, key=lambda s: s.value)
        cells = [c for s in positive for c in s.cells]
        found = [value_claim(evidence, cells, 0.0, least.value, least.se, name=name, text=text, relation="at least")]
    else:
        found = [missing(name, text, 0.0, "beta > 0 at t >= 3")]
    found.append(
        _worst(
            evidence,
            [(0.0, share(c)) for c in critical if beta(c.parameters) <= 0],
            "beta <= 0",
            name="beta-negative-never-explodes",
            text="No norm explodes where beta <= 0.",
        )
    )
    columns: dict[tuple[object, ...], list[CellEvidence]] = {}
    for c in late:
        columns.setdefault(tuple(v for k, v in c.parameters.items() if k not in ("aspect", "depth")), []).append(c)
    pairs = [sorted(column, key=lambda c: time(c.parameters))[-2:] for column in columns.values() if len(column) > 1]
    for name, word, low, high in (
        ("ergodic", "stays where it is: beta < -1", -math.inf, -1.0),
        ("collapsing", "falls: -1 < beta <= 0", -1.0, 1e-12),
    ):
        changes = []
        for first, last in pairs:
            b = beta(first.parameters)
            if low < b < high and first.parameters["width"] >= CONVERGED:
                change = values(last, "log_norm") - values(first, "log_norm")
                laws = [c.theory("norm-sde").law("log_norm").mean for c in (first, last)]
                changes.append((laws[1] - laws[0], mean_of(change, (first, last))))
        found.append(
            _worst(
                evidence,
                changes,
                f"widths from {CONVERGED} on, two depths from 3n on",
                name=f"beta-{name}",
                text=f"E ln V {word}; its change over the last two depths is the norm SDE's.",
            )
        )
    return found


def _other_theories(evidence: Evidence, critical: Sequence[CellEvidence]) -> list[Claim]:
    deep = [c for c in critical if time(c.parameters) >= 1]
    return [
        worst_score_claim(
            evidence,
            [c for c in deep if beta(c.parameters) <= 0 and float(c.parameters["width"]) >= CONVERGED],
            "log_norm",
            "norm-sde",
            expected="holds",
            name="log-norm-holds",
            text=f"The norm SDE's law of ln V holds for beta <= 0 from width {CONVERGED} on, d >= n (largest D).",
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
            deep,
            "log_norm",
            "norm-sde",
            "covariance-sde",
            name="solved-norm-is-simulated-norm",
            text="The solved norm SDE has the law of the simulated covariance SDE's norm, explosions left out.",
        ),
    ]


def _below_the_critical_rate(evidence: Evidence) -> list[Claim]:
    """Rates below 1/2, d << n: the ODE, reached as slowly as n^-1/2 (sheet A 2)."""
    found = []
    activation = activation_of("shifted-tanh")
    for norm0 in (1.0, 2.0):
        ode = CovarianceODE(1.0, activation.second, activation.third, 0.5, norm0, 0.0)
        need = f"--set activation=shifted-tanh --set scale=0.5 --set rate=0.25 --set rho0=0 --set norm0={norm0:g}"
        cells = [
            c
            for c in evidence.where(activation="shifted-tanh", scale=0.5, rate=0.25, norm0=norm0, rho0=0.0)
            if math.isclose(time(c.parameters), 1.0)
        ]
        wide = [c for c in cells if float(c.parameters["width"]) >= 4096]
        narrow = [c for c in cells if float(c.parameters["width"]) < 1024]
        setting = f"shifted-tanh, a = 0.5, p = 1/4, V0 = {norm0:g}, t = 1"
        for name, text, chosen, relation, where in (
            (f"ode-v{norm0:g}", f"E rho is the ODE's at width 4096 ({setting}).", wide[-1:], "equal to", "4096,depth=64"),
            (
                f"ode-unfinished-v{norm0:g}",
                f"E rho is still short of the ODE at width 256 ({setting}).",
                narrow[-1:],
                "at most",
                "256,depth=16",
            ),
        ):
            if not chosen:
                width, depth = where.split(",")
                found.append(missing(name, text, ode.correlation, f"{need} --set width={width} --set {depth}"))
                continue
            seen = mean_of(chosen[0].samples("correlation"))
            found.append(
                value_claim(
                    evidence,
                    chosen,
                    ode.correlation,
                    seen.value,
                    seen.se,
                    name=name,
                    text=text,
                    relation="equal to" if relation == "equal to" else "at most",
                )
            )
    return found



