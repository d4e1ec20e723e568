"""Claims of `mean-field-resnet` about rates a layer: plain tanh is exponential, residual tanh slows down with depth.

The slowing is r = [(y_L - y_m)/(L - m)] / [(y_m - y_1)/(m - 1)], m the middle: 1 of an exponential, near 0.4 of sqrt l.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing, value_claim
from limitbench.studies.mean_field_resnet.cells import FULL, PLAIN, REDUCED, WORDS, Columns, columns_of
from limitbench.studies.mean_field_resnet.extrapolation import extrapolate, log_difference

#: A ratio says something where 4.5 standard errors are below this.
_RESOLUTION = 0.25
#: How much more than a plain network a residual one slows down at least.
_SEPARATION = 0.1
#: Layers after which a plain network's length is at its fixed point.
_DEEP = 400


def rate_claims(evidence: Evidence) -> Iterator[Claim]:
    """Rates a layer of plain tanh, how rates fall with depth, and that those of residual networks fall further."""
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
    for direction, observable, symbol in (("forward", "log_distance", "s"), ("backward", "log_chi", "chi")):
        ratio = f"rate of ln {symbol} a layer in the second half of the network over that in the first"
        for network in (PLAIN, FULL, REDUCED):
            yield _slowing(
                evidence,
                network,
                observable,
                name=f"slowing-tanh-{network}-{direction}",
                text=f"tanh, {WORDS[network]}: {ratio} is that of the recurrences",
            )
        for network in (FULL, REDUCED):
            yield _separation(
                evidence,
                network,
                observable,
                name=f"slower-than-plain-tanh-{network}-{direction}",
                text=f"tanh: {ratio}, plain network less {WORDS[network]}, is above {_SEPARATION}",
            )


def _plain_rate(evidence: Evidence, observable: str, *, name: str, text: str) -> Claim:
    """Change of the logarithm a layer in the last two thirds."""
    columns = columns_of(evidence, "tanh", PLAIN)
    need = "three widths of tanh, plain, at layer L and one from L/3 on"
    late = [] if columns is None else [layer for layer in columns.layers if layer > columns.depth / 3]
    if columns is None or len(late) < 2:
        return missing(name, f"{text}.", np.nan, need)
    first, last = late[0], late[-1]
    difference = log_difference(columns, observable, last, first)
    if difference is None:
        return missing(name, f"{text}.", np.nan, f"{need}; more networks")
    span = (last - first) * (1 if observable == "log_distance" else -1)
    predicted, measured, se = (value / span for value in difference)
    gains = columns.recurrences.run(_DEEP).log_chi
    words = f"{text}, {gains[-2] - gains[-1]:.4g} at the fixed point; predicted by the recurrences for layers {first} "
    words += f"to {last}, {columns.setting()}."
    return value_claim(evidence, columns.cells, predicted, measured, abs(se), name=name, text=words)


def _slowing(evidence: Evidence, network: str, observable: str, *, name: str, text: str) -> Claim:
    """r against that of the recurrences."""
    columns = columns_of(evidence, "tanh", network)
    ratios = None if columns is None else _ratios(columns, observable)
    if columns is None or ratios is None:
        return missing(name, f"{text}.", np.nan, f"{_need(network)}; more networks")
    words = f"{text} ({columns.setting()}; 1 of an exponential)."
    return value_claim(evidence, columns.cells, *ratios, name=name, text=words, resolution=_RESOLUTION)


def _separation(evidence: Evidence, network: str, observable: str, *, name: str, text: str) -> Claim:
    """r of the plain network less that of a residual one of the same depth."""
    pair = [columns_of(evidence, "tanh", kind) for kind in (PLAIN, network)]
    found = [(columns, r) for columns in pair if columns is not None and (r := _ratios(columns, observable))]
    if len(found) < 2 or found[0][0].depth != found[1][0].depth:
        return missing(name, f"{text}.", _SEPARATION, f"{_need(f'plain and {network}')}; more networks")
    (_, plain, plain_se), (_, residual, residual_se) = (r for _, r in found)
    words = f"{text} ({plain:.3g} and {residual:.3g}; {found[1][0].setting()})."
    return value_claim(
        evidence,
        [cell for columns, _ in found for cell in columns.cells],
        _SEPARATION,
        plain - residual,
        float(np.hypot(plain_se, residual_se)),
        name=name,
        text=words,
        relation="at least",
    )


def _need(network: str) -> str:
    return f"three widths of tanh, {network}, at layers 1, L/2 + 1 and L"


def _ratios(columns: Columns, observable: str) -> tuple[float, float, float] | None:
    """r of the recurrences, of the networks, and its standard error; None without the layers or the networks."""
    x = [1, columns.depth // 2 + 1, columns.depth]
    at = [i for layer in x if (i := columns.index(layer)) is not None]
    fit = extrapolate(columns, observable)
    if fit is None or len(at) < 3 or len(set(x)) < 3:
        return None
    logs, value, se = (part[at] for part in (columns.logs(observable), fit.value, fit.se))
    if observable == "log_chi":  # at the input of a block, and 0 behind the last one
        x[2], logs[2], value[2], se[2] = x[2] + 1, 0.0, 1.0, 0.0
    if value.min() <= 0:
        return None
    steps = np.diff(x)

    def rates(y: Float[np.ndarray, " three"]) -> Float[np.ndarray, " two"]:
        return np.diff(y) / steps

    (first, second), (early, late) = rates(logs), rates(logs + np.log(value))
    slopes = np.array([late / early / steps[0], -1 / steps[1] - late / early / steps[0], 1 / steps[1]]) / early
    return float(second / first), float(late / early), float(np.linalg.norm(slopes * se / value))
