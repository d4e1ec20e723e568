"""What a stepper is: how many normals a step takes, how it moves states, and at which order.

Normals of a step of 2h that follows the same Brownian path as two steps of h come from theirs by `join`: so paths at
several step lengths are coupled, as Richardson extrapolation and multilevel Monte Carlo need them.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.stepping.problem import Advance, Noise, Problem


class Stepper(abc.ABC):
    """One-step scheme with equal steps.

    Strong order g: E |X_h - X| = O(h^g) on the same Brownian path; weak order w: E f(X_h) - E f(X) = O(h^w) for smooth
    f. Both are declared per kind of noise; a kind that is not there is not supported, a strong order of None says that
    paths do not converge on a given Brownian path.
    """

    strong_order: ClassVar[Mapping[Noise, float | None]]
    weak_order: ClassVar[Mapping[Noise, int]]

    def normals(self, problem: Problem) -> int:
        """Standard normals that one step of one path takes."""
        return problem.noises

    def block_bytes(self, problem: Problem) -> int:
        """Bytes of states and normals that are stepped together: a cache holds them, and calls do not count."""
        return 3 << 18

    @abc.abstractmethod
    def advance(self, problem: Problem, h: float, like: Float[Tensor, "*state"]) -> Advance:
        """One step of length `h` with buffers of its own, for states of the shape and dtype of `like`."""

    def finish(self, problem: Problem, advance: Advance, x: Float[Tensor, "*state"]) -> None:
        """Do what steps have put off, so that `x` may be read."""
        return

    def join(
        self,
        problem: Problem,
        first: Float[Tensor, "normals paths"],
        second: Float[Tensor, "normals paths"],
    ) -> Float[Tensor, "normals paths"]:
        """Normals of one step of 2h on the Brownian path of two steps of h."""
        return (first + second) * math.sqrt(0.5)
