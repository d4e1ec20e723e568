"""Sequential sampling: look at doubling sample sizes, stop as soon as the verdict is clear, keep the error rate.

The last look has the interval of a sample of fixed size, and the looks before it may together err as often again, so a
verdict that all networks decide is seldom lost. Sampling also stops where the rest of the networks is unlikely to make
the verdict clear: that leaves `undecided`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.scores import RELATIVE_ERROR, Score, score

#: Sampling for an open verdict ends where the chance that all networks decide it is smaller.
CHANCE = 0.4


@dataclass(frozen=True)
class Looks:
    """The looks at one stream of networks, planned before the first of them.

    Attributes:
        sizes: sample sizes, increasing; in any unit.
        levels: confidence level of the intervals at each look.
    """

    sizes: tuple[int, ...]
    levels: tuple[float, ...]

    @classmethod
    def plan(cls, first: int, most: int, level: float = 0.95) -> Looks:
        """Looks at first, 2 first, 4 first, ... and at `most`; a verdict is wrong at most with 1 - level."""
        sizes = [first]
        while 2 * sizes[-1] < most:
            sizes.append(2 * sizes[-1])
        if sizes[-1] < most:
            sizes.append(most)
        return cls(tuple(sizes), spending(level, len(sizes)))

    def reaching(self, size: int) -> int:
        """Position of the first look at a sample of `size` or more, of the last where there is none."""
        return next((look for look, at in enumerate(self.sizes) if at >= size), len(self.sizes) - 1)

    def goes_on(self, found: Score, look: int, *, margin: float) -> bool:
        """Whether sampling goes on after `found` at a look: the verdict is open, and more networks may well settle it.

        With D = d ± σ at a share k of the networks, D of all of them is N(d, σ²(1 - k)) for all that is known, ± σ √k:
        the chance that it is z σ √k clear of the margin m, z of the last look's level, is

            Φ((|d - m| - z σ √k)/(σ √(1 - k))) + Φ((-|d - m| - z σ √k)/(σ √(1 - k))).

        σ is read off the side of the interval that faces the margin; d is at least 0, as D is. Where the interval is
        missing because of heavy tails, the std must be known well enough for one by then, and its relative error serves
        as σ.
        """
        if found.verdict != "undecided" or look + 1 >= len(self.sizes) or math.isnan(found.distance):
            return False
        share, nearest = self.sizes[look] / self.sizes[-1], max(found.distance, 0.0)
        if math.isnan(found.distance_low):
            sigma = found.std_relative_error
            if not sigma * math.sqrt(share) < RELATIVE_ERROR:
                return False
        else:
            half = nearest - found.distance_low if nearest > margin else found.distance_high - nearest
            sigma = half / float(ndtri((1 + self.levels[look]) / 2))
        away = abs(nearest - margin)
        needed = float(ndtri((1 + self.levels[-1]) / 2)) * sigma * math.sqrt(share)
        moves = sigma * math.sqrt(1 - share)
        return float(ndtr((away - needed) / moves) + ndtr((-away - needed) / moves)) > CHANCE


def spending(level: float, looks: int) -> tuple[float, ...]:
    """Confidence levels of the looks, with which a verdict is wrong with a probability of at most 1 - level.

    An interval of level 1 - α around D misses it on either side with α/2. Whatever D is, one of the two verdicts alone
    would be wrong, `holds` where D is above the margin and `fails` where it is not, so only one side counts. With α =
    1 - level the last look has the level of a sample of fixed size, which errs with α/2, and the J - 1 looks before it
    err with α/2 in all: look j may miss D with α 2^j/(2^J - 2), in proportion to the sample size, as the power is in
    the late looks. The union bound holds whatever the dependence between looks. Both verdicts together, as for D on
    the margin itself, come with at most 2α.
    """
    share = 2.0 ** np.arange(1, looks)
    return (*(float(v) for v in 1 - (1 - level) * share / share.sum()), level)


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
        margin, level, seed, replicates: as in `score`; a verdict is wrong at most with 1 - level (`spending`).

    Returns:
        The last look. Its verdict is `undecided` if the interval still straddled the margin at `most`, or was not
        likely to leave it (`Looks.goes_on`).

    Raises `InputError` where `most` is not `first` times a power of two.
    """
    if first < 2 or most < first or most % first or (ratio := most // first) & (ratio - 1):
        raise InputError("most", most, f"first = {first} times a power of two")
    plan = Looks.plan(first, most, level)
    samples = draw(0, first)
    for look, at in enumerate(plan.levels):
        found = score(samples, law, margin=margin, level=at, seed=seed, replicates=replicates)
        if not plan.goes_on(found, look, margin=margin):
            break
        samples = np.concatenate([samples, draw(samples.size, 2 * samples.size)])
    return SequentialScore(found, int(samples.size), look + 1, plan.levels[: look + 1])
