"""Ledger of `relu-gradients`: slopes, exact and log-normal laws, what layers share, death."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.measured import Measured, covariance_of, mean_of, values, variance_of
from limitbench.studies.relu_gradients.families import MLPS, columns, is_mlp, layers_of, reads_ends, surviving
from limitbench.studies.relu_gradients.pairs import pooled, scaled, spread_difference
from limitbench.studies.relu_gradients.residual import residual_claims
from limitbench.studies.relu_gradients.slopes import NARROWEST, WEIGHT_GRADIENT, Slope, fit_slope, mean_slope
from limitbench.theories.relu_gradients import ChiSquareProducts
from limitbench.theories.relu_gradients.layers import LOGS

#: Living networks in a cell from which on its D is told from the margin; failures show with fewer.
_SHARP, _FEW = 8000, 1000
#: Width from which on the log-normal law holds, and up to which it fails at d >= 16.
_WIDE, _NARROW, _DEEP = 128, 8, 16
#: Sum of inverse widths from which on forward and backward passes are seen to be coupled.
_COUPLED = 0.25
_RELU, _UNEQUAL = "relu", "relu-unequal"


def claims(evidence: Evidence) -> list[Claim]:
    """All statements, in the order of the paper's: moments, laws, directions, layers, death; then ResNets."""
    return [
        *_slopes(evidence),
        *_scores(evidence),
        *_directions(evidence),
        *_layers(evidence),
        *_death(evidence),
        *residual_claims(evidence),
    ]


def _slopes(evidence: Evidence) -> list[Claim]:
    found, slopes = [], {network: fit_slope(evidence, network) for network in MLPS}
    need = f"three widths from {NARROWEST} on"
    for network, slope in slopes.items():
        predicted = 3 / MLPS[network].passing - 1
        text = f"{network}: Var ln|dE/dW_l|^2 over sum 1/n_l is 3/p - 1 at infinite width, p the share of units on."
        found.append(_slope_claim(evidence, slope, predicted, f"variance-slope-{network}", text, need))
    text = "relu: E ln|dE/dW_l|^2 over sum 1/n_l is -5/2 at infinite width."
    found.append(_slope_claim(evidence, mean_slope(evidence, _RELU), -2.5, "mean-slope-relu", text, need))
    name = "unequal-widths-on-one-line"
    text = "Widths n, ..., n, 3n, ..., 3n and equal widths have one slope in sum 1/n_l (difference of the slopes)."
    equal, unequal = slopes[_RELU], slopes[_UNEQUAL]
    if equal is None or unequal is None:
        return [*found, missing(name, text, 0.0, f"relu and relu-unequal at {need}")]
    se, cells = math.hypot(equal.se, unequal.se), [*equal.cells, *unequal.cells]
    difference = unequal.value - equal.value
    return [*found, value_claim(evidence, cells, 0.0, difference, se, name=name, text=text, resolution=1.5)]


def _slope_claim(evidence: Evidence, slope: Slope | None, predicted: float, name: str, text: str, need: str) -> Claim:
    if slope is None:
        return missing(name, text, predicted, need)
    return value_claim(
        evidence, slope.cells, predicted, slope.value, slope.se, name=name, text=text, resolution=abs(predicted) / 4
    )


def _scores(evidence: Evidence) -> list[Claim]:
    mlps = [cell for cell in evidence.cells if is_mlp(cell.parameters)]
    most = max(map(surviving, mlps), default=0.0)
    sharp = [cell for cell in mlps if surviving(cell) >= max(_SHARP, 0.9 * most)]
    wide = [
        cell
        for cell in mlps
        if int(cell.parameters["width"]) >= _WIDE
        and cell.parameters["layer"] == cell.parameters["depth"]
        and surviving(cell) >= _SHARP
    ]
    narrow = [
        cell
        for cell in mlps
        if int(cell.parameters["width"]) <= _NARROW
        and int(cell.parameters["depth"]) >= _DEEP
        and cell.parameters["network"] == _RELU
        and surviving(cell) >= _FEW
    ]
    words = {
        "log_norm": "|x_l|^2",
        "log_jacobian": "|Ju|^2",
        "log_gradient": "|dE/dz_l|^2",
        WEIGHT_GRADIENT: "|dE/dW_l|^2",
    }
    exact = [
        worst_score_claim(
            evidence,
            sharp,
            name,
            "chi-square-products",
            expected="holds",
            name=f"exact-law-{name.replace('_', '-')}",
            text=f"ln {words[name]} is a sum of independent ln chi^2_K/(p n) at every width, layer and probability p "
            f"(cells of most living networks, {_SHARP:,} or more).",
        )
        for name in LOGS
    ]
    return [
        *exact,
        worst_score_claim(
            evidence,
            wide,
            WEIGHT_GRADIENT,
            "log-normal",
            expected="holds",
            name="log-normal-holds-wide",
            text=f"ln|dE/dW_l|^2 ~ N(-beta/2, beta), beta = (3/p - 1) sum 1/n_l, holds from width {_WIDE} on (cells of "
            f"{_SHARP:,} networks, read at the last layer).",
        ),
        worst_score_claim(
            evidence,
            narrow,
            WEIGHT_GRADIENT,
            "log-normal",
            expected="fails",
            name="log-normal-fails-narrow",
            text=f"At widths up to {_NARROW} and {_DEEP} layers the log-normal law is far off for ReLU networks.",
        ),
    ]


