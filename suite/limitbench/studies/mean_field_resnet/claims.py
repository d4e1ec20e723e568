"""Claims of `mean-field-resnet` that networks decide: infinite width, fluctuations, ReLU, heavy tails."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import STANDARD_ERRORS, Evidence, missing, value_claim
from limitbench.studies.ledger import worst_score_claim
from limitbench.studies.mean_field_resnet import tails
from limitbench.studies.mean_field_resnet.cells import FULL, REDUCED, WORDS, activations, columns_of
from limitbench.studies.mean_field_resnet.extrapolation import (
    comparisons,
    extrapolate,
    furthest,
    intercept,
    listed,
    log_difference,
)
from limitbench.studies.mean_field_resnet.rate_claims import rate_claims
from limitbench.studies.mean_field_resnet.tail_claims import heavy_tails
from limitbench.studies.mean_field_resnet.verdicts import relative_claim
from limitbench.studies.measured import mean_of, variance_of

#: Activations of the paper whose gradients are not heavy-tailed; a run may add other powers.
ACTIVATIONS = ("erf", "relu", "relu-0.85", "tanh")
_ODD = ("erf", "tanh")
GAUSSIAN = "gaussian-fluctuations"
#: A claim about a ratio says something where 4.5 standard errors are below this.
_RESOLUTION = 0.25
#: Depth from which on a correction that grows exponentially is seen to do so.
_LONG = 20


def measured_claims(evidence: Evidence) -> list[Claim]:
    """All of them, by topic."""
    named = sorted({*ACTIVATIONS, *activations(evidence)})
    light = [name for name in named if (tails.power(name) or 1.0) > tails.LARGEST_HEAVY]
    return [
        *(claim for a in light for network in (FULL, REDUCED) for claim in _infinite_width(evidence, a, network)),
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
        *rate_claims(evidence),
        *(_gradient_variance(evidence, name, network) for name, network in _leading(light)),
        *_normal_laws(evidence, light),
        *_relu(evidence),
        *heavy_tails(evidence, named),
    ]


def _leading(names: list[str]) -> list[tuple[str, str]]:
    """Activations and networks whose fluctuations are of order 1/N: reduced networks of even parts need more."""
    return [(name, network) for name in names for network in (FULL, REDUCED) if network == FULL or name in _ODD]


def _infinite_width(evidence: Evidence, activation: str, network: str) -> Iterator[Claim]:
    """Every quantity at every layer against the recurrences; the worst of them is the claim.

    Means that 4.5 standard errors do not fix to `_RESOLUTION` cannot hold: they have a claim of their own.
    """
    name = f"recurrences-{activation}-{network}"
    about = f"{activation}, {WORDS[network]}: means at infinite width (a of a + b/N) over those of the recurrences"
    columns = columns_of(evidence, activation, network)
    found = [] if columns is None else comparisons(columns)
    tested = [mean for mean in found if STANDARD_ERRORS * mean.se <= _RESOLUTION]
    if columns is None or not tested:
        yield missing(name, f"{about}.", 1.0, f"three widths of {activation}, {network}, and networks enough")
    if columns is None:
        return
    for means, suffix, words in (
        (tested, "", "forward and backward"),
        (
            [mean for mean in found if mean not in tested],
            "-unresolved",
            f"NOT shown where networks are far off and vary much (4.5 standard errors of a above {_RESOLUTION})",
        ),
    ):
        if means:
            worst, off = furthest(means), max(means, key=lambda mean: abs(mean.widest - 1))
            n = [min(columns.by_width), max(columns.by_width)]
            text = f"{about}, {words}: {listed(means)} (a furthest off: {worst.quantity} at layer {worst.layer} of "
            text += f"{columns.setting()}; means furthest off at N = {n[1]}: {off.quantity} at layer {off.layer}, "
            text += f"{off.narrowest:.3g} times the recurrences' at N = {n[0]}, {off.widest:.3g} at N = {n[1]})."
            yield value_claim(
                evidence,
                columns.cells,
                1.0,
                worst.value,
                worst.se,
                name=f"{name}{suffix}",
                text=text,
                resolution=_RESOLUTION if means is tested else 0.0,
            )


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
