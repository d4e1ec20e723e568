"""Infinite width for whatever was read: second moments of two inputs through the module's own matrices and functions.

A layer's pre-activations are Gaussian with covariance sigma_w^2 M + sigma_b^2, M the second moments of the features
that it receives; a function phi turns N(0, q) into M = E phi phi' (arXiv 1711.00165, with the module's phi).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.advice.check.read import Block
from limitbench.advice.check.values import Function
from limitbench.numerics.shaping import kernel

Moments = Float[np.ndarray, "2 2"]

#: Trapezoid rule for functions without a closed form: reach and step in standard deviations.
_REACH, _STEP = 8.0, 0.05


@dataclass(frozen=True)
class Variances:
    """sigma_w^2 (fan_in times the variance of an entry) and sigma_b^2 of one matrix."""

    w: float
    b: float


def after(function: Function, q: Moments) -> Moments:
    """E phi(u) phi(v) for the Gaussian pair N(0, q)."""
    scale = np.sqrt(np.diag(q))
    if function.slopes is not None:
        return np.asarray(np.outer(scale, scale) * kernel(correlation(q), *function.slopes))
    g, weight = _gaussian()
    rho = float(correlation(q)[0, 1])
    first = function.evaluate(scale[0] * g)
    if rho == 1 and scale[0] == scale[1]:  # one input, given twice
        return np.full((2, 2), float(weight @ first**2))
    second = function.evaluate(scale[1] * g)
    inner = function.evaluate(scale[1] * (rho * g[:, None] + math.sqrt(max(1 - rho * rho, 0.0)) * g)) @ weight
    product = float((weight * first) @ inner)
    return np.array([[weight @ first**2, product], [product, weight @ second**2]])


def mean_after(function: Function, q: Moments) -> Float[np.ndarray, " 2"]:
    """E phi(u) and E phi(v)."""
    scale = np.sqrt(np.diag(q))
    if function.slopes is not None:
        return np.asarray((function.slopes[0] - function.slopes[1]) * scale / math.sqrt(2 * math.pi))
    g, weight = _gaussian()
    return np.array([function.evaluate(s * g) @ weight for s in scale])


def slope_square(function: Function, q: float) -> float:
    """E phi'(u)^2 for u ~ N(0, q)."""
    if function.slopes is not None:
        return (function.slopes[0] ** 2 + function.slopes[1] ** 2) / 2
    nodes, weight = _gaussian()
    g, h = math.sqrt(q) * nodes, 1e-5 * math.sqrt(q)
    slope = (function.evaluate(g + h) - function.evaluate(g - h)) / (2 * h)
    return float(weight @ slope**2)


def _gaussian() -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes and weights of E f(g), g ~ N(0, 1)."""
    g = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    weight = np.exp(-g * g / 2)
    return g, weight / weight.sum()


def correlation(q: Moments) -> Moments:
    """Correlations, with 1 on the diagonal."""
    scale = np.sqrt(np.diag(q))
    found = np.clip(q / np.maximum(np.outer(scale, scale), 1e-300), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Path:
    """Second moments layer by layer: features 0 .. depth, pre-activations 1 .. depth (entry 0 is NaN)."""

    features: Float[np.ndarray, "layers 2 2"]
    preactivations: Float[np.ndarray, "layers 2 2"]

    def log_square(self, layer: int) -> float:
        """Log of the first input's mean square."""
        return _log(float(self.features[layer, 0, 0]))

    def rho(self, layer: int) -> float:
        """Correlation of the two inputs' features."""
        return float(correlation(self.features[layer])[0, 1])


def perceptron(start: Moments, layers: Sequence[Variances], activations: Sequence[Function]) -> Path:
    """`start`: second moments of the inputs; one matrix and one activation a hidden layer."""
    features, before = [start], [np.full((2, 2), math.nan)]
    for variance, activation in zip(layers, activations, strict=True):
        before.append(variance.w * features[-1] + variance.b)
        features.append(after(activation, before[-1]))
    return Path(np.stack(features), np.stack(before))


def residual(start: Moments, blocks: Sequence[Block], variances: Sequence[Sequence[Variances]]) -> Path:
    """`start`: second moments of the stream before the first block; one set of variances a matrix of each block.

    Biases that are added to the sum are taken with the last matrix. Branches phi(W x) have means, which add up.
    """
    stream, mean = [start], np.zeros(2)
    before = [np.full((2, 2), math.nan)]
    for block, sizes in zip(blocks, variances, strict=True):
        x, last = stream[-1], sizes[-1]
        if block.kind == "reduced":
            q = last.w * x + last.b
            added, shift = after(block.activation, q), mean_after(block.activation, q)
            cross = np.outer(mean, shift)
            stream.append(block.skip**2 * x + added + block.skip * (cross + cross.T))
            mean = block.skip * mean + shift
        else:
            if block.kind == "vanilla":
                q = x
            else:
                inner = after(block.activation, x) if block.kind == "pre-activation" else x
                q = sizes[0].w * inner + sizes[0].b
            stream.append(block.skip**2 * x + block.branch**2 * (last.w * after(block.activation, q) + last.b))
        before.append(q)
    return Path(np.stack(stream), np.stack(before))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
