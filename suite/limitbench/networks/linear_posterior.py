"""Deep linear networks under a Gaussian likelihood: prior draws with their weights, and exact posterior draws.

The likelihood of labels Y under a network with training outputs S is exp(-|Y - S|^2 / (2T)) up to a constant, at most
1. So a network drawn from the prior and accepted with that probability is one exact draw from the posterior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import linear_bartlett, linear_dense
from limitbench.networks.base import REAL_MATRICES, Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, power_of_two_below, whole
from limitbench.networks.gram import gram_root
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.numerics.random import Stream, stream_seed


@dataclass(frozen=True)
class LinearPosterior(Network):
    """A deep linear network without biases, weights N(0, 1), and what labels say about it (arXiv 2411.15267).

        S = W_{L+1} W_L ... W_1 X / sqrt(N^L n_0),    vec S | Q ~ N(0, Q (x) X'X / n_0)

    Observables: `log_weight` = -|Y - S|^2 / (2T) of the training outputs, at most 0; `output_1`, `output_2` (from two
    outputs on) at the test input; `posterior_output_1`, `posterior_output_2`: the same where the network is accepted
    with probability exp(log_weight), NaN where it is rejected. Column d belongs to the network that ends after hidden
    layer d; one uniform variable decides for all depths. `exact` draws Bartlett factors of Q and the outputs given
    Q; `dense` passes the inputs through real weight matrices.

    Arguments:
        depth: number of hidden layers L.
        width: N, at least the number of outputs.
        task: inputs, labels and noise T > 0.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    task: GaussianRegression

    family: ClassVar[str] = "linear-posterior"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth))
        if not isinstance(self.task, GaussianRegression):
            raise InputError("task", self.task, "a GaussianRegression")
        object.__setattr__(self, "width", whole("width", self.width, self.task.outputs))
        if self.task.noise == 0:
            raise InputError("noise", self.task.noise, "a positive number: no network fits labels exactly")

    @property
    def observables(self) -> tuple[str, ...]:
        """The weight, then one or two test outputs, before and after the labels are seen."""
        names = ("output_1", "output_2")[: self.task.outputs]
        return ("log_weight", *names, *(f"posterior_{name}" for name in names))

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width and task."""
        task = self.task
        return {
            "width": self.width,
            "gram": [list(row) for row in task.gram],
            "labels": [list(row) for row in task.labels],
            "noise": task.noise,
        }

    def batch_size(self, sampler: Sampler) -> int:
        """exact: 4096 at any width; dense: about 2^20 weights."""
        return 4096 if sampler == "exact" else min(power_of_two_below(2**20 // self.width**2), 256)

    def cost(self, sampler: Sampler) -> float:
        """0.1 µs an entry of a Bartlett factor if exact; weights at 1.5e8 a second if dense."""
        return self.depth * (1e-7 * self.task.outputs**2 if sampler == "exact" else self.width**2 / 1.5e8)

    def method(self, sampler: Sampler) -> str:
        """Bartlett factors, real matrices if dense."""
        return REAL_MATRICES if sampler == "dense" else "Bartlett factors, O(D^2) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(D^2) variates a layer and network if exact, N^2 if dense."""
        draw = linear_bartlett.sample_outputs if sampler == "exact" else linear_dense.sample_outputs
        batch, outputs = self.batch_size(sampler), self.task.outputs
        drawn = draw(
            (self.width,) * self.depth,
            outputs,
            gram_root(gram_matrix(self.task.gram)).to(device),
            depths=check_depths(depths, self.depth),
            batch=batch,
            stream=Stream(seed, device, generator),
            readout=Stream(stream_seed(seed, "outputs"), device, generator),
        )
        accept = Stream(stream_seed(seed, "accept"), device, generator)
        uniform = accept.uniform_(torch.empty(batch, 1, dtype=torch.float64, device=device))
        targets = torch.tensor(self.task.labels, dtype=torch.float64, device=device)
        log_weight = -((drawn[..., :-1] - targets) ** 2).sum(dim=(2, 3)) / (2 * self.task.noise)
        accepted = uniform.log() < log_weight
        values = {"log_weight": log_weight}
        for i, name in enumerate(("output_1", "output_2")[:outputs]):
            values[name] = drawn[:, :, i, -1]
            values[f"posterior_{name}"] = torch.where(accepted, values[name], math.nan)
        return {name: values[name].cpu().numpy() for name in self.observables}
