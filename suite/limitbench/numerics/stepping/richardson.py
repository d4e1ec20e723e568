"""Richardson extrapolation in the step: expectations one weak order higher than the stepper's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.problem import Noise, Problem
from limitbench.numerics.stepping.simulate import coupled
from limitbench.numerics.stepping.stepper import Stepper


@final
@dataclass(frozen=True)
class Richardson:
    """(2^w f(X_{h/2}) - f(X_h))/(2^w - 1) on the same Brownian path, w the stepper's weak order.

    Its mean has the weak order w + 1 where the error of the stepper has an expansion in h (Talay & Tubaro 1990):
    expectations alone, no paths.
    """

    stepper: Stepper

    @property
    def weak_order(self) -> dict[Noise, int]:
        """Orders per kind of noise."""
        return {noise: order + 1 for noise, order in self.stepper.weak_order.items()}

    def combine(
        self, noise: Noise, coarse: Float[Tensor, " paths"], fine: Float[Tensor, " paths"]
    ) -> Float[Tensor, " paths"]:
        """Extrapolated values of a function on paths at h and at h/2."""
        factor = 2 ** self.stepper.weak_order[noise]
        return torch.sub(factor * fine, coarse).div_(factor - 1)

    def expectation(
        self,
        problem: Problem,
        function: Callable[[Float[Tensor, "... paths"]], Float[Tensor, " paths"]],
        *,
        start: float | Float[Tensor, "*components"],
        times: Sequence[float],
        steps: int,
        paths: int,
        stream: Stream,
    ) -> tuple[float, float]:
        """E f of the states at `times`, and its standard error, from `steps` and 2 `steps` steps in float64.

        Arguments, errors: those of `simulate`; `function` takes the states at all times to one value a path. Cost:
        three times that of `steps` steps.
        """
        coarse, fine = coupled(
            problem,
            self.stepper,
            start=start,
            times=times,
            steps=steps,
            levels=2,
            paths=paths,
            stream=stream,
            dtype=torch.float64,
        )
        values = self.combine(problem.noise, function(coarse), function(fine))
        return float(values.mean()), float(values.std() / math.sqrt(paths))
