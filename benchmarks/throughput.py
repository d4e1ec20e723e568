"""Seconds a network of the samplers, and how they compare with efficient dense torch in the same process.

Run as a script for the table of ratios on one thread; asv tracks the same numbers, lower is better. The dense peer does
what a careful user of torch would: float32, one preallocated weight matrix filled in place, one matmul a layer.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch

from limitbench.networks.base import Network, Sampler
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.networks.resnet import ResNet
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.sweep.dispatch_cost import measure_dispatch

REPETITIONS = 5
#: Normals of one block of the generator's own rate: 1 MiB of float32, inside the second-level cache.
BLOCK = 2**18


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def finite(value: float) -> float:
    """`value`, or an error: asv shows NaN as no result and its publish hangs on infinity."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"expected a positive finite measurement, got {value}")
    return value


def shaped_relu(width: int, depth: int) -> ShapedMLP:
    return ShapedMLP(depth, width, c_plus=0.0, c_minus=-1.0, rate=0.5, rho0=0.3)


class DensePeer:
    """One two-input shaped ReLU network with weights, float32, everything preallocated."""

    def __init__(self, network: ShapedMLP) -> None:
        self.layers, self.rho0 = network.layers, network.rho0
        width = self.layers[0].width
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


def compare(width: int, depth: int, repetitions: int = REPETITIONS) -> dict[str, float]:
    """Medians over interleaved repetitions, so that a busy machine slows all of them alike.

    Keys: seconds a network of `exact` and of `dense` torch, `normals` a second of `normal_`, `speedup` = dense / exact
    and `share` = normals a second that the exact sampler consumes over those that `normal_` gives.
    """
    network = shaped_relu(width, depth)
    batch, block, peer = network.batch_size("exact"), torch.empty(BLOCK), DensePeer(network)
    fills = max(1, 2**24 // BLOCK)
    rows = []
    for repetition in range(repetitions + 1):
        fill = seconds(lambda: [block.normal_() for _ in range(fills)]) / (fills * BLOCK)
        exact = seconds(lambda: network.sample_batch(0, depths=[depth])) / batch
        fill = (fill + seconds(lambda: [block.normal_() for _ in range(fills)]) / (fills * BLOCK)) / 2
        dense = seconds(peer.run)
        if repetition:  # the first one warms up
            rows.append((exact, dense, 1 / fill, dense / exact, fill * 2 * width * depth / exact))
    medians = (statistics.median(column) for column in zip(*rows, strict=True))
    return dict(zip(("exact", "dense", "normals", "speedup", "share"), map(finite, medians), strict=True))


class ExactAgainstDense:
    """The exact sampler against the dense peer and against the generator that feeds it, on 64 layers."""

    params = (256, 1024)
    param_names = ("width",)
    timeout = 300
    number = 1
    layers = 64

    def setup(self, width: int) -> None:
        torch.set_num_threads(1)

    def track_exact_over_dense(self, width: int) -> float:
        return finite(1.0 / compare(width, self.layers)["speedup"])

    def track_normal_rate_over_exact_rate(self, width: int) -> float:
        return finite(1.0 / compare(width, self.layers)["share"])

    track_exact_over_dense.unit = "exact seconds / dense seconds"  # type: ignore[attr-defined]
    track_normal_rate_over_exact_rate.unit = "1 / share of normal_"  # type: ignore[attr-defined]


class SecondsPerNetwork:
    """Seconds a network at depth = width, by family and sampler."""

    params = (
        (
            "shaped-one-input",
            "shaped-two-inputs",
            "deep-linear",
            "resnet",
            "resnet-balanced",
            "resnet-three-inputs",
            "mean-field-with-gradients",
        ),
        (16, 64, 256),
        ("exact", "dense"),
    )
    param_names = ("family", "width", "sampler")
    timeout = 300

    def setup(self, family: str, width: int, sampler: Sampler) -> None:
        torch.set_num_threads(1)
        depth = min(width, 64)
        self.network: Network = {
            "shaped-one-input": ShapedMLP(depth, width, gram=((1.0,),)),
            "shaped-two-inputs": shaped_relu(width, depth),
            "deep-linear": DeepLinear(depth, width),
            "resnet": ResNet(depth, width),
            "resnet-balanced": ResNet(depth, width, balanced=True),
            "resnet-three-inputs": ResNet(depth, width, gram=((1.0, 0.3, 0.0), (0.3, 1.0, 0.0), (0.0, 0.0, 1.0))),
            "mean-field-with-gradients": MeanFieldNet(depth, width),
        }[family]
        self.scale = width / depth / self.network.batch_size(sampler)

    def track_seconds(self, family: str, width: int, sampler: Sampler) -> float:
        def batch() -> object:
            return self.network.sample_batch(0, depths=[self.network.depth], sampler=sampler)

        batch()
        return finite(statistics.median(seconds(batch) for _ in range(3)) * self.scale)

    track_seconds.unit = "s"  # type: ignore[attr-defined]


def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, one thread, medians of {REPETITIONS}")
    print(
        f"{'width':>6} {'depth':>6} {'exact s':>10} {'dense s':>10} {'dense/exact':>12} {'Mnormals/s':>11} {'share':>6}"
    )
    for width in (64, 256, 1024):
        row = compare(width, width)
        print(
            f"{width:6} {width:6} {row['exact']:10.6f} {row['dense']:10.4f} {row['speedup']:12.1f} "
            f"{row['normals'] / 1e6:11.0f} {row['share']:6.2f}"
        )


class Dispatcher:
    """What the driver of a sweep spends on a block, with real Ray and blocks that do nothing."""

    timeout = 300
    number = 1

    def track_driver_cpu_per_block(self) -> float:
        return finite(1e3 * measure_dispatch().unit)

    track_driver_cpu_per_block.unit = "ms a block"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
