"""Claims of `residual-equivalence`: one ODE, equal covariances where norms are kept, a bias of asymmetric slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing, moment_claim, value_claim
from limitbench.studies.ledger import answering, rate_claim, worst_score_claim
from limitbench.studies.residual_equivalence.cells import (
    ASYMMETRIC,
    ENTRIES,
    MLP,
    NORMALISED,
    OBSERVABLE,
    PLAIN,
    RELU,
    SYMMETRIC,
    WORDS,
    Estimate,
    mean,
    root_cells,
    size,
)
from limitbench.studies.residual_equivalence.fluctuations import fluctuations

_ASYMMETRIC_NEED = "the shaped MLP at d = n^1/2, Delta = 3, slope_mean -0.5, rho0 = -0.2"


def ledger(evidence: Evidence) -> list[Claim]:
    """All claims."""
    return [
        same_recursion(
            evidence,
            name="same-recursion",
            text="At infinite width the symmetric MLP and the normalised residual network have one and the same "
            "correlation at every depth (largest difference; laws alone, no networks).",
        ),
        *_means(evidence),
        *_theories(evidence),
        *fluctuations(evidence),
        *_covariances(evidence),
        *_asymmetric(evidence),
        *_relu(evidence),
    ]


@answering
def same_recursion(evidence: Evidence, *, name: str, text: str) -> Claim:
    """skip^2 + branch^2 k(rho) agrees: c/d and 1/(d (1 + h/d)) are one number where c_+ + c_- = 0."""
    cells = [c for c in evidence.where(slope_mean=0.0) if c.parameters["network"] != PLAIN]
    values: dict[tuple[object, ...], list[float]] = {}
    for cell in cells:
        key = tuple(cell.parameters[a] for a in ("slope_difference", "rho0", "time", "depth"))
        values.setdefault(key, []).append(cell.theory("infinite-width").law(OBSERVABLE).mean)
    spreads = [max(v) - min(v) for v in values.values() if len(v) > 1]
    if not spreads:
        return missing(name, text, 0.0, "both networks with slope_mean = 0")
    return value_claim(evidence, cells, 0.0, max(spreads), 1e-13, name=name, text=text)


def _means(evidence: Evidence) -> list[Claim]:
    """The correlation follows the ODE: its error falls as 1/d along d = n^1/2, and the networks agree directly."""
    claims = []
    for network in (MLP, NORMALISED, PLAIN):
        name = f"ode-rate-{network}"
        text = f"The error of the common ODE (rho_1 = .6163) for {WORDS[network]} falls as 1/d, n^-1/2 at d = n^1/2."
        cells = root_cells(evidence, network)
        if len(cells) < 3:
            claims.append(missing(name, text, 0.5, "at least three sizes with d = n^1/2, (64, 8), (256, 16), ..."))
        else:
            claims.append(
                rate_claim(evidence, cells, OBSERVABLE, "ode", predicted=0.5, tolerance=0.15, name=name, text=text)
            )
    direct = [
        _two_sample(
            evidence,
            network,
            (OBSERVABLE,),
            name=f"mean-correlation-{network}",
            text=f"The mean correlation of {WORDS[network]} is that of the shaped MLP (difference)",
        )
        for network in (NORMALISED, PLAIN)
    ]
    everywhere = _at_every_size(
        evidence,
        name="mean-correlation-every-size",
        text="The mean correlations of the normalised residual network and the symmetric MLP agree at every d and d/n "
        "of the run (difference of the furthest off",
    )
    return [*claims, *direct, everywhere]


@answering
def _at_every_size(evidence: Evidence, *, name: str, text: str) -> Claim:
    """Both have one infinite-width recursion; their O(1/n) and O(d/n) errors are small too."""
    used, found = [], []
    for mlp in evidence.where(network=MLP, **SYMMETRIC):
        sizes = {axis: int(mlp.parameters[axis]) for axis in ("width", "depth")}
        ours = evidence.one(network=NORMALISED, **SYMMETRIC, **sizes)
        if ours is not None:
            a, b = mean(ours.samples(OBSERVABLE)), mean(mlp.samples(OBSERVABLE))
            found.append((Estimate(a.value - b.value, math.hypot(a.se, b.se)), size(mlp)))
            used += [ours, mlp]
    if not found:
        return missing(name, f"{text}).", 0.0, "both networks at time 1, Delta = 3, slope_mean 0, rho0 = -0.2")
    worst, where = max(found, key=lambda item: item[0].deviation)
    return value_claim(evidence, used, 0.0, worst.value, worst.se, name=name, text=f"{text}, {where}).")


@answering
def _two_sample(
    evidence: Evidence, network: str, observables: Sequence[str], *, name: str, text: str, differs: bool = False
) -> Claim:
    """Means of `network` against those of the MLP at the largest d = n^1/2, for the observable that differs most.

    With `differs` the claim is that they differ, by half of what they differ by at infinite width or more.
    """
    pairs = list(zip(root_cells(evidence, network), root_cells(evidence, MLP), strict=False))
    if not pairs or size(pairs[-1][0]) != size(pairs[-1][1]):
        return missing(name, f"{text}.", 0.0, "both networks at d = n^1/2, Delta = 3, slope_mean 0, rho0 = -0.2")
    ours, mlp = pairs[-1]
    found = []
    for observable in observables:
        a, b = mean(ours.samples(observable)), mean(mlp.samples(observable))
        found.append((observable, Estimate(a.value - b.value, math.hypot(a.se, b.se))))
    observable, worst = max(found, key=lambda item: item[1].deviation)
    words = f"{text}, {size(ours)}; furthest off: {observable}."
    pair = [ours, mlp]
    if not differs:
        return value_claim(evidence, pair, 0.0, worst.value, worst.se, name=name, text=words)
    limits = [cell.theory("infinite-width").law(observable).mean for cell in pair]
    half = abs(limits[0] - limits[1]) / 2
    return value_claim(evidence, pair, half, abs(worst.value), worst.se, name=name, text=words, relation="at least")


def _theories(evidence: Evidence) -> list[Claim]:
    """Which law describes the correlation of each network."""
    everywhere = {"slope_mean": 0.0, "time": 1.0}
    wide = [c for c in evidence.where(**everywhere) if int(c.parameters["width"]) >= 1024]
    return [
        worst_score_claim(
            evidence,
            evidence.where(network=MLP, **everywhere),
            OBSERVABLE,
            "finite-width-chain",
            expected="holds",
            name="chain-holds-mlp",
            text="The finite-width chain holds for the MLP's correlation at every d and d/n of the run (largest D).",
        ),
        worst_score_claim(
            evidence,
            [c for c in wide if c.parameters["network"] != MLP],
            OBSERVABLE,
            "kernel-fluctuation",
            expected="holds",
            name="kernel-fluctuation-holds-resnet",
            text="Infinite width + CLT holds for the residual networks' correlation from n = 1024 on (largest D).",
        ),
        worst_score_claim(
            evidence,
            evidence.where(network=MLP, **everywhere),
            OBSERVABLE,
            "gaussian-fluctuation",
            expected="fails",
            name="ode-fluctuation-not-yet",
            text="The limit N(rho_t, (d/n) s_t) still fails for the MLP at every size here: its mean is off by O(1/d) "
            "(smallest D).",
        ),
    ]


def _covariances(evidence: Evidence) -> list[Claim]:
    """All six entries of three inputs: those of the MLP if normalised, e^{ht} times as large if not."""
    claims = [
        _two_sample(
            evidence,
            NORMALISED,
            ENTRIES,
            name="covariances-normalised",
            text="All six mean covariances of three inputs of the normalised residual network are the MLP's "
            "(difference of the furthest off)",
        ),
        _two_sample(
            evidence,
            PLAIN,
            ENTRIES,
            differs=True,
            name="covariances-plain-differ",
            text="Without normalisation they are not (difference of the furthest off)",
        ),
    ]
    name = "norm-growth-plain"
    text = "The plain residual network's V^11 grows to (1 + h/d)^d, near e^h (mean"
    cells = root_cells(evidence, PLAIN)
    if not cells:
        return [*claims, missing(name, f"{text}).", math.nan, "the plain residual network at d = n^1/2")]
    predicted = cells[-1].theory("infinite-width").law("covariance_11").mean
    limit = cells[-1].theory("ode").law("covariance_11").mean
    claim = answering(moment_claim)(
        evidence,
        cells[-1],
        "covariance_11",
        "mean",
        predicted,
        name=name,
        text=f"{text}, {size(cells[-1])}; e^h = {limit:.3f}).",
        theory="kernel-fluctuation",
    )
    return [*claims, claim]


def _asymmetric(evidence: Evidence) -> list[Claim]:
    """Where c_+ + c_- is not 0 the MLP's bias is O(d^-1/2), 5 % still at n = 4096; the residual network has none."""
    return [
        _asymmetric_mean(
            evidence,
            name="asymmetric-mean",
            text="For c = (1, -2) the MLP's mean correlation is that of the finite-width chain",
        ),
        _asymmetric_bias(
            evidence,
            name="asymmetric-bias",
            text="For c = (1, -2) at d = n^1/2 the MLP's mean is still 2 % or more above the ODE (relative error)",
        ),
    ]