def _claim(
    evidence: Evidence, found: Measured | None, predicted: float, *, name: str, text: str, need: str, resolution: float
) -> Claim:
    if found is None:
        return missing(name, text, predicted, need)
    return value_claim(
        evidence, found.cells, predicted, found.value, found.se, name=name, text=text, resolution=resolution
    )


def _ends(evidence: Evidence) -> list[Sequence[CellEvidence]]:
    """Columns that read the first and the last layer, where networks enough live."""
    return [c for c in columns(evidence) if reads_ends(c) and surviving(c[0]) >= _SHARP]


def _directions(evidence: Evidence) -> list[Claim]:
    """|J u| through all layers against |J'v| through all layers, of the same networks."""
    means, spreads = [], []
    for column in _ends(evidence):
        first, last, layers = column[0], column[-1], layers_of(column[0].parameters)
        forward, backward = values(last, "log_jacobian"), values(first, "log_gradient")
        beta = layers.variance_rate * layers.time(WEIGHT_GRADIENT)
        means.append(scaled(mean_of(forward - backward, (first, last)), beta / 2))
        spreads.append(spread_difference(forward, backward, beta, (first, last)))
    need = "the first and the last layer of an MLP"
    return [
        _claim(
            evidence,
            pooled(found),
            0.0,
            name=f"forward-and-backward-{moment}",
            text=f"|Ju| from the input to layer d and |J'v| from the output to layer 1 have one {moment} "
            f"(difference over that of the log-normal law, all MLPs pooled).",
            need=need,
            resolution=0.25,
        )
        for moment, found in (("mean", means), ("variance", spreads))
    ]


