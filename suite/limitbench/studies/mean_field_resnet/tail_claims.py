"""Claims about heavy tails: means of the gradients of relu-A that fall short of the recurrences, and their cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim, Relation
from limitbench.studies.evidence import Evidence, missing, value_claim
from limitbench.studies.ledger import answering
from limitbench.studies.mean_field_resnet import tails
from limitbench.studies.mean_field_resnet.cells import FULL, columns_of


def heavy_tails(evidence: Evidence, activations: Sequence[str]) -> Iterator[Claim]:
    """Means of powers of ReLU on both sides of A = 3/4, and the tail index of the smallest power."""
    powers = {name: a for name in activations if (a := tails.power(name)) is not None}
    if min(powers.values()) > tails.LARGEST_HEAVY:
        powers = {"relu-0.55": 0.55, **powers}
    for activation, a in powers.items():
        if tails.HEAVY < a <= tails.LARGEST_HEAVY:
            continue  # infinite too, but by a logarithm at 3/4: nothing that a few thousand networks see
        heavy = a <= tails.HEAVY
        kind = "infinite, so that it falls short of" if heavy else "finite (A > 3/4), so that it is near"
        yield _typical_mean(
            evidence,
            activation,
            heavy,
            name=f"mean-gradient-{activation}",
            text=f"{activation}, full: E phi'^4 is {kind} the recurrence: mean of chi_0/chi_L over {tails.GROUP} "
            "networks (median of such means) over the prediction",
        )
    heaviest = min(powers, key=lambda name: powers[name])
    yield _tail_index(
        evidence,
        heaviest,
        name=f"tail-index-{heaviest}",
        text=f"{heaviest}, full: the cause, tail index of chi_b/chi_L of the last block (Hill, largest 2 % of the "
        f"networks) is below 2: no variance (1/(2-2A) = {tails.tail_index(powers[heaviest]):.3g} is predicted",
    )


@answering
def _typical_mean(evidence: Evidence, activation: str, heavy: bool, *, name: str, text: str) -> Claim:
    bound = 0.8
    columns = columns_of(evidence, activation, FULL)
    if columns is None or columns.index(1) is None:
        return missing(name, f"{text}.", bound, f"layer 1 of {activation}, full")
    cells, logs = columns.widest, columns.logs("log_chi")[0]
    if heavy and logs < tails.GROWN:
        return missing(name, f"{text}.", bound, f"a gradient ratio of at least e^{tails.GROWN:g} by recurrence")
    ratios = np.exp(columns.values("log_chi")[max(columns.by_width)][0] - logs)
    value, se = tails.typical_mean(ratios)
    words = f"{text}, N = {max(columns.by_width)}, {columns.setting()}; largest network {_percent(ratios)} of the sum."
    relation: Relation = "at most" if heavy else "at least"
    return value_claim(evidence, cells, bound, value, se, name=name, text=words, relation=relation)


@answering
def _tail_index(evidence: Evidence, activation: str, *, name: str, text: str) -> Claim:
    columns = columns_of(evidence, activation, FULL)
    if columns is None or (last := columns.index(columns.depth)) is None:
        return missing(name, f"{text}).", 2.0, f"layer L of {activation}, full")
    values = np.exp(columns.values("log_chi_b")[min(columns.by_width)][last])
    alpha, se = tails.hill(values)
    words = f"{text}; N = {min(columns.by_width)}, largest network {_percent(values)} of the sum)."
    return value_claim(evidence, columns.narrowest, 2.0, alpha, se, name=name, text=words, relation="at most")


def _percent(values: Float[np.ndarray, " networks"]) -> str:
    return f"{100 * tails.largest_share(values):.2g} %"
