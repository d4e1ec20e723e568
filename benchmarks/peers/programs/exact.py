"""What is compared: limitbench's exact samplers and its stepping of the correlation SDE, by generator."""

from __future__ import annotations

import math

import torch
from serve import Task, serve

from limitbench.networks.base import Network
from limitbench.networks.ntk import TangentKernel
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics.stepping.correlation import correlation_paths


def network_task(network: Network, generator: str, observables: dict[str, str]) -> Task:
    """One batch of `network` at its final depth; `observables` maps the names compared to the family's."""

    def draw(count: int) -> dict[str, list[float]]:
        drawn: dict[str, list[float]] = {name: [] for name in observables}
        for seed in range(1, 1 + math.ceil(count / network.batch_size("exact"))):
            batch = network.sample_batch(seed, depths=[network.depth], generator=generator)
            for name, ours in observables.items():
                drawn[name] += batch[ours].flatten().tolist()
        return {name: values[:count] for name, values in drawn.items()}

    return Task(
        lambda: network.sample_batch(0, depths=[network.depth], generator=generator),
        network.batch_size("exact"),
        draw,
    )


def forward(*, width: int, depth: int, generator: str) -> Task:
    network = ShapedMLP(depth, width, c_plus=0.0, c_minus=-1.0, rate=0.5, rho0=0.3)
    return network_task(network, generator, {"correlation": "correlation", "log_norm": "log_norm"})


def tangent(*, width: int, depth: int, rate: float | None, generator: str) -> Task:
    network = TangentKernel(depth, width, c_minus=-1.0, rate=0.0 if rate is None else rate, rho0=0.3)
    return network_task(network, generator, {"log_ntk": "log_ntk", "ntk_ratio": "ntk_ratio"})


def paths(*, steps: int, paths: int, generator: str) -> Task:
    def run(count: int, seed: int) -> torch.Tensor:
        return correlation_paths(
            1 / (2 * math.pi), rho0=0.3, times=[1.0], steps=steps, paths=count, seed=seed, generator=generator
        )

    return Task(lambda: run(paths, 0), steps * paths, lambda count: {"correlation": run(count, 1).flatten().tolist()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve({"forward": forward, "tangent": tangent, "paths": paths}, ["torch"])
