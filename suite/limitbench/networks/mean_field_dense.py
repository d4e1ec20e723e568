"""Mean-field networks with real weight matrices and gradients by automatic differentiation: the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.mean_field_block import MeanFieldBlock, Observed, observables, target
from limitbench.numerics.random import Stream

Features = Float[Tensor, "batch inputs width"]


def sample(
    block: MeanFieldBlock,
    root: Float[Tensor, "rank inputs"],
    *,
    outputs: int | None,
    depth: int,
    layers: Sequence[int],
    batch: int,
    stream: Stream,
) -> Observed:
    """The observables of `mean_field_exact.sample`. Cost and memory: N^2 numbers a block and network, twice if `full`.

    Lengths and gradients are plain float64: their squares should lie within 1e-300 .. 1e300.
    """
    with torch.inference_mode(False), torch.enable_grad():
        return _sample(block, root, outputs, depth, layers, batch, stream)


def _sample(
    block: MeanFieldBlock,
    root: Float[Tensor, "rank inputs"],
    outputs: int | None,
    depth: int,
    layers: Sequence[int],
    batch: int,
    stream: Stream,
) -> Observed:
    n, inputs = block.width, root.shape[1]

    def draw(rows: int, columns: int, deviation: float) -> Float[Tensor, "batch rows columns"]:
        normals = stream.normal_(torch.empty(batch, rows, columns, device=stream.device)).double()
        return normals.mul_(deviation).requires_grad_()

    x = (root.to(stream.device).T @ draw(len(root), n, 1.0).detach()).requires_grad_()
    streams, preactivations, parameters = [x], [], []
    for _ in range(depth):
        w, b = draw(n, n, block.sigma_w / math.sqrt(n)), draw(1, n, block.sigma_b)
        h = x @ w.mT + b
        u = block.activation.function(h)
        found = {"log_chi_w": w, "log_chi_b": b}
        if block.kind == "full":
            v, a = draw(n, n, block.sigma_v / math.sqrt(n)), draw(1, n, block.sigma_a)
            found |= {"log_chi_v": v, "log_chi_a": a}
            x = x + u @ v.mT + a
        else:
            x = u if block.kind == "plain" else x + u
        streams.append(x)
        preactivations.append(h)
        parameters.append(found)

    if outputs is None:
        loss = (draw(1, n, 1.0)[:, 0] * x[:, 0]).sum()
    else:
        targets = torch.tensor([target(a) for a in range(inputs)], device=stream.device)[:, None]
        loss = (x @ draw(outputs, n, 1.0 / math.sqrt(n)).mT - targets).square().sum() / 2.0

    named = [(name, p) for layer in layers for name, p in parameters[layer - 1].items()]
    named += [("log_chi", streams[layer - 1]) for layer in layers] + [("last", x)]
    gradients = torch.autograd.grad(loss, [tensor for _, tensor in named])
    last = gradients[-1][:, 0].square().mean(1)
    values: dict[str, list[Tensor]] = {name: [] for name in observables(block.kind, inputs)}
    for (name, _), gradient in zip(named[:-1], gradients[:-1], strict=True):
        mean_square = gradient[:, 0].square().mean(1) if name == "log_chi" else gradient.square().mean((1, 2))
        values[name].append((mean_square / last).log())
    for layer in layers:
        x, h = streams[layer].detach(), preactivations[layer - 1].detach()
        values["log_length"].append(x[:, 0].square().mean(1).log())
        values["log_preactivation"].append(h[:, 0].square().mean(1).log())
        if inputs > 1:
            covariance = (x[:, 0] * x[:, 1]).mean(1)
            lengths = x[:, :2].square().mean(2)
            values["cosine"].append((covariance / lengths[:, 0].sqrt() / lengths[:, 1].sqrt()).clamp(-1.0, 1.0))
            values["covariance_12"].append(covariance)
            values["log_distance"].append((x[:, 0] - x[:, 1]).square().mean(1).log())
    return {name: torch.stack(columns, dim=1) for name, columns in values.items()}
