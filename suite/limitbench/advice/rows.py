"""What one theory says about one network, in numbers: a row of the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from limitbench.numerics.law_distance import deterministic_wasserstein
from limitbench.statistics.base import Law

#: Observables of which a row gives numbers.
OBSERVABLES = ("log_norm", "correlation", "log_gap")


class Moments(NamedTuple):
    """Mean and standard deviation; both NaN where the theory says nothing, the second where it has no fluctuation."""

    mean: float
    std: float


NOTHING_SAID = Moments(math.nan, math.nan)


@dataclass(frozen=True)
class Opinion:
    """A theory's laws for this network, before they are compared.

    Attributes:
        theory, title: name and heading of the theory.
        laws: law of each observable that it has one for; empty where the theory does not apply.
        error_order: its error as the theory itself states it, in words.
        note: why it does not apply, or what is approximate.
        active_fraction: expected share of units that pass their input on, NaN where it says nothing.
    """

    theory: str
    title: str
    laws: Mapping[str, Law] = field(default_factory=dict)
    error_order: str = ""
    note: str = ""
    active_fraction: float = math.nan


@dataclass(frozen=True)
class Row:
    """One theory's answer.

    Attributes:
        theory, title: name and heading of the theory.
        applies: whether it says anything about this network.
        log_norm: mean and sd of the log squared norm ratio.
        correlation: mean and sd of the correlation of two inputs.
        median_gap: median of 1 - correlation.
        active_fraction: expected share of active units.
        error: expected distance D of each observable's law to the best finite-size law: Wasserstein-1 over its sd.
        error_from: theory whose laws the distances are to, by observable; absent where there is none.
        error_order: the theory's own statement of its error, in words.
        note: why it does not apply, or what is approximate.
    """

    theory: str
    title: str
    applies: bool
    log_norm: Moments
    correlation: Moments
    median_gap: float
    active_fraction: float
    error: Mapping[str, float]
    error_from: Mapping[str, str]
    error_order: str
    note: str


def answer(opinions: Sequence[Opinion], references: Mapping[str, Opinion], shift: float = 0.0) -> tuple[Row, ...]:
    """Rows of `opinions`; `references` names the opinion that each observable's error is measured against.

    `shift` is added to every log norm: what a gain does.
    """
    return tuple(_row(opinion, references, shift) for opinion in opinions)


def _row(opinion: Opinion, references: Mapping[str, Opinion], shift: float) -> Row:
    norm, correlation, gap = (opinion.laws.get(name) for name in OBSERVABLES)
    median = math.nan
    if gap is not None:
        median = math.exp(float(gap.quantile(0.5)))
    elif correlation is not None:
        median = 1 - float(correlation.quantile(0.5))
    error, source = {}, {}
    for name, law in opinion.laws.items():
        reference = references.get(name)
        if reference is None or reference is opinion or not (finite := reference.laws[name]).std > 0:
            continue
        error[name] = deterministic_wasserstein(law, finite) / finite.std
        source[name] = reference.theory
    moments = _moments(norm)
    return Row(
        opinion.theory,
        opinion.title,
        bool(opinion.laws),
        Moments(moments.mean + shift, moments.std),
        _moments(correlation),
        median,
        opinion.active_fraction,
        error,
        source,
        opinion.error_order,
        opinion.note,
    )


def _moments(law: Law | None) -> Moments:
    return NOTHING_SAID if law is None else Moments(float(np.asarray(law.mean)), float(np.asarray(law.std)))
