"""Infinite width at fixed depth: Q = I, Gaussian process regression (NNGP) with independent outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.theories import deep_linear
from limitbench.theories.base import Theory
from limitbench.theories.linear_posterior.base import PosteriorTheory, check_task
from limitbench.theories.linear_posterior.mixing_law import identity_nodes
from limitbench.theories.linear_posterior.posterior import Posterior, posterior


@final
@dataclass(frozen=True)
class InfiniteWidth(PosteriorTheory):
    """Mean Y (K + T I)^-1 k0, covariance I (k00 - k0'(K + T I)^-1 k0): no depth, no coupling of outputs.

    Arguments:
        task: inputs, labels, noise.

    Raises `InputError` for a task of more than two outputs. Cost: none.
    """

    task: GaussianRegression

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width (NNGP)"
    reference: ClassVar[str] = "Lee et al. 2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271"
    time_variable: ClassVar[str] = "none: depth does not enter"
    validity: ClassVar[str] = "sum of 1/width over the hidden layers -> 0"

    def __post_init__(self) -> None:
        check_task(self.task)

    @property
    def prior(self) -> Theory:
        """Independent standard normals."""
        return deep_linear.InfiniteWidth(self.task.outputs)

    def solve(self) -> Posterior:
        """One node, Q = I."""
        return posterior(identity_nodes(self.task.outputs), self.task)
