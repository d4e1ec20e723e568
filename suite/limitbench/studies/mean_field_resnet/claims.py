"""Claims of `mean-field-resnet` that networks decide: infinite width, exponential rates, fluctuations, heavy tails."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing, value_claim
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.mean_field_resnet import tails
from limitbench.studies.mean_field_resnet.cells import FULL, PLAIN, REDUCED, activations, columns_of
from limitbench.studies.mean_field_resnet.extrapolation import extrapolate, furthest, intercept, log_difference
from limitbench.studies.mean_field_resnet.tail_claims import heavy_tails
from limitbench.studies.mean_field_resnet.verdicts import relative_claim
from limitbench.studies.measured import mean_of, variance_of

#: Activations of the paper whose gradients are not heavy-tailed; a run may add other powers.
ACTIVATIONS = ("erf", "relu", "relu-0.85", "tanh")
_ODD = ("erf", "tanh")
WORDS = {FULL: "full residual network", REDUCED: "reduced residual network", PLAIN: "plain network"}
GAUSSIAN = "gaussian-fluctuations"
#: A claim about a ratio says something where 4.5 standard errors are below this.
_RESOLUTION = 0.25
#: Depth from which on a correction that grows exponentially is seen to do so.
_LONG = 20
#: Layers after which a plain network's length is at its fixed point.
_DEEP = 400


def measured_claims(evidence: Evidence) -> list[Claim]:
    """All of them, by topic."""
    named = sorted({*ACTIVATIONS, *activations(evidence)})
    light = [name for name in named if (tails.power(name) or 1.0) > tails.LARGEST_HEAVY]
    return [
        *(_infinite_width(evidence, name, network) for name in light for network in (FULL, REDUCED)),
        _naive_mean(
            evidence,
            name="mean-not-tracked-fails",
            text="Without the mean of x, p_l = p_{l-1} + V phi(q_l) is not the length of a reduced ReLU network",
        ),
        _correlated_gradient(
            evidence,
            name="reduced-relu-correction-growth",
            text="Reduced ReLU: gradients are not independent of the signal: the 1/N correction of chi grows with "
            "p_l/chi_l, here by its logarithm a layer, so that widths must grow exponentially with depth (not in the "
            "paper)",
        ),
        *_exponential(evidence),
        *(_gradient_variance(evidence, name, network) for name, network in _leading(light)),
        *_normal_laws(evidence, light),
        *_relu(evidence),
        *heavy_tails(evidence, named),
    ]


def _leading(names: list[str]) -> list[tuple[str, str]]:
    """Activations and networks whose fluctuations are of order 1/N: reduced networks of even parts need more."""
    return [(name, network) for name in names for network in (FULL, REDUCED) if network == FULL or name in _ODD]


def _infinite_width(evidence: Evidence, activation: str, network: str) -> Claim:
    """Every quantity at every layer against the recurrences; the worst of them is the claim."""
    name = f"recurrences-{activation}-{network}"
    text = (
        f"{activation}, {WORDS[network]}: means at infinite width (fit a + b/N) over those of the recurrences, forward"
    )
    text += " and backward, all parameters"
    columns = columns_of(evidence, activation, network)
    worst = None if columns is None else furthest(columns, _RESOLUTION)
    if columns is None or worst is None:
        return missing(name, f"{text}.", 1.0, f"three widths of {activation}, {network}, and networks enough")
    text += f" (furthest off: {worst.quantity} at layer {worst.layer} of {columns.setting()}"
    text += f"; {worst.unresolved} means fluctuate too much to say)." if worst.unresolved else ")."
    return value_claim(evidence, columns.cells, 1.0, worst.value, worst.se, name=name, text=text)


def _naive_mean(evidence: Evidence, *, name: str, text: str) -> Claim:
    """p of the last layer over the naive recurrence's, which the networks must exceed by half of what they should."""
    columns = columns_of(evidence, "relu", REDUCED)
    if columns is None or (fit := extrapolate(columns, "log_length")) is None:
        return missing(name, f"{text}.", math.nan, "three widths of relu, reduced")
    sigma_w2, sigma_b2 = (float(columns.parameters[s]) for s in ("sigma_w2", "sigma_b2"))
    naive = [1.0]
    for _ in range(columns.layers[-1]):
        naive.append(naive[-1] + (sigma_w2 * naive[-1] + sigma_b2) / 2)
    tracked = math.exp(columns.logs("log_length")[-1]) / naive[-1]
    measured, se = tracked * float(fit.value[-1]), tracked * float(fit.se[-1])
    words = (
        f"{text} (p over the naive value {naive[-1]:.4g} at layer {columns.layers[-1]}; tracked {tracked:.3g} times)."
    )
    bound = (1 + tracked) / 2
    return value_claim(evidence, columns.cells, bound, measured, se, name=name, text=words, relation="at least")


