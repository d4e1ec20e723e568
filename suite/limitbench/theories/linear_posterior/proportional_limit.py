"""The proportional limit: Gaussian regression mixed over the limiting law of Q, tilted by the labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.theories import deep_linear
from limitbench.theories.base import Theory
from limitbench.theories.linear_posterior.base import PosteriorTheory, check_task
from limitbench.theories.linear_posterior.line_density import LimitDensity
from limitbench.theories.linear_posterior.mixing_law import mixing_nodes
from limitbench.theories.linear_posterior.posterior import Posterior, log_likelihood, posterior


@final
@dataclass(frozen=True)
class ProportionalLimit(PosteriorTheory):
    """Depth and width to infinity together, sum_l 1/N_l -> alpha, at a fixed number of training inputs.

    Q has the law of deep linear networks' proportional limit: ln Q ~ N(-alpha, 2 alpha) for one output, Brownian motion
    on positive matrices at time alpha for two. Moments are computed by quadrature, with an error
    below 1e-6 from noise 1e-3 on and 1e-5 without noise.

    Arguments:
        alpha: sum over hidden layers of 1/width.
        task: inputs, labels, noise.

    Raises `InputError` where alpha is not in (0, 8] or the task has more than two outputs. Cost: 1 ms for one output,
    0.2 s for two, cached.
    """

    alpha: float
    task: GaussianRegression

    name: ClassVar[str] = "proportional-limit"
    title: ClassVar[str] = "proportional limit"
    time_variable: ClassVar[str] = "alpha = sum_l 1/N_l, depth/width at equal widths"
    validity: ClassVar[str] = "every width large, alpha and the number of training inputs fixed; error of order 1/width"

    def __post_init__(self) -> None:
        check_task(self.task)
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float) or not 0 < self.alpha <= 8:
            raise InputError("alpha", self.alpha, "a number in (0, 8]")
        object.__setattr__(self, "alpha", float(self.alpha))

    @property
    def prior(self) -> Theory:
        """A log-normal scale mixture of normals."""
        return deep_linear.ProportionalLimit(self.alpha, self.task.outputs)

    def solve(self) -> Posterior:
        """Quadrature over Q."""
        outputs = self.task.outputs
        weight = partial(log_likelihood, task=self.task)
        return posterior(mixing_nodes(LimitDensity(self.alpha, outputs), outputs, weight), self.task)
