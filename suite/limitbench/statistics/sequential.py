"""Sequential sampling: look at doubling sample sizes, stop as soon as the verdict is clear, keep the error rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.scores import Score, score


@dataclass(frozen=True)
class SequentialScore:
    """Where sampling stopped.

    Attributes:
        score: the last look; its interval has the level spent on that look.
        networks: networks drawn.
        looks: number of looks taken.
        levels: confidence level of each look taken.
    """

    score: Score
    networks: int
    looks: int
    levels: tuple[float, ...]


def spending(level: float, looks: int) -> tuple[float, ...]:
    """Confidence levels of the looks whose errors add up to 1 - level.

    Look j of J may err with probability α 2^j/(2^(J+1) - 2), α = 1 - level: in proportion to the sample size, as the
    power is in the late looks. By the union bound the probability of any wrong verdict is at most α, whatever the
    dependence between looks.
    """
    share = 2.0 ** np.arange(1, looks + 1)
    return tuple(float(v) for v in 1 - (1 - level) * share / share.sum())


def sample_until_clear(
    draw: Callable[[int, int], Float[np.ndarray, " networks"]],
    law: Law,
    *,
    first: int = 1024,
    most: int = 65536,
    margin: float = 0.05,
    level: float = 0.95,
    seed: int = 0,
    replicates: int = 1000,
) -> SequentialScore:
    """Draw networks at sample sizes first, 2 first, 4 first, ... up to `most` until D's interval leaves the margin.

    Arguments:
        draw: draw(start, stop) gives networks number start to stop - 1 of one fixed stream.
        law: the theory's law.
        first, most: smallest and largest sample size; most/first a power of two.
        margin, level, seed, replicates: as in `score`; `level` holds for all looks together (`spending`).

    Returns:
        The last look. Its verdict is `undecided` if the interval still straddled the margin at `most`.

    Raises `InputError` where `most` is not `first` times a power of two.
    """
    if first < 2 or most < first or most % first or (ratio := most // first) & (ratio - 1):
        raise InputError("most", most, f"first = {first} times a power of two")
    looks = int(math.log2(ratio)) + 1
    levels = spending(level, looks)
    samples = draw(0, first)
    for look, at in enumerate(levels, start=1):
        found = score(samples, law, margin=margin, level=at, seed=seed, replicates=replicates)
        if found.verdict != "undecided" or look == looks:
            break
        samples = np.concatenate([samples, draw(samples.size, 2 * samples.size)])
    return SequentialScore(found, int(samples.size), look, levels[:look])
