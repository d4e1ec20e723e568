"""Heavy tails of the gradients of relu-A: means of finite samples that fall short, and the tail index behind it.

A unit's share of |delta_h|^2 is phi'(h)^2 times a square of a Gaussian, and phi'(h)^2 = A^2 h^(2A-2) has the tail
index 1/(2-2A): at most 2 where A <= 3/4. There E phi'^4 is infinite, chi has no variance, and a mean over few networks
typically lies below its expectation, which rare networks hold.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError

#: Networks of one group: the sheet's number of seeds.
GROUP = 40
#: E phi'^4 is infinite up to this power.
LARGEST_HEAVY = 0.75
#: Least ln chi_0/chi_L of the recurrence at which a mean can fall short: branches that do nothing have no tails.
GROWN = 3.0
#: Up to this power means of 40 networks fall short by more than a fifth.
HEAVY = 0.7
#: Share of the networks that the tail index is read from.
_TAIL = 0.02


def power(activation: str) -> float | None:
    """A of `relu-A`, None for any other activation (ReLU itself has A = 1)."""
    return float(activation.removeprefix("relu-")) if activation.startswith("relu-") else None


def tail_index(activation_power: float) -> float:
    """1/(2 - 2A): moments of phi'^2 below this are finite."""
    return 1 / (2 - 2 * activation_power)


def typical_mean(ratios: Float[np.ndarray, " networks"], group: int = GROUP) -> tuple[float, float]:
    """Median over groups of networks of the group's mean, and its standard error, which needs no moments.

    The error is half the distance of the order statistics that lie sqrt(m)/2 ranks above and below the median of m
    groups. Raises `InputError` below nine groups.
    """
    ratios = ratios[np.isfinite(ratios)]
    groups = len(ratios) // group
    if groups < 9:
        raise InputError("log_chi", f"{len(ratios)} networks", f"at least {9 * group}")
    means = np.sort(ratios[: groups * group].reshape(groups, group).mean(axis=1))
    low, high = np.interp((groups - 1) / 2 + np.array([-0.5, 0.5]) * math.sqrt(groups), np.arange(groups), means)
    return float(np.median(means)), float(high - low) / 2


def hill(values: Float[np.ndarray, " networks"]) -> tuple[float, float]:
    """Hill's estimate of the tail index from the largest 2 % of the values, k of them, and its error alpha/sqrt(k).

    Raises `InputError` below 1,000 values.
    """
    ordered = np.sort(values[np.isfinite(values)])[::-1]
    if len(ordered) < 1000:
        raise InputError("log_chi_b", f"{len(ordered)} networks", "at least 1000")
    k = int(_TAIL * len(ordered))
    alpha = 1 / float(np.mean(np.log(ordered[:k] / ordered[k])))
    return alpha, alpha / math.sqrt(k)


def largest_share(values: Float[np.ndarray, " networks"]) -> float:
    """Share of the largest value in the sum of all."""
    values = values[np.isfinite(values)]
    return float(values.max() / values.sum())
