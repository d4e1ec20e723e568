"""Paths of a diffusion with unit noise, dZ = m(Z) dt + dB, at two step lengths on the same noise.

The simulation that solved laws are checked with: it shares nothing with the forward equation but the drift.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.random import generator

#: Paths stepped together, so that a block stays in the processor's cache.
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class CoupledPaths:
    """Ends of the same Brownian paths stepped twice.

    Attributes:
        coarse: ends at step length h.
        fine: ends at h/2.
    """

    coarse: Float[np.ndarray, " paths"]
    fine: Float[np.ndarray, " paths"]

    def expectation(
        self, function: Callable[[Float[np.ndarray, " paths"]], Float[np.ndarray, " paths"]]
    ) -> tuple[float, float]:
        """E f(Z) and its standard error, by Richardson extrapolation (4 f(fine) - f(coarse))/3 of every path."""
        values = (4 * function(self.fine) - function(self.coarse)) / 3
        return float(values.mean()), float(values.std() / math.sqrt(values.size))


def coupled_paths(
    drift: Callable[[Float[torch.Tensor, " block"]], Float[torch.Tensor, " block"]],
    start: float,
    time: float,
    *,
    steps: int,
    paths: int,
    seed: int,
) -> CoupledPaths:
    """`paths` ends of Z at `time`, Z_0 = start, with `steps` and with 2 `steps` steps.

    Heun's rule, Z' = Z + h (m(Z) + m(Z + h m(Z) + dB))/2 + dB: weak order two for additive noise, so that the
    extrapolated expectation of a smooth function has step error O(h^3).

    Arguments:
        drift: m on float64 tensors.
        start, time: starting point and final time.
        steps: steps of the coarse path.
        paths: number of paths.
        seed: start of the stream.

    Raises `InputError` where the time or a count is not positive. Cost: three steps' drifts, six calls of m, for every
    coarse step and path.
    """
    for field, value in (("time", time), ("steps", steps), ("paths", paths)):
        if not 0 < value < math.inf:
            raise InputError(field, value, "a positive number")
    rng = generator(seed)
    half = time / steps / 2

    def heun(
        z: Float[torch.Tensor, " block"], h: float, noise: Float[torch.Tensor, " block"]
    ) -> Float[torch.Tensor, " block"]:
        m = drift(z)
        return z + h / 2 * (m + drift(z + h * m + noise)) + noise

    ends: list[Float[torch.Tensor, "two block"]] = []
    for first in range(0, paths, _BLOCK):
        block = min(_BLOCK, paths - first)
        coarse = fine = torch.full((block,), float(start), dtype=torch.float64)
        for _ in range(steps):
            one, two = math.sqrt(half) * torch.randn(2, block, generator=rng, dtype=torch.float64)
            fine = heun(heun(fine, half, one), half, two)
            coarse = heun(coarse, 2 * half, one + two)
        ends.append(torch.stack([coarse, fine]))
    joined = torch.cat(ends, dim=1).numpy()
    return CoupledPaths(joined[0], joined[1])
