"""Gradients of multilayer perceptrons at initialisation: ReLU or linear, with or without dropout, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import relu_gradients_dense, relu_gradients_exact
from limitbench.networks.base import REAL_MATRICES, Network, Sampler, check_depths
from limitbench.networks.checks import layer_widths, number, power_of_two_below, whole, width_parameter
from limitbench.networks.relu_gradients_layers import MaskedLayers
from limitbench.networks.weights import ensemble, real_matrices, weight_parameter
from limitbench.numerics.random import Stream

_ACTIVATIONS = ("relu", "linear")
#: Ensembles without biases: the gradient of a layer is its own weights' alone.
_WEIGHTS = ("gaussian", "uniform", "rademacher", "orthogonal")
#: Fewer units than this kept are none.
_LEAST_KEPT = 1e-6


@dataclass(frozen=True)
class ReLUGradients(Network):
    """An MLP of L layers of n_1, ..., n_L units without biases and with one output, weights N(0, 1).

        z_l = (p n_{l-1})^{-1/2} W_l x_{l-1},   x_l = D_l z_l,   E = (p n_L)^{-1/2} w'x_L,   delta_l = dE/dz_l

    (arXiv 1812.05994). D_l switches units off: those with z <= 0 for ReLU, and of what is left a fresh random share
    1 - keep (dropout). A unit is on with probability p = keep/2 (ReLU) or keep (linear), so that p n_{l-1} preserves
    mean squares: the usual variance 2/n_{l-1} for ReLU. The input x_0 has n_0 = n_1 entries and |x_0|^2 = n_0.

    Observables of layer l, all of one network of the final depth:

    * `log_norm` = ln(|x_l|^2/n_l), layers 1 to l;
    * `log_jacobian` = ln(|J u|^2/n_l) - ln(|u|^2/n_0), J = dx_l/dx_0, u Gaussian and independent of the input;
    * `log_gradient` = ln |delta_l|^2, which layers l to L make: E = v'x_L for an independent Gaussian v, |v|^2 ~ 1/p;
    * `log_weight_gradient` = ln(|dE/dA_l|_F^2/n_{l-1}) with A_l = (p n_{l-1})^{-1/2} W_l the weights that multiply
      x_{l-1}: |dE/dA_l|_F^2 = |x_{l-1}|^2 |delta_l|^2, all layers;
    * `dead` = 1 where in some layer up to l every unit is off, else 0.

    A network with a dead layer has neither output nor gradient: all its logs are NaN, in every layer.

    Arguments:
        depth: number of layers L.
        width: units of every layer, or `widths`: units of each.
        activation: `relu` or `linear`.
        keep: share of the units that dropout keeps, in (0, 1]; 1 is no dropout.
        weights: `gaussian`, `uniform`, `rademacher` or `orthogonal`; all but the first draw real matrices with either
            sampler, and inputs and u in random directions.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int | None = None
    widths: tuple[int, ...] | None = field(default=None, kw_only=True)
    activation: str = field(default="relu", kw_only=True)
    keep: float = field(default=1.0, kw_only=True)
    weights: str = field(default="gaussian", kw_only=True)

    family: ClassVar[str] = "relu-gradients"
    version: ClassVar[int] = 2
    depends_on_final_depth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        depth = whole("depth", self.depth)
        units = layer_widths(depth, self.width, self.widths)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "width", units[0] if len(set(units)) == 1 else None)
        object.__setattr__(self, "widths", units)
        if not isinstance(self.activation, str) or self.activation not in _ACTIVATIONS:
            raise InputError("activation", self.activation, " or ".join(_ACTIVATIONS))
        object.__setattr__(self, "keep", number("keep", self.keep, _LEAST_KEPT, 1.0))
        object.__setattr__(self, "weights", ensemble(self.weights, _WEIGHTS))

    @property
    def layers(self) -> MaskedLayers:
        """Units of every layer and what switches them off."""
        assert self.widths is not None
        return MaskedLayers(self.widths, self.activation == "relu", self.keep)

    @property
    def observables(self) -> tuple[str, ...]:
        """`dead`, `log_norm`, `log_jacobian`, `log_gradient`, `log_weight_gradient`."""
        return ("dead", "log_norm", "log_jacobian", "log_gradient", "log_weight_gradient")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Widths, activation, dropout and the ensemble of the weights."""
        parameters: dict[str, object] = {"activation": self.activation, "keep": self.keep}
        return width_parameter(self.layers.widths) | parameters | weight_parameter(self.weights)

    def batch_size(self, sampler: Sampler) -> int:
        """What fits 2^22 units of all layers if exact (84 MB), 2^20 weights of all layers if real matrices."""
        widths = self.layers.widths
        if real_matrices(self.weights, sampler):
            weights = sum(a * b for a, b in zip(widths, (widths[0], *widths), strict=False))
            return min(power_of_two_below(2**20 // weights), 256)
        return min(power_of_two_below(2**22 // sum(widths)), 1024)

    def cost(self, sampler: Sampler) -> float:
        """36 ns a unit and 0.3 µs a layer if exact, 16 ns a weight if dense."""
        widths = self.layers.widths
        if real_matrices(self.weights, sampler):
            return sum(a * b for a, b in zip(widths, (widths[0], *widths), strict=False)) * 1.6e-8
        return 3.6e-8 * sum(widths) + 3e-7 * self.depth

    def method(self, sampler: Sampler) -> str:
        """Conditional normals, real matrices where the weights are not Gaussian."""
        if real_matrices(self.weights, sampler):
            return REAL_MATRICES
        return "conditional normals, forward and backward, O(n) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch at the layers `depths`: three normals a unit if exact; if dense, all weights and autograd."""
        at = torch.tensor(check_depths(depths, self.depth)) - 1
        dense = partial(relu_gradients_dense.sample_gradients, weights=self.weights)
        draw = dense if real_matrices(self.weights, sampler) else relu_gradients_exact.sample_gradients
        drawn = draw(self.layers, batch=self.batch_size(sampler), stream=Stream(seed, device, generator))
        alive = drawn.alive.all(dim=1, keepdim=True)
        values = {
            name: torch.where(alive, getattr(drawn, name), torch.nan) for name in self.observables if name != "dead"
        }
        values["dead"] = (~drawn.alive).cumsum(dim=1).clamp(max=1).double()
        return {name: values[name].cpu()[:, at].numpy() for name in self.observables}
