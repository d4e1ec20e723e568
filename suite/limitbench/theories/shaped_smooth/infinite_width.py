"""Infinite width: the recursion of a smooth shaped network without noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float

from limitbench.numerics.activations import SmoothActivation, activation_of, gaussian_nodes, turning_nodes
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import count, number

#: V has exploded where it exceeds this.
EXPLODED = 1e4
#: Gaps below this are rounding noise of 1 - rho: no `log_gap`.
_SMALLEST_GAP = 1e-10
#: Turns within fewer standard deviations than this have nodes of their own: a plain mesh would grow without bound.
_SHARP = 0.25
#: Standard deviations beyond which a turn is out of sight.
_SIGHT = 12.0


@final
@dataclass(frozen=True)
class SmoothInfiniteWidth(Theory):
    """V_{l+1}^{ab} = c E[phi_s(u) phi_s(v)] for (u, v) ~ N(0, V_l), phi_s(x) = s phi(x/s), s = a n^rate.

    c = 1/E[phi_s(g)^2]. Point masses at rho_d, ln(1 - rho_d), ln V_d/V_0 and at whether V has exceeded 1e4 (then
    `exploded` alone is listed). Expectations by the trapezoid rule in two dimensions, 1e-12 relative; where s is below
    sqrt(V)/4 on nodes that gather at phi's turn at 0, which a user's phi should be alone in having.

    Arguments:
        depth: number of hidden layers d.
        width: units n of every layer; enters through s alone.
        activation: name of an activation, or the activation.
        scale, rate: a and p.
        norm0: V_0^aa of both inputs.
        rho0: correlation of the two inputs.

    Raises `InputError` where a value cannot be accepted. Cost: 50 microseconds to 5 ms a layer, cached.
    """

    depth: int
    width: int
    activation: str | SmoothActivation = "tanh"
    scale: float = 1.0
    rate: float = 0.5
    norm0: float = 1.0
    rho0: float = 0.3

    name: ClassVar[str] = "infinite-width"
    title: ClassVar[str] = "infinite width"
    reference: ClassVar[str] = "the limit n -> infinity at fixed depth of arXiv 2206.02768"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "depth much smaller than width; the error is of order sqrt(depth/width)"

    def __post_init__(self) -> None:
        for field in ("depth", "width"):
            object.__setattr__(self, field, count(field, getattr(self, field)))
        activation_of(self.activation)
        for field, lower, upper in (
            ("scale", 1e-3, 1e6),
            ("rate", 0, 10),
            ("norm0", 1e-100, 9999.0),
            ("rho0", -1, 1),
        ):
            object.__setattr__(self, field, number(field, getattr(self, field), lower, upper))

    @property
    def observables(self) -> tuple[str, ...]:
        """All four, `log_gap` where the gap is resolved; `exploded` alone where V has exceeded 1e4."""
        norm, rho = _propagate(self)
        if norm > EXPLODED:
            return ("exploded",)
        gap = ("log_gap",) if 1 - rho > _SMALLEST_GAP else ()
        return ("correlation", *gap, "log_norm", "exploded")

    def _law(self, observable: str) -> Law:
        norm, rho = _propagate(self)
        values = {
            "exploded": lambda: float(norm > EXPLODED),
            "log_norm": lambda: math.log(norm / self.norm0),
            "correlation": lambda: rho,
            "log_gap": lambda: math.log1p(-rho),
        }
        return PointMass(values[observable]())


def _propagate(theory: SmoothInfiniteWidth) -> tuple[float, float]:
    """V_d of either input and rho_d; stops where V exceeds 1e4."""
    activation = activation_of(theory.activation)
    s = theory.scale * float(theory.width) ** theory.rate
    layers = _layers(activation, s, theory.norm0, theory.rho0)
    while len(layers) <= theory.depth and layers[-1][0] <= EXPLODED:
        layers.append(_layer(activation, s, activation.normaliser(s), *layers[-1]))
    return layers[min(theory.depth, len(layers) - 1)]


@lru_cache(maxsize=1024)
def _layers(activation: SmoothActivation, s: float, norm0: float, rho0: float) -> list[tuple[float, float]]:
    """V and rho of the layers met so far, from the inputs on: a deeper network goes on from there."""
    return [(norm0, rho0)]


def _layer(activation: SmoothActivation, s: float, c: float, norm: float, rho: float) -> tuple[float, float]:
    size = math.sqrt(norm)
    sharp = s < _SHARP * size
    if sharp:
        nodes, weights = turning_nodes(s / size)
        weights = _gaussian(nodes, weights)
    else:
        nodes, weights = gaussian_nodes(s, size)

    def shaped(g: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return np.asarray(activation.shaped(torch.from_numpy(size * g), s).numpy())

    # u = g and v = rho g + sqrt(1 - rho^2) xi, both in units of sqrt(V)
    first = shaped(nodes)
    square = float(weights @ first**2)
    across = math.sqrt((1 - rho) * (1 + rho))
    if abs(rho) == 1:
        expected = first if rho == 1 else first[::-1]
    elif sharp:
        # v turns at a xi of its own for each g
        away, inner = turning_nodes(s / size / across, _SIGHT + 10.0)
        xi = np.clip(-rho * nodes / across, -_SIGHT, _SIGHT)[:, None] + away
        expected = (_gaussian(xi, inner) * shaped(rho * nodes[:, None] + across * xi)).sum(axis=1)
    else:
        expected = shaped(rho * nodes[:, None] + across * nodes) @ weights
    product = float((weights * first) @ expected)
    return c * square, float(np.clip(product / square, -1.0, 1.0))


def _gaussian(
    x: Float[np.ndarray, "*rows nodes"], weights: Float[np.ndarray, " nodes"]
) -> Float[np.ndarray, "*rows nodes"]:
    """Weights of a mean over N(0, 1) from those of an integral."""
    weighted = np.exp(-x * x / 2) * weights
    return np.asarray(weighted / weighted.sum(axis=-1, keepdims=True))
