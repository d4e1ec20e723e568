"""The finite network itself: Gaussian regression mixed over the exact law of Q at its width and depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.theories import deep_linear
from limitbench.theories.base import Theory
from limitbench.theories.deep_linear.parameters import check_count
from limitbench.theories.linear_posterior.base import PosteriorTheory, check_task
from limitbench.theories.linear_posterior.line_density import FiniteDensity
from limitbench.theories.linear_posterior.mixing_law import mixing_nodes
from limitbench.theories.linear_posterior.posterior import Posterior, log_likelihood, posterior


@final
@dataclass(frozen=True)
class FiniteWidth(PosteriorTheory):
    """The exact posterior of a deep linear network of L hidden layers of width N, nothing taken to a limit.

    ln Q is a sum of log chi-squares for one output; for two the law of Q is found from its spherical transform, a
    product of Gamma functions (`mixing_law`). Quadrature: moments within 1e-6 from noise 1e-3 and N = 4 on, 1e-5
    without noise.

    Arguments:
        width: N, at least 3 for two outputs.
        depth: L.
        task: inputs, labels, noise.

    Raises `InputError` for anything but positive integers, more than two outputs, or labels without noise where the
    posterior has no finite evidence (N <= P + D - 1). Cost: 20 ms for one output, 0.3 s for two, cached.
    """

    width: int
    depth: int
    task: GaussianRegression

    name: ClassVar[str] = "finite-mixture"
    title: ClassVar[str] = "exact finite-size mixture"
    time_variable: ClassVar[str] = "alpha = sum_l 1/N_l"
    validity: ClassVar[str] = "every width and depth"

    def __post_init__(self) -> None:
        check_task(self.task)
        check_count("width", self.width)
        check_count("depth", self.depth)
        # two outputs of two units: Q is so often singular that the quadrature is not accurate
        least = 1 if self.task.outputs == 1 else 3
        if self.task.noise == 0:
            least = max(least, self.task.outputs + len(self.task.kernel))
        if self.width < least:
            raise InputError("width", self.width, f"at least {least} for this task")

    @property
    def prior(self) -> Theory:
        """Exact law of an output of the finite network."""
        return deep_linear.FiniteWidth(self.width, self.depth, self.task.outputs)

    def solve(self) -> Posterior:
        """Quadrature over Q."""
        outputs = self.task.outputs
        weight = partial(log_likelihood, task=self.task)
        return posterior(mixing_nodes(FiniteDensity(self.width, self.depth, outputs), outputs, weight), self.task)
