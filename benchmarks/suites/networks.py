"""The network families that the benchmarks draw, by names a user knows, all with 64 hidden layers.

A family is one line here; the benchmarks of samplers and of memory take it up by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from limitbench.networks.base import Network

LAYERS = 64
THREE = ((1.0, 0.3, 0.0), (0.3, 1.0, 0.0), (0.0, 0.0, 1.0))


def shaped_relu(width: int, depth: int) -> Network:
    """Two inputs with correlation 0.3, slopes 1 and 1 - n^-1/2."""
    from limitbench.networks.shaped_mlp import ShapedMLP

    return ShapedMLP(depth, width, c_plus=0.0, c_minus=-1.0, rate=0.5, rho0=0.3)


def _shaped(width: int, depth: int, gram: object) -> Network:
    from limitbench.networks.shaped_mlp import ShapedMLP

    return ShapedMLP(depth, width, gram=gram)  # type: ignore[arg-type]


def _resnet(width: int, depth: int, **options: object) -> Network:
    from limitbench.networks.resnet import ResNet

    return ResNet(depth, width, **options)  # type: ignore[arg-type]


def _smooth(width: int, depth: int, rho0: float | None) -> Network:
    from limitbench.networks.smooth_mlp import SmoothMLP

    return SmoothMLP(depth, width, activation="tanh", rho0=rho0)


def _mean_field(width: int, depth: int, rho0: float | None) -> Network:
    from limitbench.networks.mean_field import MeanFieldNet

    return MeanFieldNet(depth, width, rho0=rho0)


def _unshaped(width: int, depth: int) -> Network:
    from limitbench.networks.unshaped_mlp import UnshapedMLP

    return UnshapedMLP(depth, width)


def _gradients(width: int, depth: int) -> Network:
    from limitbench.networks.relu_gradients import ReLUGradients

    return ReLUGradients(depth, width)


def _tangent_kernel(width: int, depth: int) -> Network:
    from limitbench.networks.ntk import TangentKernel

    return TangentKernel(depth, width, c_minus=-1.0, rate=0.0, rho0=0.3)


def _linear(width: int, depth: int) -> Network:
    from limitbench.networks.deep_linear import DeepLinear

    return DeepLinear(depth, width)


def _covariances(width: int, depth: int) -> Network:
    from limitbench.networks.covariances import CovarianceMLP

    return CovarianceMLP(depth, width)


def _posterior(width: int, depth: int) -> Network:
    from limitbench import studies

    cell = {axis.name: axis.default[0] for axis in studies.get("deep-linear-posterior").axes}
    return studies.get("deep-linear-posterior").network({**cell, "width": width, "depth": depth})


#: Networks by name, from a width and a depth.
FAMILIES: dict[str, Callable[[int, int], Network]] = {
    "shaped-relu-one-input": lambda n, d: _shaped(n, d, ((1.0,),)),
    "shaped-relu-two-inputs": shaped_relu,
    "shaped-relu-three-inputs": lambda n, d: _shaped(n, d, THREE),
    "unshaped-relu-two-inputs": _unshaped,
    "tanh-one-input": lambda n, d: _smooth(n, d, None),
    "tanh-two-inputs": lambda n, d: _smooth(n, d, 0.3),
    "resnet-one-input": _resnet,
    "balanced-resnet-one-input": lambda n, d: _resnet(n, d, balanced=True),
    "resnet-with-jacobian": lambda n, d: _resnet(n, d, jacobian=True),
    "resnet-two-inputs": lambda n, d: _resnet(n, d, rho0=0.3),
    "mean-field-resnet-with-gradients": lambda n, d: _mean_field(n, d, None),
    "mean-field-resnet-two-inputs": lambda n, d: _mean_field(n, d, 0.3),
    "relu-with-gradients": _gradients,
    "relu-tangent-kernel": _tangent_kernel,
    "covariances-of-two-inputs": _covariances,
    "deep-linear": _linear,
    "deep-linear-posterior": _posterior,
}
#: Those with a way back, which keep their layers: their memory may grow with depth.
BOTH_WAYS = ("mean-field-resnet-with-gradients", "relu-with-gradients", "relu-tangent-kernel")


class DensePeer:
    """One two-input shaped ReLU network with weights, as a careful user of torch would do it.

    Float32, everything preallocated; one weight matrix is filled in place, one matmul a layer.
    """

    def __init__(self, width: int, depth: int) -> None:
        network = shaped_relu(width, depth)
        self.layers, self.rho0 = network.layers, network.rho0  # type: ignore[attr-defined]
        self.weights, self.z = torch.empty(width, width), torch.empty(width, 2)
        self.first = torch.empty(width, 2)
        self.root = torch.tensor([[1.0, self.rho0], [0.0, math.sqrt(1.0 - self.rho0**2)]])

    @torch.inference_mode()
    def run(self) -> torch.Tensor:
        features, scale = self.root, 1.0
        for depth, layer in enumerate(self.layers):
            weights = (self.weights if depth else self.first).normal_()
            torch.mm(weights, features, out=self.z)
            torch.nn.functional.leaky_relu_(self.z.mul_(scale * layer.slope_plus), layer.slope_minus / layer.slope_plus)
            features, scale = self.z.clone(), math.sqrt(layer.constant / layer.width)
        return features.mT @ features * scale**2


class DenseBothWays:
    """The tangent kernel of one two-input ReLU network with weights, forward and backward, as `DensePeer` does it.

    All matrices are kept in one preallocated buffer; K sums <features_a, features_b> <gradients_a, gradients_b> over
    the layers.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.first, self.readout = torch.empty(width, 2), torch.empty(width, 1)
        self.weights = torch.empty(depth - 1, width, width)
        self.inputs = torch.tensor([[1.0, 0.3], [0.0, math.sqrt(1.0 - 0.3**2)]])
        self.scale = math.sqrt(2.0 / width)

    @torch.inference_mode()
    def run(self) -> torch.Tensor:
        features, masks = [self.inputs], []
        for weights in (self.first, *self.weights):
            z = weights.normal_() @ features[-1]
            masks.append((z > 0).float().mul_(self.scale))
            features.append(z.mul_(masks[-1]))
        kernel = features[-1].mT @ features[-1]
        gradients = self.readout.normal_() * masks[-1]
        for layer in range(len(masks) - 1, -1, -1):
            kernel += (features[layer].mT @ features[layer]) * (gradients.mT @ gradients)
            if layer:
                gradients = (self.weights[layer - 1].mT @ gradients).mul_(masks[layer - 1])
        return kernel