def _correlated_gradient(evidence: Evidence, *, name: str, text: str) -> Claim:
    """d ln((mean chi over the recurrences' value) - 1)/dl at the smallest width, in the middle of the network.

    A relative change of the length changes <u, x_L> too: a gradient along x_{l-1} of mean square p_L/(p_{l-1} N).
    """
    columns = columns_of(evidence, "relu", REDUCED)
    need = "relu, reduced, of at least 20 blocks with two layers between L/4 and L/2 + 1"
    middle = [] if columns is None else [x for x in columns.layers if columns.depth / 4 < x <= columns.depth / 2 + 1]
    if columns is None or len(middle) < 2 or columns.depth < _LONG:
        return missing(name, f"{text}.", math.nan, need)
    first, last = middle[0], middle[-1]
    at = [columns.layers.index(layer) for layer in (first, last)]
    width = min(columns.by_width)
    excess = [np.expm1(columns.values("log_chi")[width][i] - columns.logs("log_chi")[i]) for i in at]
    early, late = (mean_of(x).value for x in excess)
    if not min(early, late) > 0:
        return missing(name, f"{text}.", math.nan, f"{need}; more networks")
    path, span = columns.trajectory, last - first
    predicted = float(np.diff((path.log_p + path.log_chi)[[first - 1, last - 1]])[0]) / span
    se = mean_of(excess[0] / early - excess[1] / late).se / span  # the same networks
    words = f"{text} (N = {width}, layers {first} to {last} of {columns.setting()}; to 10 %)."
    return relative_claim(
        evidence, columns.narrowest, predicted, math.log(early / late) / span, se, bound=0.1, name=name, text=words
    )


def _exponential(evidence: Evidence) -> Iterator[Claim]:
    """Rates a layer of plain tanh, and how the rates of the residual networks fall with depth."""
    for direction, observable, what in (
        ("forward", "log_distance", "the squared distance of two inputs"),
        ("backward", "log_chi", "the squared gradient, from the last layer on,"),
    ):
        yield _plain_rate(
            evidence,
            observable,
            name=f"plain-tanh-{direction}",
            text=f"Plain tanh: {what} changes by ln chi_1 a layer (chi_1 = sigma_w^2 V phi'(q*), c* = 1)",
        )
    for network in (PLAIN, FULL, REDUCED):
        for direction, observable, symbol in (("forward", "log_distance", "s"), ("backward", "log_chi", "chi")):
            kind = "near 1, exponential" if network == PLAIN else "far below 1, subexponential"
            yield _slowing(
                evidence,
                network,
                observable,
                name=f"slowing-tanh-{network}-{direction}",
                text=f"tanh, {WORDS[network]}: rate of ln {symbol} a layer in the second half of the network over that "
                f"in the first is {kind}",
            )


def _plain_rate(evidence: Evidence, observable: str, *, name: str, text: str) -> Claim:
    """Change of the logarithm a layer in the last two thirds."""
    columns = columns_of(evidence, "tanh", PLAIN)
    need = "three widths of tanh, plain, at layer L and one from L/3 on"
    late = [] if columns is None else [layer for layer in columns.layers if layer > columns.depth / 3]
    if columns is None or len(late) < 2:
        return missing(name, f"{text}.", math.nan, need)
    first, last = late[0], late[-1]
    difference = log_difference(columns, observable, last, first)
    if difference is None:
        return missing(name, f"{text}.", math.nan, f"{need}; more networks")
    span = (last - first) * (1 if observable == "log_distance" else -1)
    predicted, measured, se = (value / span for value in difference)
    gains = columns.recurrences.run(_DEEP).log_chi
    words = f"{text}, {gains[-2] - gains[-1]:.4g} at the fixed point; predicted by the recurrences for layers {first} "
    words += f"to {last}, {columns.setting()}."
    return value_claim(evidence, columns.cells, predicted, measured, abs(se), name=name, text=words)