@answering
def _asymmetric_mean(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = root_cells(evidence, MLP, ASYMMETRIC)
    if not cells:
        return missing(name, f"{text}.", math.nan, _ASYMMETRIC_NEED)
    cell = cells[-1]
    chain, recursion, ode = (
        cell.theory(t).law(OBSERVABLE).mean for t in ("finite-width-chain", "infinite-width", "ode")
    )
    words = f"{text}, {size(cell)} (infinite width {recursion:.4f}, ODE {ode:.4f})."
    return moment_claim(evidence, cell, OBSERVABLE, "mean", chain, name=name, text=words, theory="finite-width-chain")


@answering
def _asymmetric_bias(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = root_cells(evidence, MLP, ASYMMETRIC)
    if not cells:
        return missing(name, f"{text}.", 0.02, _ASYMMETRIC_NEED)
    cell = cells[-1]
    ode = cell.theory("ode").law(OBSERVABLE).mean
    found = mean(cell.samples(OBSERVABLE))
    return value_claim(
        evidence,
        [cell],
        0.02,
        found.value / ode - 1,
        found.se / ode,
        name=name,
        text=f"{text}, {size(cell)}.",
        relation="at least",
        distance=cell.score("distance", OBSERVABLE, "ode"),
    )


def _relu(evidence: Evidence) -> list[Claim]:
    """ReLU residual network from orthogonal inputs: ODE .1413, which infinite width reaches as 1/d."""
    name = "relu-resnet"
    text = "The ReLU residual network's mean correlation from rho0 = 0 is that of infinite width, near the ODE's .1413"
    cells = evidence.where(network=PLAIN, **RELU)
    if not cells:
        return [missing(name, f"{text}.", 0.1413, "slope_difference 1, slope_mean -0.5, rho0 = 0, time 1")]
    cell = max(cells, key=lambda c: (int(c.parameters["depth"]), int(c.parameters["width"])))
    predicted = cell.theory("infinite-width").law(OBSERVABLE).mean
    words = f"{text}, {size(cell)}."
    return [
        answering(moment_claim)(
            evidence, cell, OBSERVABLE, "mean", predicted, name=name, text=words, theory="kernel-fluctuation"
        )
    ]
