"""Deep linear networks at initialisation: the mixing matrix that couples their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.networks import linear_bartlett, linear_dense
from limitbench.networks.base import Network, Sampler, check_depths
from limitbench.networks.checks import layer_widths, power_of_two_below, whole, width_parameter
from limitbench.numerics.random import generator as random_stream


@dataclass(frozen=True)
class DeepLinear(Network):
    """A deep linear network without biases, weights N(0, 1), by its D x D mixing matrix Q_L = M M'.

        M = W_{L+1} W_L ... W_2 / sqrt(n_1 ... n_L),    vec S | Q ~ N(0, Q (x) X'X / n_0) for the outputs S

    (arXiv 2411.15267). Observables: `log_q11`, `q12` (from two outputs on), `log_det`, `log_lambda_min`,
    `log_lambda_max`. Column d of a pass is Q_d, the mixing matrix of the network that ends after hidden layer d.

    Arguments:
        depth: number of hidden layers L.
        width: units of every hidden layer.
        widths: or the units of each, `depth` of them.
        outputs: D; no layer may be narrower, or Q would be singular.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int | None = None
    widths: tuple[int, ...] | None = field(default=None, kw_only=True)
    outputs: int = field(default=2, kw_only=True)

    family: ClassVar[str] = "deep-linear"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        depth, outputs = whole("depth", self.depth), whole("outputs", self.outputs)
        widths = layer_widths(depth, self.width, self.widths, outputs)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "outputs", outputs)
        if self.widths is None:
            object.__setattr__(self, "width", widths[0])
        else:
            object.__setattr__(self, "widths", widths)

    @property
    def observables(self) -> tuple[str, ...]:
        """All that a D x D matrix has; `q12` needs two outputs."""
        coupling = ("q12",) if self.outputs > 1 else ()
        return ("log_q11", *coupling, "log_det", "log_lambda_min", "log_lambda_max")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Widths and number of outputs."""
        return width_parameter(self._widths) | {"outputs": self.outputs}

    def batch_size(self, sampler: Sampler) -> int:
        """exact: 1024 at any width; dense: about 2^20 weights."""
        return 1024 if sampler == "exact" else min(power_of_two_below(2**20 // max(self._widths) ** 2), 256)

    def cost(self, sampler: Sampler) -> float:
        """0.2 µs an entry of a Bartlett factor if exact; weights at 1.5e8 a second if dense."""
        if sampler == "exact":
            return 2e-7 * self.depth * self.outputs**2
        return sum(n * n for n in self._widths) / 1.5e8

    def sample_batch(
        self, seed: int, *, depths: Sequence[int], sampler: Sampler = "exact", device: str = "cpu"
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(D^2) variates a layer and network if exact, n^2 if dense."""
        draw = linear_bartlett.sample_mixing if sampler == "exact" else linear_dense.sample_mixing
        values = draw(
            self._widths,
            self.outputs,
            depths=check_depths(depths, self.depth),
            batch=self.batch_size(sampler),
            generator=random_stream(seed, device),
        )
        return {name: values[name].cpu().numpy() for name in self.observables}

    @property
    def _widths(self) -> tuple[int, ...]:
        return layer_widths(self.depth, self.width, self.widths, self.outputs)