def _slowing(evidence: Evidence, network: str, observable: str, *, name: str, text: str) -> Claim:
    """(y_2 - y_1)/(x_2 - x_1) over (y_1 - y_0)/(x_1 - x_0) at the first, the middle and the last layer."""
    columns = columns_of(evidence, "tanh", network)
    need = f"three widths of tanh, {network}, at layers 1, L/2 + 1 and L"
    if columns is None:
        return missing(name, f"{text}.", math.nan, need)
    x = [1, columns.depth // 2 + 1, columns.depth]
    at = [i for layer in x if (i := columns.index(layer)) is not None]
    fit = extrapolate(columns, observable)
    if fit is None or len(at) < 3 or len(set(x)) < 3:
        return missing(name, f"{text}.", math.nan, need)
    logs, value, se = (part[at] for part in (columns.logs(observable), fit.value, fit.se))
    if observable == "log_chi":  # at the input of a block, and 0 behind the last one
        x[2], logs[2], value[2], se[2] = x[2] + 1, 0.0, 1.0, 0.0
    if value.min() <= 0:
        return missing(name, f"{text}.", math.nan, f"{need}; too few networks")
    steps = np.diff(x)

    def rates(y: Float[np.ndarray, " three"]) -> Float[np.ndarray, " two"]:
        return np.diff(y) / steps

    (first, second), (early, late) = rates(logs), rates(logs + np.log(value))
    slopes = np.array([late / early / steps[0], -1 / steps[1] - late / early / steps[0], 1 / steps[1]]) / early
    error = float(np.linalg.norm(slopes * se / value))
    words = f"{text} ({columns.setting()})."
    return value_claim(
        evidence, columns.cells, second / first, late / early, error, name=name, text=words, resolution=_RESOLUTION
    )


def _gradient_variance(evidence: Evidence, activation: str, network: str) -> Claim:
    """N Var ln chi_0/chi_L over L at infinite width."""
    name = f"gradient-variance-{activation}-{network}"
    text = f"{activation}, {WORDS[network]}: N/L Var ln(chi_0/chi_L) at infinite width (fit v + c/N)"
    columns = columns_of(evidence, activation, network)
    if columns is None or len(columns.by_width) < 3 or columns.index(1) is None:
        return missing(name, f"{text}.", math.nan, f"three widths and layer 1 of {activation}, {network}")
    widest = max(columns.by_width)
    predicted = columns.recurrences.log_chi_variance(columns.depth, widest) * widest / columns.depth
    scale = columns.widths / columns.depth
    found = [variance_of(values[0]) for values in columns.values("log_chi").values()]
    y, se = (scale * np.array([getattr(m, part) for m in found]) for part in ("value", "se"))
    value, error = intercept(1 / columns.widths, y[:, None], se[:, None])
    words = f"{text}, {columns.setting()}; {y[-1]:.3g} ± {se[-1]:.1g} at N = {widest}."
    return value_claim(evidence, columns.cells, predicted, float(value[0]), float(error[0]), name=name, text=words)


def _normal_laws(evidence: Evidence, light: list[str]) -> Iterator[Claim]:
    """Where the leading fluctuations are a law to rely on."""
    for observable, words, layer in (
        ("log_chi", "of the gradient ratio ln(chi_0/chi_L)", 0),
        ("log_length", "of the length ln p_L", -1),
    ):
        found = [columns_of(evidence, name, network) for name, network in _leading(light)]
        yield worst_score_claim(
            evidence,
            [columns.widest[layer] for columns in found if columns is not None],
            observable,
            GAUSSIAN,
            expected="holds",
            name=f"normal-law-{observable.replace('_', '-')}",
            text=f"The Gaussian law {words} holds at the largest width for residual networks without heavy tails "
            "(reduced ones: odd activations).",
        )


def _relu(evidence: Evidence) -> Iterator[Claim]:
    """Full ReLU: chi_0/chi_L = B^L, gradients of matrices flat."""
    columns = columns_of(evidence, "relu", FULL)
    need = "three widths and layers 1 and L of relu, full"
    name, text = "relu-gradient-growth", "ReLU, full: ln(chi_0/chi_L)/L is ln B, B = 1 + sigma_v^2 sigma_w^2/2"
    fit = None if columns is None else extrapolate(columns, "log_chi")
    if columns is None or columns.index(1) is None or fit is None or fit.value[0] <= 0:
        yield missing(name, f"{text}.", math.nan, need)
    else:
        base = math.log1p(float(columns.parameters["sigma_v2"]) * float(columns.parameters["sigma_w2"]) / 2)
        measured = (float(columns.logs("log_chi")[0]) + math.log(fit.value[0])) / columns.depth
        se = float(fit.se[0] / fit.value[0]) / columns.depth
        text = f"{text} ({columns.setting()})."
        yield value_claim(evidence, columns.cells, base, measured, se, name=name, text=text)
    for matrix in ("w", "v"):
        name = f"relu-gradients-of-{matrix}-flat"
        text = f"ReLU, full: chi_{matrix} is constant in depth once p is large: early over last block"
        inner = [] if columns is None else [layer for layer in columns.layers if layer > 1]
        found = None
        if columns is not None and len(inner) > 1:
            found = log_difference(columns, f"log_chi_{matrix}", inner[0], inner[-1])
        if columns is None or found is None:
            yield missing(name, f"{text}.", 1.0, f"{need}, and another between")
            continue
        predicted, change, error = found
        words = f"{text} (chi grows by B^{inner[-1] - inner[0]}; layers {inner[0]} and {inner[-1]})."
        ratio = math.exp(change)
        yield value_claim(
            evidence, columns.cells, math.exp(predicted), ratio, ratio * error, name=name, text=words, resolution=0.5
        )
