"""What to change: the gain, width, slope, branch weight or variance that the best theory recommends, with numbers."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from limitbench.advice.architecture import Architecture
from limitbench.advice.budget import Budget, reachable, within_budget
from limitbench.advice.check.case import Case
from limitbench.advice.check.perceptrons import PiecewiseCase
from limitbench.advice.check.result import CellResult
from limitbench.advice.check.words import changed_by, sentence
from limitbench.advice.gradient_words import factor
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.words import answer_sentences
from limitbench.errors import InputError

#: From this standard deviation of the log norm on, and below this gap, it is said how to change that.
_LARGE_SPREAD, _SMALL_GAP = 0.5, 0.05
#: Factors by which a mean squared norm may change over the depth before it is said how to keep it.
_KEPT = 2.0
#: Factor within which mean squared gradients should stay.
_RATIO = 10.0


@lru_cache(maxsize=64)
def recommendations(cell: CellResult) -> tuple[str, ...]:
    """Which gain, width, slope or weight of branches the best theory recommends. Cost: up to a few seconds, cached."""
    return () if cell.case is None else tuple(_recommendations(cell, cell.case))


def _recommendations(cell: CellResult, case: Case) -> list[str]:
    found = []
    if isinstance(case, PiecewiseCase):
        found += _gain(case)
    network = case.network(case.depth)
    if network is None:
        return found + _plain_gain(case)
    if isinstance(network, MeanFieldNetwork):
        return _plain_gain(case) + _variances(case, network)
    norms = cell.observed.get("log_norm")  # missing where too many networks died
    large = norms is not None and float(np.std(norms)) > _LARGE_SPREAD
    found += _asked(network, Budget("sd-log-norm", _LARGE_SPREAD), large)
    gap = cell.observed.get("log_gap")
    small = gap is not None and math.exp(float(np.median(gap))) < _SMALL_GAP < 1 - network.rho0
    return found + _asked(network, Budget("gap", _SMALL_GAP), small)


def _gain(case: PiecewiseCase) -> list[str]:
    growth = case.offset("log_norm", case.depth)
    gains = case.gains
    same = max(gains) - min(gains) < 0.01 * max(gains)
    network = case.network(case.depth)
    centred = within_budget(network, Budget("log-norm", 0.0), "gain", confirm=False).value
    he = math.sqrt(1 / case.halves[-1])
    if abs(growth) > math.log(_KEPT) and same:
        change = 1 / gains[-1]
        return [
            f"Multiply the weights by {change:.4g} to keep the mean squared norm (standard deviation "
            f"{he:.4g} fan_in^-1/2), by {centred / gains[-1]:.4g} to keep the norm of a typical network."
        ]
    return [
        f"The mean squared norm is kept; to keep the norm of a typical network multiply the weights by "
        f"{centred / gains[-1]:.4g}."
    ]


def _plain_gain(case: Case) -> list[str]:
    """What would keep the mean square of an MLP that loses or gains it."""
    if case.reading.family != "mlp":
        return []
    change = case.path.log_square(case.depth) - case.path.log_square(0)
    if abs(change) < math.log(_KEPT):
        return []
    slopes, depth = case.reading.activations[-1].slopes, case.depth
    text = (
        f"By infinite width the mean square changes{changed_by(change)} over {depth} layer{'' if depth == 1 else 's'}"
    )
    alike = all(phi.slopes == slopes for phi in case.reading.activations)
    if slopes is None or not alike:  # no single variance is right for layers with different activations
        return [f"{text}."]
    he = 2 / (slopes[0] ** 2 + slopes[1] ** 2)
    present = case.variances[case.reading.layers[depth - 1].node].w
    return [
        f"{text}: He's initialisation (weights of variance {he:.4g}/fan_in, {math.sqrt(he / present):.4g} times their "
        "present standard deviation, and biases 0) keeps it."
    ]


def _variances(case: Case, network: MeanFieldNetwork) -> list[str]:
    """The variances of W at which the mean gradient ratio is within a factor of ten, where it is not."""
    from limitbench.advice.blocks import LARGEST, SMALLEST, follows_recurrence, sigma_window

    ratio = case.log_gradient(case.depth)
    if ratio is None or abs(ratio) < math.log(_RATIO) or not follows_recurrence(network):
        return []
    try:
        low, high = sigma_window(network, _RATIO)
    except InputError:
        return []
    if math.isnan(high):
        return []
    phi = case.reading.blocks[0].activation if case.reading.blocks else case.reading.activations[0]
    scale = phi.inner**2 if case.reading.blocks else (phi.inner * phi.outer) ** 2
    ends = [f"at least {low / scale:.4g}/fan_in"] if low > SMALLEST else []
    ends += [f"at most {high / scale:.4g}/fan_in"] if high < LARGEST else []
    return [
        f"Weights W of variance {' and '.join(ends)} keep the mean squared gradient ratio between 1/{_RATIO:g} and "
        f"{_RATIO:g}; it is {factor(ratio)} as it is (mean field)."
    ]


def _asked(network: Architecture, budget: Budget, wanted: bool) -> list[str]:
    """The answers of every knob that can meet the budget."""
    if not wanted:
        return []
    found = []
    try:
        for knob in reachable(network, budget):
            if knob == "width" and budget.quantity == "gap":
                continue  # a width that keeps inputs apart is out of reach where it matters
            answer = within_budget(network, budget, knob, confirm=False)
            found += [sentence(text) for text in answer_sentences(answer)]
    except InputError:
        pass
    return found
