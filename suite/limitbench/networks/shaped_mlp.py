"""Shaped ReLU multilayer perceptrons at initialisation: slopes that approach 1 as the layers widen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import shaped_dense, shaped_gram, shaped_norm, shaped_pair
from limitbench.networks.base import REAL_MATRICES, SAMPLERS, Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, layer_widths, power_of_two_below, whole, width_parameter
from limitbench.networks.gram import correlation_root
from limitbench.networks.shaping import ShapedLayer, declared_shaping, shaped_layers
from limitbench.networks.weights import ensemble, real_matrices, weight_parameter
from limitbench.numerics.random import Stream, stream_seed


class GramSample(NamedTuple):
    """Gram matrices V_d of many networks in a form that no depth overflows.

    V_d^ab = sqrt(V_0^aa V_0^bb) exp((log_norms_a + log_norms_b) / 2) correlations_ab. A dead input (every unit off in
    some layer) has log norm -inf and correlations NaN.
    """

    log_norms: Float[np.ndarray, "networks depths inputs"]
    correlations: Float[np.ndarray, "networks depths inputs inputs"]


@dataclass(frozen=True)
class ShapedMLP(Network):
    """A shaped ReLU network without biases, weights N(0, 1).

        z_1 ~ rows N(0, V_0),   z_{l+1} = sqrt(c_l / n_l) W_l phi_l(z_l),   V_l = (c_l / n_l) phi_l(z_l)' phi_l(z_l),
        phi_l(x) = s_+ max(x, 0) + s_- min(x, 0),   s_pm = 1 + c_pm n_l^-rate,   c_l = 2 / (s_+^2 + s_-^2)

    (arXiv 2206.02768, 2310.12079). With one input the observable is `log_norm`; with more, `correlation`, `log_gap` and
    `log_norm` are those of inputs 1 and 2. Where the final layers of both are parallel, `log_gap` is -inf; where every
    unit of input 1 is off in some layer, `log_norm` is -inf; where that happens to either input, `correlation` and
    `log_gap` are NaN. Only narrow layers with a zero slope do either. `exact` keeps 1 - rho to 1e-3 relative at any
    size and 1 + rho to 1e-5 absolute; `dense` keeps 1 - rho down to 1e-28.

    Arguments:
        depth: number of hidden layers.
        width: units of every hidden layer.
        widths: or the units of each, `depth` of them.
        c_plus, c_minus, rate: slopes 1 + c_pm n^-rate; rate 1/2 is the critical shaping, rate 0 an unshaped network.
        rho0: correlation of two inputs of equal norm.
        gram: or V_0 of any number of inputs, m x m; then `rho0` is the correlation of inputs 1 and 2.
        weights: `gaussian`, or an ensemble of `networks.weights`: then both samplers draw real matrices (no shortcut is
            exact) and n_in = max(n_1, m). `pytorch` is W x + b as in `torch.nn.Linear` in place of sqrt(c_l / n_l) W x;
            V_l keeps its c_l / n_l and V_0 has diagonal 1.

    Raises:
        InputError: where a value cannot be accepted, naming the field.

    >>> drawn = ShapedMLP(depth=8, width=16, rho0=0.3).sample(1000, seed=0, depths=[1, 8])
    >>> dict(drawn["correlation"].sizes)
    {'sample': 1000, 'depth': 2}
    """

    depth: int
    width: int | None = None
    widths: tuple[int, ...] | None = field(default=None, kw_only=True)
    c_plus: float = field(default=0.0, kw_only=True)
    c_minus: float = field(default=-1.0, kw_only=True)
    rate: float = field(default=0.5, kw_only=True)
    rho0: float = field(default=0.3, kw_only=True)
    gram: tuple[tuple[float, ...], ...] | None = field(default=None, kw_only=True)
    weights: str = field(default="gaussian", kw_only=True)

    family: ClassVar[str] = "shaped-mlp"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        values = declared_shaping(self)
        values["weights"] = ensemble(self.weights)
        if self.gram is not None:
            gram = values["gram"] = gram_matrix(self.gram)
            if self.weights == "pytorch" and any(row[a] != 1.0 for a, row in enumerate(gram)):
                raise InputError("gram", self.gram, "a diagonal of 1 with pytorch weights, whose biases set a scale")
            if len(gram) > 1:
                cosine = gram[0][1] / math.sqrt(gram[0][0]) / math.sqrt(gram[1][1])
                values["rho0"] = min(max(cosine, -1.0), 1.0)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.layers  # noqa: B018  (raises where both slopes of a layer are 0)

    @property
    def layers(self) -> tuple[ShapedLayer, ...]:
        """Width and slopes of each hidden layer."""
        return shaped_layers(self._widths, self.c_plus, self.c_minus, self.rate)

    @property
    def inputs(self) -> int:
        """Number of inputs m."""
        return 2 if self.gram is None else len(self.gram)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm` alone for one input."""
        return ("log_norm",) if self.inputs == 1 else ("correlation", "log_gap", "log_norm")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Widths, shaping and the correlation of inputs 1 and 2, which determine all observables."""
        inputs: dict[str, object] = {"inputs": 1} if self.inputs == 1 else {"rho0": self.rho0}
        shaping = {"c_plus": self.c_plus, "c_minus": self.c_minus, "rate": self.rate}
        return width_parameter(self._widths) | shaping | inputs | weight_parameter(self.weights)

    def batch_size(self, sampler: Sampler) -> int:
        """exact: about 2^17 units, in cache and yet enough to outweigh the calls of a layer; real weights: 2^20.

        One input has no units: 2048.
        """
        widest = max(self._widths)
        if real_matrices(self.weights, sampler):
            return min(power_of_two_below(2**20 // widest**2), 256)
        return 2048 if self.inputs == 1 else min(max(power_of_two_below(2**17 // widest), 32), 2048)

    def cost(self, sampler: Sampler) -> float:
        """0.2 µs a layer for one input; 10 ns a unit of two, 0.5 µs a narrow layer; 6.5 ns a weight."""
        if real_matrices(self.weights, sampler):
            return sum(6.5e-9 * n * n + 3e-7 for n in self._widths)
        if self.inputs == 1:
            return 2e-7 * self.depth
        return sum(1e-8 * n + (5e-7 if n <= shaped_pair.NARROW else 5e-8) for n in self._widths)

    def method(self, sampler: Sampler) -> str:
        """Chi-square products for one input, pairs of normals for two, real matrices where there is no shortcut."""
        if real_matrices(self.weights, sampler):
            return REAL_MATRICES
        return "chi-square products, O(1) a layer" if self.inputs == 1 else "pairs of normals, O(n) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(n) variates a layer and network (O(1) for one input) if exact, n^2 if dense."""
        at, batch, stream = check_depths(depths, self.depth), self.batch_size(sampler), Stream(seed, device, generator)
        dense = real_matrices(self.weights, sampler)
        if self.inputs == 1:
            draw = partial(shaped_dense.sample_norm, weights=self.weights) if dense else shaped_norm.sample_norm
            return {"log_norm": draw(self.layers, depths=at, batch=batch, stream=stream).cpu().numpy()}
        if dense:
            # the first two inputs of any number are a network of two inputs
            pair = torch.tensor([[1.0, self.rho0], [0.0, math.sqrt(1.0 - self.rho0**2)]], dtype=torch.float64)
            gaps, norms = shaped_dense.sample_pair(
                self.layers, pair, depths=at, batch=batch, stream=stream, weights=self.weights
            )
        else:
            # linear networks keep opposite inputs opposite, which only the law of rho -> -rho resolves
            rho0 = abs(self.rho0) if self.c_plus == self.c_minus else self.rho0
            gaps, norms = shaped_pair.sample_pair(self.layers, rho0, depths=at, batch=batch, stream=stream)
            if rho0 != self.rho0:
                gaps = (2.0 - gaps.exp()).log()
        log_gap = gaps.cpu().numpy()
        return {"correlation": 1.0 - np.exp(log_gap), "log_gap": log_gap, "log_norm": norms.cpu().numpy()}

    def sample_gram(
        self,
        n: int,
        *,
        seed: int = 0,
        depths: Sequence[int] | None = None,
        sampler: Sampler = "exact",
        device: str = "cpu",
    ) -> GramSample:
        """Log norms and correlations of all m inputs in `n` networks, at `depths` (the final layer if left out).

        Any m, also m > n_l and duplicated or linearly dependent inputs. A larger `n` extends a smaller one. Float64;
        gaps 1 - rho below 1e-15 are what `sample` is for. Raises `InputError`.
        """
        whole("n", n)
        if sampler not in SAMPLERS:
            raise InputError("sampler", sampler, " or ".join(SAMPLERS))
        at = check_depths(depths if depths is not None else (self.depth,), self.depth)
        gram = self.gram or ((1.0, self.rho0), (self.rho0, 1.0))
        root = correlation_root(gram)
        name = {"gram": gram} | dict(self.parameters)
        dense = partial(shaped_dense.sample_gram, weights=self.weights)
        draw = dense if real_matrices(self.weights, sampler) else shaped_gram.sample_gram
        batch = self.batch_size(sampler)
        parts = [
            draw(
                self.layers,
                root,
                depths=at,
                batch=batch,
                stream=Stream(stream_seed(seed, self.family, self.version, sampler, "gram", name, index), device),
            )
            for index in range(-(-n // batch))
        ]
        norms, correlations = (torch.cat(part)[:n].cpu().numpy() for part in zip(*parts, strict=True))
        return GramSample(norms, correlations)

    @property
    def _widths(self) -> tuple[int, ...]:
        return layer_widths(self.depth, self.width, self.widths)
