"""What the theories of the posterior of a deep linear network share: a law of Q, a task, and what follows from them."""

from __future__ import annotations

import abc
from functools import lru_cache
from typing import ClassVar

from limitbench.errors import InputError
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.linear_posterior.posterior import Posterior


class PosteriorTheory(Theory):
    """A law of the mixing matrix Q for a task: prior laws of the test outputs, and the posterior given the labels.

    Observables: `output_1`, `output_2` before, `posterior_output_1`, `posterior_output_2` after the labels are seen.
    """

    task: GaussianRegression

    reference: ClassVar[str] = "Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267 (posterior as a Gaussian mixture)"

    @property
    def observables(self) -> tuple[str, ...]:
        """One or two test outputs, before and after."""
        names = ("output_1", "output_2")[: self.task.outputs]
        return (*names, *(f"posterior_{name}" for name in names))

    @property
    def posterior(self) -> Posterior:
        """Weights, means and covariances over Q; cached."""
        return _solved(self)

    @abc.abstractmethod
    def solve(self) -> Posterior:
        """The posterior, computed anew."""

    @property
    @abc.abstractmethod
    def prior(self) -> Theory:
        """The theory of the outputs before any label is seen, for |x|^2 = n_0."""

    def _law(self, observable: str) -> Law:
        if observable.startswith("posterior"):
            return _tabulated(self, int(observable[-1]) - 1)
        return self.prior.law(observable)


def check_task(task: object) -> None:
    """Raises `InputError` unless `task` has one or two outputs and a test input with k00 = 1."""
    if not isinstance(task, GaussianRegression) or task.outputs > 2 or task.test_variance != 1.0:
        raise InputError("task", task, "a GaussianRegression of one or two outputs with test variance 1")


@lru_cache(maxsize=32)
def _solved(theory: PosteriorTheory) -> Posterior:
    return theory.solve()


@lru_cache(maxsize=256)
def _tabulated(theory: PosteriorTheory, output: int) -> Law:
    return theory.posterior.law(output)
