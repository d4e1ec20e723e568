"""Residual networks at initialisation: plain, Balanced, with any two slopes, with or without normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import residual, resnet_dense, resnet_exact
from limitbench.networks.base import REAL_MATRICES, Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, number, power_of_two_below, whole
from limitbench.networks.gram import gram_root
from limitbench.networks.residual import Recorded, ResidualBlock
from limitbench.networks.weights import ensemble, real_matrices, weight_parameter
from limitbench.numerics.random import Stream

#: Inputs whose covariances have names in the catalogue.
_NAMED = 3
#: Bound of paths and slopes, so that s is inside the range of floats.
_LARGEST = 1e50


@dataclass(frozen=True)
class ResNet(Network):
    """A residual network without biases, one weight matrix a block, weights N(0, 1).

        z_0 = W_0 x / sqrt(n_in),   z_{l+1} = skip z_l + branch n^{-1/2} W_{l+1} phi(sigma_l * z_l),
        z_out = W_out z_d / sqrt(n),   phi(x) = s_+ max(x, 0) + s_- min(x, 0),   V_l^ab = <z_l^a, z_l^b> / n

    (arXiv 2106.04013, 2310.12079). h = (s_+^2 + s_-^2) / 2 and s = skip^2 + h branch^2, the factor of a squared norm at
    infinite width. V_0 is random, around the Gram matrix of the inputs: the rows of z_0 are N(0, gram).

    Observables, one input: `log_norm` = ln(V_d / V_0) - d ln s; `log_output` = ln |z_out|^2 over all outputs, no s^d
    taken off; `log_jacobian` = ln(|J u|^2 / |u|^2) - d ln s, J = d z_d / d z_0, u Gaussian and independent of all else;
    `log_gradient` = ln(|J'v|^2 / |v|^2) - d ln s, v likewise; `active_fraction` = #{z_d,i > 0} / n;
    `relu_share` = |max(sigma_d z_d, 0)|^2 / |z_d|^2. Two inputs: `correlation`, and `log_norm` and `log_gradient` of
    input 1. From three inputs on also the entries V_d^ab of the first three, no s^d taken off. Where z_d = 0 (only
    without skip, where every unit is off) logs are -inf, correlation and share NaN.

    Arguments:
        depth: number of blocks d.
        width: units n of the stream.
        skip, branch: factors of the two paths; sheet values alpha, lambda sqrt(2).
        slope_plus, slope_minus: s_+ and s_-.
        balanced: one random sign sigma a unit and layer, shared by all inputs, fresh in every layer; else all 1.
        outputs: entries of z_out.
        jacobian: also give `log_jacobian` (one input only), at twice the cost.
        gradient: also give `log_gradient`, at two to three times the cost. If exact, the gradient of every recorded
            depth has a stream of its own: exact in law with the forward pass, but gradients of two depths of one
            network share only what the forward pass has seen of its matrices.
        rho0: correlation of two inputs with |x|^2 = n_in; one input where neither this nor `gram` is given.
        gram: or <x^a, x^b> / n_in of any number of inputs, m x m.
        weights: `gaussian`, or an ensemble of `networks.weights`: then both samplers draw real matrices, n_in =
            max(n, m), inputs point in random directions, and for `pytorch` every n^{-1/2} W x is W x + b with the
            weights and biases of `torch.nn.Linear`.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    skip: float = field(default=math.sqrt(0.5), kw_only=True)
    branch: float = field(default=1.0, kw_only=True)
    slope_plus: float = field(default=1.0, kw_only=True)
    slope_minus: float = field(default=0.0, kw_only=True)
    balanced: bool = field(default=False, kw_only=True)
    outputs: int = field(default=1, kw_only=True)
    jacobian: bool = field(default=False, kw_only=True)
    gradient: bool = field(default=False, kw_only=True)
    rho0: float | None = field(default=None, kw_only=True)
    gram: tuple[tuple[float, ...], ...] | None = field(default=None, kw_only=True)
    weights: str = field(default="gaussian", kw_only=True)

    family: ClassVar[str] = "resnet"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        values: dict[str, object] = {name: whole(name, getattr(self, name)) for name in ("depth", "width", "outputs")}
        for name in ("skip", "branch", "slope_plus", "slope_minus"):
            values[name] = number(name, getattr(self, name), -_LARGEST, _LARGEST)
        for name in ("balanced", "jacobian", "gradient"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InputError(name, getattr(self, name), "True or False")
            values[name] = bool(getattr(self, name))
        values["weights"] = ensemble(self.weights)
        if self.gram is not None:
            if self.rho0 is not None:
                raise InputError("rho0", self.rho0, "None where gram is given, which holds it")
            values["gram"] = gram_matrix(self.gram)
        elif self.rho0 is not None:
            values["rho0"] = number("rho0", self.rho0, -1.0, 1.0)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.jacobian and self.inputs > 1:
            raise InputError("jacobian", True, "False for more than one input")
        if self.growth == 0.0:
            raise InputError("skip", self.skip, "skip^2 + branch^2 (s_+^2 + s_-^2) / 2 that is not 0")

    @property
    def block(self) -> ResidualBlock:
        """What every block does."""
        return ResidualBlock(self.width, self.skip, self.branch, self.slope_plus, self.slope_minus, self.balanced)

    @property
    def growth(self) -> float:
        """s = skip^2 + branch^2 (s_+^2 + s_-^2) / 2."""
        return self.block.growth

    @property
    def inputs(self) -> int:
        """Number of inputs m."""
        return len(self.input_gram)

    @property
    def input_gram(self) -> tuple[tuple[float, ...], ...]:
        """<x^a, x^b> / n_in."""
        if self.gram is not None:
            return self.gram
        return ((1.0,),) if self.rho0 is None else ((1.0, self.rho0), (self.rho0, 1.0))

    @property
    def observables(self) -> tuple[str, ...]:
        """By the number of inputs."""
        back = ("log_gradient",) if self.gradient else ()
        if self.inputs == 1:
            tangent = ("log_jacobian",) if self.jacobian else ()
            return ("log_norm", "log_output", *tangent, *back, "active_fraction", "relu_share")
        named = range(1, _NAMED + 1) if self.inputs >= _NAMED else ()
        return ("correlation", "log_norm", *back, *(f"covariance_{a}{b}" for a in named for b in named if a <= b))

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width, factors of the paths, slopes, signs, outputs and the Gram matrix of the inputs."""
        names = ("width", "skip", "branch", "slope_plus", "slope_minus", "balanced", "outputs")
        parameters: dict[str, object] = {name: getattr(self, name) for name in names}
        parameters |= {"gram": [list(row) for row in self.input_gram]} | weight_parameter(self.weights)
        return parameters | {name: True for name in ("jacobian", "gradient") if getattr(self, name)}

    def batch_size(self, sampler: Sampler) -> int:
        """exact: about 2^17 numbers of state, in cache, 2^16 with `gradient`; 2^20 weights where they are real."""
        if real_matrices(self.weights, sampler):
            return min(power_of_two_below(2**20 // self.width**2), 256)
        state = 2**16 if self.gradient else 2**17
        return min(max(power_of_two_below(state // (self.width * self._columns)), 16), 2048)

    def cost(self, sampler: Sampler) -> float:
        """4 ns a unit and column, 1 ns a unit and pair of them, with gradients 17 and 8; beyond 64 blocks 25 and 12.

        Real weights: 6 ns each, with gradients thrice that.
        """
        n, columns = self.width, self._columns
        if real_matrices(self.weights, sampler):
            return (6e-9 * n * n + 3e-7) * self.depth * (3 if self.gradient else 1)
        if not self.gradient:
            return (n * columns * (4e-9 + 1e-9 * columns) + 6e-8 * columns) * self.depth
        again = 1.5 if self.depth > resnet_exact.SEGMENT else 1.0
        return (n * (1.7e-8 * columns + 8e-9) + 1.5e-7) * again * self.depth

    def method(self, sampler: Sampler) -> str:
        """Conditional normals, real matrices where the weights are not Gaussian."""
        if real_matrices(self.weights, sampler):
            return REAL_MATRICES
        return f"conditional normals, {'forward and backward, ' if self.gradient else ''}O(n) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: n variates a block, network and input (two with `jacobian`) if exact, n^2 if dense."""
        layers = self._layers(
            min(self.inputs, _NAMED),
            check_depths(depths, self.depth),
            seed=seed,
            sampler=sampler,
            device=device,
            generator=generator,
        )
        start = residual.log_norms(next(layers))
        columns = [self._observe(layer, start) for layer in layers]
        return {name: torch.stack([c[name] for c in columns], dim=1).cpu().numpy() for name in self.observables}

    @property
    def _columns(self) -> int:
        return min(self.inputs, _NAMED) + self.jacobian

    def _layers(
        self,
        inputs: int,
        depths: tuple[int, ...],
        *,
        seed: int,
        sampler: Sampler,
        device: str,
        generator: str = "torch",
    ) -> Iterator[Recorded]:
        """Layer 0 and `depths` of one batch, for the first `inputs` of the inputs."""
        root = gram_root(tuple(row[:inputs] for row in self.input_gram[:inputs]))
        dense = partial(resnet_dense.sample_layers, weights=self.weights)
        draw = dense if real_matrices(self.weights, sampler) else resnet_exact.sample_layers
        return draw(
            self.block,
            root,
            jacobian=self.jacobian,
            gradient=self.gradient,
            outputs=self.outputs,
            depths=depths,
            batch=self.batch_size(sampler),
            stream=Stream(seed, device, generator),
        )

    def _observe(self, layer: Recorded, start: residual.Logs) -> dict[str, residual.Values]:
        """The observables of one layer."""
        logs = residual.log_norms(layer) - layer.layer * math.log(self.growth)
        gain = logs - start
        back: dict[str, residual.Values] = {}
        if layer.log_gradient is not None:
            back["log_gradient"] = layer.log_gradient - layer.layer * math.log(self.growth)
        if self.inputs == 1:
            return back | {
                "log_norm": gain[0],
                "log_output": layer.log_output,
                "log_jacobian": gain[-1],
                "active_fraction": residual.active_fraction(layer),
                "relu_share": residual.relu_share(layer),
            }
        values = back | {"correlation": residual.correlation(layer, 0, 1), "log_norm": gain[0]}
        for name in self.observables:
            if name.startswith("covariance"):
                a, b = (int(digit) - 1 for digit in name[-2:])
                values[name] = residual.covariance(layer, a, b)
        return values
