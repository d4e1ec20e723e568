"""The Kolmogorov forward equation of a diffusion with unit noise, dZ = m(Z) dt + dB, solved for the cdf.

F(t, z) = P(Z_t <= z) obeys F_t = F_zz/2 - m F_z and starts from a step: no delta function, and 0 <= F <= 1 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.linalg.lapack import dgtsv

from limitbench.errors import InputError

Drift = Callable[[Float[np.ndarray, " nodes"]], Float[np.ndarray, " nodes"]]

#: The first steps are pairs of implicit Euler half steps (Rannacher). They must damp the step's content at the mesh
#: scale, which Crank-Nicolson never does; first time steps as short as here need six of them, not the usual two.
_IMPLICIT_STEPS = 6
#: Nodes are this much denser at the start than far from it, within this many sqrt(time).
_REFINEMENT, _REFINED_WIDTH = 3.0, 0.5


@dataclass(frozen=True, eq=False)
class ForwardCdf:
    """Cdf of Z at the final time.

    Attributes:
        z: nodes, increasing; the first has F = 0 and the last F = 1 by construction (if `outflow`, the last has the
            probability that Z has not left).
        cdf: F at the nodes.
        error: largest change of F when the mesh was last halved in space and time.
    """

    z: Float[np.ndarray, " nodes"]
    cdf: Float[np.ndarray, " nodes"]
    error: float

    def expectation(
        self, function: Callable[[Float[np.ndarray, " nodes"]], Float[np.ndarray, " nodes"]], slope: Drift
    ) -> float:
        """E g(Z) = g(z_max) - int F g' dz for a smooth bounded g with derivative `slope`."""
        product = CubicSpline(self.z, self.cdf * slope(self.z))
        return float(function(self.z[-1:])[0] - product.integrate(self.z[0], self.z[-1]))


