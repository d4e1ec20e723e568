"""Claims of `log-gaussian-resnet` about layers: lags, activation, growth of the mean, and the Jacobian."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from limitbench.numerics.interlayer import Interlayer
from limitbench.studies.base import Claim
from limitbench.studies.evidence import missing, value_claim
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.log_gaussian_resnet.evidence import (
    BALANCED,
    FINITE,
    VANILLA,
    Family,
    aspect,
    excess,
    halves_differ,
    lag_covariances,
    largest,
    log_mean_growth,
)
from limitbench.studies.measured import Measured, mean_of, values, variance

#: Chance that a claim of equal laws fails although they are equal.
FALSE_ALARM = 1e-6
#: Claims of leading order in 1/n are asked of widths from here on.
_WIDE = 64


def lag_claims(vanilla: Family, balanced: Family) -> list[Claim]:
    """4n Cov(A_l, A_{l+r}) = K(c^r) for vanilla, 0 for Balanced at r > 0 (sheet C 2.2, 2.7c)."""
    found = []
    for family in (vanilla, balanced):
        lags = lag_covariances(family.widest(_WIDE)[1])
        for lag in (0, 1, 2, 3, 4, 8):
            predicted = Interlayer(family.weight, balanced=family.network == BALANCED).lag_covariance(lag)
            law = "K(c^r)" if family.network == VANILLA else "3 at r = 0, else 0"
            text = f"{family.network.capitalize()}, largest width: 4n Cov(A_l, A_(l+r)) at lag r = {lag} is {law}."
            name = f"{family.network}-lag-{lag}"
            found.append(
                _claim(
                    family,
                    lags.get(lag),
                    predicted,
                    name=name,
                    text=text,
                    need=f"two depths {lag} apart at width {_WIDE} or more",
                )
            )
    return found


def activation_claims(vanilla: Family, balanced: Family) -> list[Claim]:
    """Fewer than half of the ReLUs are active: n (P(z > 0) - 1/2) -> -.335, n (E A - 1/2) -> -.859 (sheet C 2.4)."""
    found = []
    for family in (vanilla, balanced):
        constants = Interlayer(family.weight, balanced=family.network == BALANCED)
        width, column = family.widest(_WIDE)
        deep = [depth for depth in column if 16 <= depth <= width]
        cells = [column[depth] for depth in deep]
        for observable, symbol, at in (
            ("active_fraction", "P(z > 0)", constants.active_excess),
            ("relu_share", "E A", constants.share_excess),
        ):
            predicted = float(np.mean([at(depth) for depth in deep])) if deep else at()
            text = f"{family.network.capitalize()}, largest width: n ({symbol} - 1/2) over recorded layers from 16 to "
            text += f"n is the sum over lags (infinite depth: {at():.3f})."
            name = f"{family.network}-{observable.replace('_', '-')}"
            measured = excess(cells, observable) if cells else None
            found.append(
                _claim(
                    family,
                    measured,
                    predicted,
                    name=name,
                    text=text,
                    need=f"depths from 16 to n at width {_WIDE} or more",
                )
            )
    for layer in (1, 2, 4):
        cell = vanilla.widest(_WIDE)[1].get(layer)
        text = f"Vanilla, largest width: n (E A_l - 1/2) at layer l = {layer}."
        predicted = Interlayer(vanilla.weight).share_excess(layer)
        measured = excess([cell], "relu_share") if cell is not None else None
        found.append(
            _claim(
                vanilla,
                measured,
                predicted,
                name=f"share-at-layer-{layer}",
                text=text,
                need=f"depth {layer}",
            )
        )
    return found


def growth_claims(vanilla: Family, balanced: Family) -> list[Claim]:
    """ln E|z_d|^2 = (d/n) (b^2 sum M), 0 for Balanced and in infinite width (sheet C 2.3, 2.7e)."""
    found = []
    limit = Interlayer(vanilla.weight).growth_rate
    for family, predicted in ((vanilla, limit), (balanced, 0.0)):
        cells = [cell for cell in family.cells if abs(aspect(cell) - 0.25) < 1e-9 and int(cell.parameters["depth"]) > 4]
        grown = [log_mean_growth(values(cell, "log_norm")) for cell in cells]
        # vanilla rates of short sums are brought to infinite depth by the theory's own ratio
        scale = [
            predicted / family.theory(int(c.parameters["depth"]), int(c.parameters["width"])).mean_growth
            if predicted
            else 1 / aspect(c)
            for c in cells
        ]
        text = f"{family.network.capitalize()}: the rate of ln E|z_d|^2 in d/n, at d/n = 1/4, pooled over widths "
        text += "(NNGP: 0)." if family is balanced else "(NNGP: 0), brought from finite-depth sums to infinite depth."
        name = f"{family.network}-mean-growth-rate"
        rates = [(k * m.value, k * m.se) for k, m in zip(scale, grown, strict=True) if math.isfinite(m.value)]
        if not rates:
            found.append(missing(name, text, predicted, "d/n = 1/4 at depth 8 or more"))
            continue
        weights = np.array([se**-2 for _, se in rates])
        rate = float(weights @ np.array([r for r, _ in rates]) / weights.sum())
        found.append(
            value_claim(family.evidence, cells, predicted, rate, float(weights.sum() ** -0.5), name=name, text=text)
        )
    cell = next((c for c in reversed(vanilla.cells) if abs(aspect(c) - 0.25) < 1e-9), None)
    text = "Vanilla, d/n = 1/4, largest width: E|z_out|^2/D exceeds the NNGP value 1, by the finite-depth growth."
    if cell is None:
        return [*found, missing("output-growth", text, math.exp(limit / 4), "d/n = 1/4")]
    theory = vanilla.theory(int(cell.parameters["depth"]), int(cell.parameters["width"]))
    measured = mean_of(np.exp(values(cell, "log_output")) / float(cell.parameters["outputs"]), (cell,))
    found.append(
        value_claim(
            vanilla.evidence,
            [cell],
            math.exp(theory.mean_growth),
            measured.value,
            measured.se,
            name="output-growth",
            text=text,
            distance=cell.score("distance", "log_output", FINITE),
        )
    )
    return found


def jacobian_claims(vanilla: Family, balanced: Family) -> list[Claim]:
    """Balanced: |Ju|^2/|u|^2 has exactly the law of |z_d|^2/|z_0|^2. Vanilla: it has not (sheet C 2.5, 2.6)."""
    found = []
    cell = largest(balanced.square("log_jacobian"))
    name, text = "balanced-jacobian-has-the-law-of-the-norm", "Balanced at d = n: ln |Ju|^2/|u|^2 has the law of the "
    text += "log norm at finite width (KS of two halves of the networks, against its mean under equal laws"
    if cell is None:
        found.append(missing(name, text + ").", math.nan, "d = n where networks carry a Jacobian"))
    else:
        ks, pvalue, networks = halves_differ(cell)
        root = math.sqrt(4 / networks)
        text += f"; p = {pvalue:.2g})."
        claim = value_claim(balanced.evidence, [cell], 0.869 * root, ks, 0.26 * root, name=name, text=text)
        found.append(replace(claim, verdict="holds" if pvalue >= FALSE_ALARM else "fails"))
    found.append(
        worst_score_claim(
            balanced.evidence,
            [] if cell is None else [cell],
            "log_jacobian",
            "log-gaussian",
            expected="holds",
            name="balanced-jacobian-log-gaussian",
            text="Balanced at d = n: the Jacobian norm is log-Gaussian with the forward constants.",
        )
    )
    cell = largest(vanilla.square("log_jacobian"))
    name = "vanilla-jacobian-differs"
    text = "Vanilla at d = n: the variance of ln |Ju|^2 is below that of the log norm (an observation: no theory here)."
    if cell is None:
        return [*found, missing(name, text, math.nan, "d = n where networks carry a Jacobian")]
    forward, backward = variance(cell), variance(cell, "log_jacobian")
    se = math.hypot(forward.se, backward.se)
    found.append(
        value_claim(
            vanilla.evidence, [cell], forward.value, backward.value, se, name=name, text=text, relation="at most"
        )
    )
    return found


def _claim(family: Family, found: Measured | None, predicted: float, *, name: str, text: str, need: str) -> Claim:
    if found is None or not math.isfinite(found.value):
        return missing(name, text, predicted, f"{need} at width {_WIDE} or more")
    return value_claim(family.evidence, found.cells, predicted, found.value, found.se, name=name, text=text)
