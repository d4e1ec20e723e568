"""Dense torch as a careful user would write it: float32, one preallocated buffer filled in place, a matmul a layer.

The two inputs are the rows of every matrix of features: in this layout the products with a square matrix are up to ten
times as fast as with the inputs in columns.
"""

from __future__ import annotations

import math

import torch
from serve import Task, serve, tangent_observables

#: Two inputs of unit length with correlation 0.3, one a row.
RHO0 = 0.3
INPUTS = torch.tensor([[1.0, 0.0], [RHO0, math.sqrt(1.0 - RHO0**2)]])


def slopes(width: int, rate: float | None) -> tuple[float, float, float]:
    """s_+, s_- and c/n of shaped ReLU, c = (0, -1), or of ReLU where there is no rate."""
    plus, minus = 1.0, (1.0 - width**-rate if rate is not None else 0.0)
    return plus, minus, 2.0 / (plus**2 + minus**2) / width


class Forward:
    """V_d of two inputs; only one layer's weights are ever in memory."""

    def __init__(self, width: int, depth: int) -> None:
        self.depth, (_, self.minus, self.constant) = depth, slopes(width, 0.5)
        self.weights, self.first = torch.empty(width, width), torch.empty(width, 2)
        self.z, self.features = torch.empty(2, 2, width)

    @torch.inference_mode()
    def run(self) -> torch.Tensor:
        torch.mm(INPUTS, self.first.normal_().mT, out=self.z)
        for _ in range(self.depth - 1):
            torch.nn.functional.leaky_relu_(self.z, self.minus)
            torch.mul(self.z, math.sqrt(self.constant), out=self.features)
            torch.mm(self.features, self.weights.normal_().mT, out=self.z)
        torch.nn.functional.leaky_relu_(self.z, self.minus)
        return self.z @ self.z.mT * self.constant

    def observables(self) -> dict[str, float]:
        (first, cross), (_, second) = self.run().double().tolist()
        return {"correlation": cross / math.sqrt(first * second), "log_norm": math.log(first)}


class Tangent:
    """The empirical NTK of two inputs, backward through the same weights, all of them kept in one buffer.

    K_ab = sum over the matrices of <df(x_a)/dW, df(x_b)/dW>, each term a product of two inner products.
    """

    def __init__(self, width: int, depth: int, rate: float | None) -> None:
        self.depth, (_, self.minus, self.constant) = depth, slopes(width, rate)
        self.weights = torch.empty(max(depth - 1, 1), width, width)
        self.first, self.last = torch.empty(width, 2), torch.empty(width)
        self.z = torch.empty(depth, 2, width)
        self.features, self.delta, self.back, self.slope = torch.empty(4, 2, width)

    @torch.inference_mode()
    def run(self) -> torch.Tensor:
        scale = math.sqrt(self.constant)
        torch.mm(INPUTS, self.first.normal_().mT, out=self.z[0])
        grams = []
        for layer in range(self.depth):
            torch.mul(torch.nn.functional.leaky_relu(self.z[layer], self.minus), scale, out=self.features)
            grams.append(self.features @ self.features.mT)
            if layer + 1 < self.depth:
                torch.mm(self.features, self.weights[layer].normal_().mT, out=self.z[layer + 1])
        tangent = grams[-1].clone()
        torch.mul(self.last.normal_(), scale, out=self.delta[0])
        self.delta[1] = self.delta[0]
        for layer in reversed(range(self.depth)):
            torch.mul(self.z[layer].gt(0.0), 1.0 - self.minus, out=self.slope).add_(self.minus)
            self.delta.mul_(self.slope)
            below = grams[layer - 1] if layer else INPUTS @ INPUTS.mT
            tangent += below * (self.delta @ self.delta.mT)
            if layer:
                torch.mm(self.delta, self.weights[layer - 1], out=self.back).mul_(scale)
                self.delta, self.back = self.back, self.delta
        return tangent

    def observables(self) -> dict[str, float]:
        return tangent_observables(self.run().double().tolist(), self.depth)


def task(network: Forward | Tangent) -> Task:
    def draw(count: int) -> dict[str, list[float]]:
        rows = [network.observables() for _ in range(count)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return Task(network.run, 1, draw)


def forward(*, width: int, depth: int) -> Task:
    return task(Forward(width, depth))


def tangent(*, width: int, depth: int, rate: float | None) -> Task:
    return task(Tangent(width, depth, rate))


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve({"forward": forward, "tangent": tangent}, ["torch"])