def _layers(evidence: Evidence) -> list[Claim]:
    """Weight gradients of the first and the last layer; what the two factors of one, and of two layers, share."""
    means, spreads, shared, within, inner = [], [], [], [], []
    for column in columns(evidence):
        if surviving(column[0]) < _SHARP:
            continue
        layers = layers_of(column[0].parameters)
        beta = layers.variance_rate * layers.time(WEIGHT_GRADIENT)
        middle = column[len(column) // 2]
        if int(middle.parameters["layer"]) > 1:
            total, above = values(middle, WEIGHT_GRADIENT), values(middle, "log_gradient")
            inner.append(scaled(covariance_of(total - above, above, (middle,)), beta))
        if not reads_ends(column):
            continue
        first, last = column[0], column[-1]
        a, b = values(first, WEIGHT_GRADIENT), values(last, WEIGHT_GRADIENT)
        means.append(scaled(mean_of(a - b, (first, last)), beta / 2))
        spreads.append(spread_difference(a, b, beta, (first, last)))
        if layers.time(WEIGHT_GRADIENT) >= _COUPLED:
            independent = ChiSquareProducts(layers).spread_if_independent()
            within.append(scaled(variance_of(a - b, (first, last)), independent))
            shared.append(covariance_of(values(last, "log_norm"), values(first, "log_gradient"), (first, last)))
    ends = "the first and the last layer of an MLP"
    one = "ln|dE/dW_1|^2 less ln|dE/dW_d|^2 of one network, over that of the log-normal law, all MLPs pooled"
    found = [
        _claim(
            evidence,
            pooled(values_),
            0.0,
            name=f"weight-gradients-of-all-layers-{moment}",
            text=f"All layers enter the weight gradient of each: first and last have one {moment} ({one}).",
            need=ends,
            resolution=0.25,
        )
        for moment, values_ in (("mean", means), ("variance", spreads))
    ]
    found.append(
        _claim(
            evidence,
            pooled(inner),
            0.0,
            name="norm-below-and-gradient-above-independent",
            text="|x_{l-1}| and |dE/dz_l| are independent: covariance of their logs at the middle layer, over beta.",
            need="a layer above the first",
            resolution=0.1,
        )
    )
    return [*found, _coupled(evidence, shared), _within(evidence, within)]


def _coupled(evidence: Evidence, shared: Sequence[Measured]) -> Claim:
    """Forward and backward through the same layers are not independent."""
    name = "forward-and-backward-coupled"
    text = "Through the same layers they are not: the covariance of ln|x_d|^2 and ln|dE/dz_1|^2 is positive, as both "
    text += f"have the same units on and the same matrices (smallest in s.e. where sum 1/n_l is at least {_COUPLED:g})."
    found = [m for m in shared if math.isfinite(m.value) and m.se > 0]
    if not found:
        return missing(name, text, 0.0, f"the first and the last layer of an MLP with a sum of at least {_COUPLED:g}")
    least = min(found, key=lambda m: m.value / m.se)
    return value_claim(evidence, least.cells, 0.0, least.value, least.se, name=name, text=text, relation="at least")


def _within(evidence: Evidence, within: Sequence[Measured]) -> Claim:
    """How far apart the gradients of one network's layers are."""
    name = "spread-within-a-network"
    text = "Exploding and vanishing gradients within one network: Var(ln|dE/dW_1|^2 - ln|dE/dW_d|^2) is at most "
    text += (
        "2 sum_{l<d} E psi'(K_l/2), about (4/p) sum 1/n_l, that of forward and backward factors which share nothing "
    )
    text += (
        f"but the units that are on (largest ratio where sum 1/n_l is at least {_COUPLED:g}; the matrices that they "
    )
    text += "share make it less: a bound that is seen here, not proved)."
    found = [m for m in within if m.se > 0]
    if not found:
        return missing(name, text, 1.0, f"first and last layer of an MLP with a sum of at least {_COUPLED:g}")
    worst = max(found, key=lambda m: (m.value - 1) / m.se)
    return value_claim(evidence, worst.cells, 1.0, worst.value, worst.se, name=name, text=text, relation="at most")


def _death(evidence: Evidence) -> list[Claim]:
    """Share of dead networks in the narrowest ReLU networks of each kind, furthest off in standard errors."""
    name = "death-is-a-product-over-layers"
    text = "A network is dead up to layer l with probability 1 - prod_{j<=l} (1 - (1 - p)^{n_j})"
    found = []
    for cell in evidence.cells:
        if not is_mlp(cell.parameters):
            continue
        death, networks = layers_of(cell.parameters).death, values(cell, "dead")
        networks = networks[np.isfinite(networks)]
        se = math.sqrt(death * (1 - death) / max(networks.size, 1))
        if networks.size * min(death, 1 - death) >= 20:
            found.append((abs(networks.mean() - death) / se, float(networks.mean()), death, se, cell))
    if not found:
        return [missing(name, f"{text}.", math.nan, "a width at which networks die")]
    _, measured, death, se, cell = max(found, key=lambda entry: entry[0])
    p = cell.parameters
    text += f" (of {len(found)} cells the furthest off: {p['network']}, width {p['width']}, layer {p['layer']})."
    exact = value_claim(evidence, [cell], death, measured, se, name=name, text=text)
    return [exact, _rare_death(evidence)]


def _rare_death(evidence: Evidence) -> Claim:
    """d 2^-n where that is small, and by how much it is above the exact 1 - (1 - 2^-n)^d."""
    name = "death-is-about-depth-over-two-to-the-width"
    text = "A ReLU network is dead with probability about d 2^-n where small, exactly 1 - (1 - 2^-n)^d (over d 2^-n"
    cells = []
    for column in columns(evidence, (_RELU,)):
        p = column[-1].parameters
        guess = int(p["depth"]) * 2.0 ** -int(p["width"])
        if p["layer"] == p["depth"] and guess < 0.1:
            cells.append((guess, column[-1]))
    if not cells:
        return missing(name, f"{text}).", 1.0, "relu networks of d 2^-n below 0.1")
    guess, cell = max(cells, key=lambda pair: pair[0])
    ratio = scaled(mean_of(values(cell, "dead"), (cell,)), guess)
    width, depth = int(cell.parameters["width"]), int(cell.parameters["depth"])
    exact = -math.expm1(depth * math.log1p(-(2.0**-width))) / guess
    text += f", width {width}, depth {depth})."
    if not ratio.value > 0:
        return missing(name, text, exact, "networks enough that some are dead")
    return value_claim(evidence, [cell], exact, ratio.value, ratio.se, name=name, text=text)