def solve_forward(
    drift: Drift,
    start: float,
    time: float,
    lower: float,
    upper: float,
    *,
    initial: Drift | None = None,
    outflow: bool = False,
    nodes: int = 800,
    steps: int = 150,
) -> ForwardCdf:
    """The cdf of Z_time for dZ = m(Z) dt + dB, from a point or from a law around it.

    Central differences on a mesh refined around the start, Crank-Nicolson on a time mesh graded as (i/N)^2 after a
    Rannacher start, and Richardson extrapolation in both meshes together. Three meshes are solved, `nodes` x `steps`,
    halved and doubled, so that `error` is a measured one. Order 4 after extrapolation: 1e-7 with the defaults for a
    drift that changes on the scale of 1 or sqrt(time).

    Arguments:
        drift: m, vectorised, evaluated inside (lower, upper).
        start: starting point, strictly inside; the mesh is refined there.
        time: final time.
        initial: cdf of Z_0, vectorised; a step at `start` if left out.
        lower, upper: Z leaves this interval with negligible probability; F is 0 and 1 at its ends.
        outflow: Z is absorbed at `upper`: F is the cdf of what has not left, flat at `upper`. Of first order there,
            with an error like 1/m: meant for strong drifts out.
        nodes: about as many intervals in space on the middle mesh, even.
        steps: time steps on the middle mesh, even.

    Raises `InputError` where the start is not inside the interval, the time is not positive or a count not even.
    Cost: about 40 ms with the defaults, proportional to nodes x steps.
    """
    if not lower < start < upper or not math.isfinite(upper - lower):
        raise InputError("start", start, f"a number between {lower} and {upper}")
    if not 0 < time < math.inf:
        raise InputError("time", time, "a positive number")
    for field, count in (("nodes", nodes), ("steps", steps)):
        if count < 32 or count % 2:
            raise InputError(field, count, "an even number of at least 32")
    meshes = [_mesh(start, time, lower, upper, nodes // 2, refine) for refine in (1, 2, 4)]
    coarse, middle, fine = (
        _march(drift, z, _step(z, at) if initial is None else initial(z), time, steps // 2 * refine, outflow)
        for (z, at), refine in zip(meshes, (1, 2, 4), strict=True)
    )
    first = (4 * middle[::2] - coarse) / 3
    second = (4 * fine[::2] - middle) / 3
    # The correction is smooth, so the fine nodes between the middle ones can have it too.
    z, z_middle = meshes[2][0], meshes[1][0]
    cdf = fine + CubicSpline(z_middle, second - fine[::2])(z)
    return ForwardCdf(z, np.clip(cdf, 0, 1), float(np.abs(second[::2] - first).max()))


def _mesh(
    start: float, time: float, lower: float, upper: float, nodes: int, refine: int
) -> tuple[Float[np.ndarray, " nodes"], int]:
    """Nodes z(xi) at equidistant xi, a smooth map with z(0) = start, and the index of the start.

    xi = (z - start) + r w arctan((z - start)/w). Halving nests: smoothness of the map keeps the error expansion in
    even powers that Richardson extrapolation needs.
    """
    width = _REFINED_WIDTH * math.sqrt(time)
    low, high = _stretched(np.array([lower - start, upper - start]), width)
    step = (high - low) / nodes
    before, after = math.ceil(-low / step) * refine, math.ceil(high / step) * refine
    target = np.arange(-before, after + 1) * (step / refine)
    guess = np.linspace(lower - start - 4 * step, upper - start + 4 * step, 16 * nodes)
    y = np.interp(target, _stretched(guess, width), guess)
    for _ in range(4):  # Newton from an interpolated guess: quadratic, to rounding
        y -= (_stretched(y, width) - target) / (1 + _REFINEMENT / (1 + (y / width) ** 2))
    y[before] = 0.0
    return start + y, before


def _stretched(y: Float[np.ndarray, " nodes"], width: float) -> Float[np.ndarray, " nodes"]:
    """xi of the distances `y` to the start, w = `width`."""
    return y + _REFINEMENT * width * np.arctan(y / width)


def _step(z: Float[np.ndarray, " nodes"], at: int) -> Float[np.ndarray, " nodes"]:
    """The cdf of a point mass at node `at`; there its average over the node's cell, for second order."""
    return np.where(np.arange(z.size) == at, 0.5, np.arange(z.size) > at)


def _march(
    drift: Drift,
    z: Float[np.ndarray, " nodes"],
    f: Float[np.ndarray, " nodes"],
    time: float,
    steps: int,
    outflow: bool,
) -> Float[np.ndarray, " nodes"]:
    """The cdf at the nodes at the final time, second order in both meshes."""
    below, above = np.diff(z)[:-1], np.diff(z)[1:]
    m = drift(z[1:-1])
    # L F = F_zz/2 - m F_z by central differences on three unequally spaced nodes
    lower = (1 + m * above) / (below * (below + above))
    upper = (1 - m * below) / (above * (below + above))
    diagonal = -(lower + upper)
    inflow = 0.0 if outflow else float(upper[-1])  # from F = 1 at the last node
    if outflow:
        diagonal[-1] += upper[-1]  # the last node has the value of its neighbour

    f = f[1:-1].copy()
    mesh = time * (np.arange(steps + 1) / steps) ** 2
    for i, h in enumerate(np.diff(mesh) / 2):
        rannacher = i < _IMPLICIT_STEPS
        if not rannacher:
            explicit = diagonal * f
            explicit[1:] += lower[1:] * f[:-1]
            explicit[:-1] += upper[:-1] * f[1:]
            explicit[-1] += inflow
            f = f + h * explicit
        for _ in range(2 if rannacher else 1):
            f[-1] += h * inflow
            *_, f, info = dgtsv(-h * lower[1:], 1 - h * diagonal, -h * upper[:-1], f)
            if info:
                raise ArithmeticError(f"the implicit step of length {h:g} is singular")
    return np.concatenate([[0.0], f, f[-1:] if outflow else [1.0]])
