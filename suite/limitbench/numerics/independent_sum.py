"""Sums of independent variables given by their moment generating functions, and the table of such a law."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from limitbench.numerics.characteristic import MomentGenerating, score_nodes, tail_probabilities


@dataclass(frozen=True)
class NormalTerm:
    """A normal variable: K(s) = mean s + variance s^2/2 everywhere."""

    mean: float
    variance: float

    @property
    def edge(self) -> float:
        """The strip is the whole plane."""
        return -math.inf

    def log_mgf(self, s: Complex[np.ndarray, "*shape"]) -> Complex[np.ndarray, "*shape"]:
        """ln E exp(sX)."""
        return np.asarray(self.mean * s + self.variance * s * s / 2)

    def slope(self, s: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Derivative of `log_mgf` at real s."""
        return np.asarray(self.mean + self.variance * s)


@dataclass(frozen=True)
class IndependentSum:
    """The sum of independent variables; at least one of them has a finite edge."""

    parts: tuple[MomentGenerating, ...]

    @property
    def edge(self) -> float:
        """The rightmost of the edges."""
        return max(part.edge for part in self.parts)

    def log_mgf(self, s: Complex[np.ndarray, "*shape"]) -> Complex[np.ndarray, "*shape"]:
        """ln E exp(sX), the sum over the parts."""
        return np.asarray(sum(part.log_mgf(s) for part in self.parts))

    def slope(self, s: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Derivative of `log_mgf` at real s."""
        return np.asarray(sum(part.slope(s) for part in self.parts))


def tail_table(
    law: MomentGenerating, points: int
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Nodes even in normal score, P(X <= x) and P(X > x) there: what a tabulated law is made of."""
    x = score_nodes(law, points)
    return x, *tail_probabilities(law, x)
