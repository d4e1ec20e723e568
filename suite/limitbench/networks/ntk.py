"""Empirical neural tangent kernels of ReLU and shaped ReLU multilayer perceptrons at initialisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import ntk_backward, ntk_dense, ntk_pair, ntk_single
from limitbench.networks.base import Network, Sampler, check_depths
from limitbench.networks.checks import layer_widths, power_of_two_below, whole, width_parameter
from limitbench.networks.gram import correlation_root
from limitbench.networks.ntk_backward import Kernel
from limitbench.networks.shaping import ShapedLayer, declared_shaping, shaped_layers
from limitbench.numerics.random import Stream


@dataclass(frozen=True)
class TangentKernel(Network):
    """The neural tangent kernel of the network of `ShapedMLP` with one output, in the NTK parametrisation.

        z_1 = W_0 x,   z_{l+1} = W_l f_l,   f_l = sqrt(c_l / n_l) phi_l(z_l),   f(x) = w'f_d,   weights N(0, 1),
        K_ab = sum over W = W_0, ..., W_{d-1}, w of <df(x_a)/dW, df(x_b)/dW>,

    phi_l with slopes 1 + c_pm n_l^-rate (rate 0, c_minus -1 is ReLU), no biases, |x_a| = 1, <x_1, x_2> = rho0. At depth
    l the network is cut off after l hidden layers and has a readout of its own. Observables, NaN where every unit of an
    input that they need is off in some layer:

    * `log_ntk` = ln(K_11 / (d + 1)), 0 at infinite width: each of the d + 1 matrices adds |x|^2 = 1 there;
    * `ntk_ratio` = K_12 / sqrt(K_11 K_22);
    * `ntk_12` = K_12 / (d + 1).

    `exact` draws 2 n normals a layer and 20 to 30 numbers more for the way back, which it needs once for each recorded
    depth: given the pass forward, the kernels of several depths are drawn independently of one another, each of them
    exactly in law. With one input it draws O(1) numbers a layer. `dense` draws one network of all depths.

    Arguments:
        depth: number of hidden layers d.
        width: units of every hidden layer, or `widths`: units of each.
        c_plus, c_minus, rate: slopes.
        rho0: correlation of the two inputs.
        inputs: 2, or 1 for `log_ntk` alone.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int | None = None
    widths: tuple[int, ...] | None = field(default=None, kw_only=True)
    c_plus: float = field(default=0.0, kw_only=True)
    c_minus: float = field(default=-1.0, kw_only=True)
    rate: float = field(default=0.0, kw_only=True)
    rho0: float = field(default=0.3, kw_only=True)
    inputs: int = field(default=2, kw_only=True)

    family: ClassVar[str] = "tangent-kernel"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        values = declared_shaping(self)
        values["inputs"] = whole("inputs", self.inputs)
        if values["inputs"] not in (1, 2):
            raise InputError("inputs", self.inputs, "1 or 2")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.layers  # noqa: B018  (raises where both slopes of a layer are 0)

    @property
    def layers(self) -> tuple[ShapedLayer, ...]:
        """Width and slopes of each hidden layer."""
        return shaped_layers(self._widths, self.c_plus, self.c_minus, self.rate)

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_ntk` alone for one input."""
        return ("log_ntk",) if self.inputs == 1 else ("log_ntk", "ntk_ratio", "ntk_12")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Widths, shaping and inputs."""
        inputs: dict[str, object] = {"inputs": 1} if self.inputs == 1 else {"rho0": self.rho0}
        shaping = {"c_plus": self.c_plus, "c_minus": self.c_minus, "rate": self.rate}
        return width_parameter(self._widths) | shaping | inputs

    def batch_size(self, sampler: Sampler) -> int:
        """exact: up to 2^18 units of a layer, which outweigh its calls; dense: 2^18 weights."""
        widest = max(self._widths)
        if sampler == "dense":
            return min(power_of_two_below(2**18 // widest**2), 256)
        return 1024 if self.inputs == 1 else min(max(power_of_two_below(2**18 // widest), 32), 512)

    def cost(self, sampler: Sampler) -> float:
        """12 ns a unit (80 in narrow layers) and 1.5 µs a layer forward and back, 0.15 ms a layer and batch."""
        if sampler == "dense":
            return 2 * sum(n * n for n in self._widths) / 5e7
        if self.inputs == 1:
            return 7e-7 * self.depth
        units = sum(n * (8e-8 if n <= ntk_pair.NARROW else 1.2e-8) for n in self._widths)
        return units + (1.5e-6 + 1.5e-4 / self.batch_size(sampler)) * self.depth

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch; the way back from each depth is a stream of its own, so that depths do not alter one another."""
        at, batch, stream = check_depths(depths, self.depth), self.batch_size(sampler), Stream(seed, device, generator)
        layers = self.layers[: at[-1]]
        if sampler == "dense":
            root = correlation_root(((1.0, self.rho0), (self.rho0, 1.0)))[:, : self.inputs]
            kernels = ntk_dense.sample_kernels(layers, root, depths=at, batch=batch, stream=stream)
        else:
            if self.inputs == 1:
                forward = ntk_single.forward(layers, batch=batch, stream=stream)
            else:
                forward = ntk_pair.forward(layers, self.rho0, batch=batch, stream=stream)
            kernels = [ntk_backward.kernel(forward, depth, stream.another("back", depth)) for depth in at]
        columns = [_observables(kernel, depth) for kernel, depth in zip(kernels, at, strict=True)]
        return {name: np.stack([column[name] for column in columns], axis=1) for name in self.observables}

    @property
    def _widths(self) -> tuple[int, ...]:
        return layer_widths(self.depth, self.width, self.widths)


def _observables(kernel: Kernel, depth: int) -> dict[str, Float[np.ndarray, " batch"]]:
    """All observables of K of `depth` hidden layers; those of one input are NaN where it is dead."""
    diagonal = kernel.log_diagonal.masked_fill(kernel.log_diagonal.isneginf(), math.nan) - math.log(depth + 1)
    size = diagonal.mean(dim=0).exp()  # sqrt(K_11 K_22)
    found = {"log_ntk": diagonal[0], "ntk_ratio": kernel.cosine, "ntk_12": kernel.cosine * size}
    return {name: values.cpu().numpy() for name, values in found.items()}
