"""Deep linear networks at initialisation: the mixing matrix that couples their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import linear_bartlett, linear_dense
from limitbench.networks.base import REAL_MATRICES, SAMPLERS, Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, layer_widths, power_of_two_below, whole, width_parameter
from limitbench.networks.gram import gram_root
from limitbench.networks.weights import WEIGHTS, ensemble, real_matrices, weight_parameter
from limitbench.numerics.random import Stream, stream_seed


@dataclass(frozen=True)
class DeepLinear(Network):
    """A deep linear network without biases, weights N(0, 1), by its D x D mixing matrix Q_L = M M'.

        M = W_{L+1} W_L ... W_2 / sqrt(n_1 ... n_L),    vec S | Q ~ N(0, Q (x) X'X / n_0) for the outputs S

    (arXiv 2411.15267). Observables of Q: `log_q11`, `q12` (from two outputs on), `log_det`, `log_lambda_min`,
    `log_lambda_max`; of the outputs S for one input with |x|^2 = n_0: `log_output`, `output_1`, `output_2` (from two
    outputs on). `sample_outputs` gives the outputs for any inputs. Column d of a pass belongs to the network that ends
    after hidden layer d. Exact S_d = G_d xi takes the same normals xi at every depth; `log_output` has no range, while
    `output_1` and `output_2` are 0 below 1e-308.

    Arguments:
        depth: number of hidden layers L.
        width: units of every hidden layer.
        widths: or the units of each, `depth` of them.
        outputs: D; no layer may be narrower, or Q would be singular.
        weights: `gaussian`, or `uniform`, `rademacher`, `orthogonal` for the matrices of M (`networks.weights`), all
            hidden layers equally wide; W_1 stays Gaussian. Both samplers then draw real matrices. Where the rows of M
            are parallel (narrow Rademacher layers) `log_det` and `log_lambda_min` are those of rounding, -inf or NaN.
            `pytorch` is refused: its biases leave no mixing matrix, and without them it is `uniform` times 3^-1/2.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int | None = None
    widths: tuple[int, ...] | None = field(default=None, kw_only=True)
    outputs: int = field(default=2, kw_only=True)
    weights: str = field(default="gaussian", kw_only=True)

    family: ClassVar[str] = "deep-linear"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        depth, outputs = whole("depth", self.depth), whole("outputs", self.outputs)
        widths = layer_widths(depth, self.width, self.widths, outputs)
        ensemble(self.weights, tuple(name for name in WEIGHTS if name != "pytorch"))
        if self.weights != "gaussian" and len(set(widths)) > 1:
            raise InputError("widths", widths, "equal widths: only Gaussian factors commute in law")
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "outputs", outputs)
        if self.widths is None:
            object.__setattr__(self, "width", widths[0])
        else:
            object.__setattr__(self, "widths", widths)

    @property
    def observables(self) -> tuple[str, ...]:
        """All that a D x D matrix and its outputs have; `q12` and `output_2` need two outputs."""
        coupling, second = (("q12",), ("output_2",)) if self.outputs > 1 else ((), ())
        mixing = ("log_q11", *coupling, "log_det", "log_lambda_min", "log_lambda_max")
        return (*mixing, "log_output", "output_1", *second)

    @property
    def parameters(self) -> Mapping[str, object]:
        """Widths, number of outputs, and weights that are not Gaussian."""
        return width_parameter(self._widths) | {"outputs": self.outputs} | weight_parameter(self.weights)

    def batch_size(self, sampler: Sampler) -> int:
        """exact: 1024 at any width; real weights: about 2^20."""
        if real_matrices(self.weights, sampler):
            return min(power_of_two_below(2**20 // max(self._widths) ** 2), 256)
        return 1024

    def cost(self, sampler: Sampler) -> float:
        """0.25 µs an output and layer if exact (more from eight outputs on); weights at 1.7e8 a second if dense."""
        if real_matrices(self.weights, sampler):
            return sum(n * n / 1.7e8 + 1e-6 for n in self._widths)
        return (2.3e-7 + 1.8e-8 * self.outputs) * self.outputs * self.depth

    def method(self, sampler: Sampler) -> str:
        """Bartlett factors, real matrices where the weights are not Gaussian."""
        return REAL_MATRICES if real_matrices(self.weights, sampler) else "Bartlett factors, O(D^2) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(D^2) variates a layer and network if exact, n^2 if dense."""
        dense = partial(linear_dense.sample_mixing, weights=self.weights)
        draw = dense if real_matrices(self.weights, sampler) else linear_bartlett.sample_mixing
        values = draw(
            self._widths,
            self.outputs,
            depths=check_depths(depths, self.depth),
            batch=self.batch_size(sampler),
            stream=Stream(seed, device, generator),
            readout=_readout(seed, device, generator),
        )
        return {name: values[name].cpu().numpy() for name in self.observables}

    def sample_outputs(
        self,
        n: int,
        *,
        gram: object = ((1.0,),),
        seed: int = 0,
        depths: Sequence[int] | None = None,
        sampler: Sampler = "exact",
        device: str = "cpu",
    ) -> Float[np.ndarray, "networks depths outputs inputs"]:
        """Outputs S of `n` networks for P inputs with Gram matrix K = X'X / n_0, at `depths` (the last if left out).

        vec S | Q ~ N(0, Q (x) K). `exact` reads out the networks that `sample` draws with this seed; `dense` passes the
        inputs through real weight matrices, W_1 included. A larger `n` extends a smaller one. Raises `InputError`.
        """
        whole("n", n)
        if self.weights != "gaussian":
            raise InputError("weights", self.weights, "gaussian, where outputs for several inputs are wanted")
        if sampler not in SAMPLERS:
            raise InputError("sampler", sampler, " or ".join(SAMPLERS))
        at = check_depths(depths if depths is not None else (self.depth,), self.depth)
        root, batch = gram_root(gram_matrix(gram)).to(device), self.batch_size(sampler)
        draw = linear_bartlett.sample_outputs if sampler == "exact" else linear_dense.sample_outputs
        seeds = [self.batch_seed(seed, index, sampler) for index in range(-(-n // batch))]
        parts = [
            draw(
                self._widths,
                self.outputs,
                root,
                depths=at,
                batch=batch,
                stream=Stream(start, device),
                readout=_readout(start, device, "torch"),
            )
            for start in seeds
        ]
        values: Float[np.ndarray, "networks depths outputs inputs"] = torch.cat(parts)[:n].cpu().numpy()
        return values

    @property
    def _widths(self) -> tuple[int, ...]:
        return layer_widths(self.depth, self.width, self.widths, self.outputs)


def _readout(seed: int, device: str, generator: str) -> Stream:
    """The stream that outputs are read out with: none of it comes from that of Q."""
    return Stream(stream_seed(seed, "outputs"), device, generator)
