"""Multilevel Monte Carlo: an expectation over paths as a sum of corrections between step lengths (Giles 2008).

E f(X_L) = E f(X_0) + sum_l E [f(X_l) - f(X_{l-1})], level l with 2^l times the steps of level 0: a correction on one
Brownian path has a small variance, so that most samples are of the cheapest level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.problem import Problem
from limitbench.numerics.stepping.simulate import coupled, split_steps
from limitbench.numerics.stepping.stepper import Stepper

#: Samples of a level before its variance is known, and of one call, which bounds the memory.
_PILOT, _LARGEST_CALL = 4096, 1 << 17
#: Levels to begin with: two corrections, which tell the bias.
_FIRST_LEVELS = 3


@final
@dataclass(frozen=True)
class Multilevel:
    """What multilevel Monte Carlo found.

    Attributes:
        value: estimate of E f(X).
        standard_error: its sampling error.
        bias: estimate of the step error |E f(X_L) - E f(X)|, from the last two corrections and the weak order.
        samples: paths of every level.
        means: E f at level 0, and the corrections.
        variances: their variances per path.
        cost: steps of all paths together.
    """

    value: float
    standard_error: float
    bias: float
    samples: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]
    cost: int


def multilevel(
    problem: Problem,
    stepper: Stepper,
    function: Callable[[Float[Tensor, "... paths"]], Float[Tensor, " paths"]],
    *,
    start: float | Float[Tensor, "*components"],
    times: Sequence[float],
    target: float,
    stream: Stream,
    steps: int = 4,
    most_levels: int = 12,
) -> Multilevel:
    """E f of the states at `times`, with sampling error and bias at most `target` each.

    Samples of level l are proportional to sqrt(V_l/C_l), V_l the measured variance and C_l the steps of a path: the
    least cost for the variance target^2. Levels are added until the bias max(|m_L|, |m_{L-1}|/2^w)/(2^w - 1), m_l the
    corrections and w the weak order, is small enough. Costs are counted and not timed, so that the numbers do not
    depend on the machine.

    Cost: target^-2 for a strong order above 1/2, target^-2 ln(target)^2 at 1/2, target^-3 for plain Euler paths
    (arXiv 1304.5472). Paths are float64.

    Arguments:
        problem, stepper: what is stepped, and how.
        function: takes the states at all times, (times, *components, paths), to one value a path.
        start, times: as for `simulate`.
        target: standard error and bias asked for.
        stream: random numbers; each level has a stream of its own, named by it.
        steps: steps of level 0, split as `simulate` does; so few that corrections do not fall by 2^w a level yet would
            hide a bias.
        most_levels: levels allowed.

    Raises `InputError` where a value cannot be accepted, and where `most_levels` levels leave more bias.
    """
    if not 0 < target < math.inf:
        raise InputError("target", target, "a positive number")
    if most_levels < _FIRST_LEVELS:
        raise InputError("most_levels", most_levels, f"a number of at least {_FIRST_LEVELS}")

    def level(index: int) -> _Level:
        lengths, refined = (1, 0) if index == 0 else (2, index - 1)
        draw = partial(
            coupled,
            problem,
            stepper,
            start=start,
            times=times,
            steps=steps,
            levels=lengths,
            refined=refined,
            stream=stream.another("multilevel", index),
            dtype=torch.float64,
        )
        return _Level(draw, function, sum(split_steps(times, steps)) * 2**refined * (2**lengths - 1))

    levels = [level(index) for index in range(_FIRST_LEVELS)]
    factor = 2 ** stepper.weak_order[problem.noise]
    while True:
        for one in levels:
            one.extend(_PILOT)
        # variances are known better after every round, and the counts that follow from them settle
        for _ in range(3):
            effort = sum(math.sqrt(one.variance * one.cost) for one in levels)
            for one in levels:
                one.extend(math.ceil(math.sqrt(one.variance / one.cost) * effort / target**2))
        before, last = levels[-2:]
        bias = max(abs(last.mean), abs(before.mean) / factor) / (factor - 1)
        if bias <= target:
            break
        if len(levels) == most_levels:
            raise InputError("target", target, f"at least {bias:.2g}, the bias at {most_levels} levels")
        levels.append(level(len(levels)))
    return Multilevel(
        value=sum(one.mean for one in levels),
        standard_error=math.sqrt(sum(one.variance / one.count for one in levels)),
        bias=bias,
        samples=tuple(one.count for one in levels),
        means=tuple(one.mean for one in levels),
        variances=tuple(one.variance for one in levels),
        cost=sum(one.count * one.cost for one in levels),
    )


@final
class _Level:
    """Samples of one correction so far, by their count, mean and sum of squared deviations.

    Arguments:
        draw: paths, as many as asked for, at one step length (level 0) or at two.
        function: of the states of a path.
        cost: steps of a path.
    """

    def __init__(
        self,
        draw: Callable[..., Float[Tensor, "levels times *state"]],
        function: Callable[[Float[Tensor, "... paths"]], Float[Tensor, " paths"]],
        cost: int,
    ) -> None:
        self._draw, self._function, self.cost = draw, function, cost
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    @property
    def variance(self) -> float:
        return self._squares / (self.count - 1)

    def extend(self, count: int) -> None:
        """Draw until there are `count` samples."""
        while self.count < count:
            ends = self._draw(paths=min(count - self.count, _LARGEST_CALL))
            values = self._function(ends[-1])
            if len(ends) == 2:
                values = values - self._function(ends[0])
            drawn, mean = values.numel(), float(values.mean())
            total, gap = self.count + drawn, mean - self.mean
            self._squares += float((values - mean).square().sum()) + gap**2 * self.count * drawn / total
            self.mean += gap * drawn / total
            self.count = total
