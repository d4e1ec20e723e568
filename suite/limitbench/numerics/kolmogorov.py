"""The Kolmogorov forward equation of a diffusion with unit noise, dZ = m(Z) dt + dB, solved for the cdf.

F(t, z) = P(Z_t <= z) obeys F_t = F_zz/2 - m F_z and starts from a step: no delta function, and 0 <= F <= 1 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy.interpolate import CubicSpline
from scipy.linalg.lapack import dgtsv, zgttrf, zgttrs

from limitbench.errors import InputError

Drift = Callable[[Float[np.ndarray, " nodes"]], Float[np.ndarray, " nodes"]]

#: exp(hL) by the Pade approximant of degrees 3 over 4, of order 7; higher ones have residues that magnify rounding.
_DEGREE = 4
#: Time steps at first and at most; doubled until the cdf on the coarse mesh moves by less than this.
_STEPS, _MOST_STEPS, _SETTLED = 8, 512, 1e-9
#: Nodes are this much denser at the start than far from it, within this many sqrt(time).
_REFINEMENT, _REFINED_WIDTH = 3.0, 0.5


@dataclass(frozen=True, eq=False)
class ForwardCdf:
    """Cdf of Z at the final time.

    Attributes:
        z: nodes, increasing; the first has F = 0 and the last F = 1 by construction (if `outflow`, the last has the
            probability that Z has not left).
        cdf: F at the nodes.
        error: largest change of F when the mesh was last halved in space, and the time steps on the coarse one.
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
) -> ForwardCdf:
    """The cdf of Z_time for dZ = m(Z) dt + dB, from a point or from a law around it.

    Central differences on a mesh refined around the start, with Richardson extrapolation: three meshes are solved,
    `nodes`, half and twice as many intervals, so that `error` is a measured one. Order 4 after extrapolation: 1e-7 with
    the default for a drift that changes on the scale of 1 or sqrt(time). In time a few equal steps of an L-stable
    rational approximation of the exponential, of order 7 also from a step; their number is doubled until it no longer
    matters, so that the error of space is what remains.

    Arguments:
        drift: m, vectorised, evaluated inside (lower, upper).
        start: starting point, strictly inside; the mesh is refined there.
        time: final time.
        initial: cdf of Z_0, vectorised; a step at `start` if left out.
        lower, upper: Z leaves this interval with negligible probability; F is 0 and 1 at its ends.
        outflow: Z is absorbed at `upper`: F is the cdf of what has not left, flat at `upper`. Of first order there,
            with an error like 1/m: meant for strong drifts out.
        nodes: about as many intervals in space on the middle mesh, even.

    Raises `InputError` where the start is not inside the interval, the time is not positive or the count not even.
    Cost: about 5 ms with the defaults, proportional to nodes.
    """
    if not lower < start < upper or not math.isfinite(upper - lower):
        raise InputError("start", start, f"a number between {lower} and {upper}")
    if not 0 < time < math.inf:
        raise InputError("time", time, "a positive number")
    if nodes < 32 or nodes % 2:
        raise InputError("nodes", nodes, "an even number of at least 32")
    z, at = _mesh(start, time, lower, upper, nodes // 2, 4)
    flows = [_Flow.build(drift, z[::stride], outflow) for stride in (4, 2, 1)]
    law = [_step(z[::k], at // k) if initial is None else initial(z[::k]) for k in (4, 2, 1)]
    steps, coarse = _STEPS, flows[0].after(law[0], time, _STEPS)
    moved = math.inf
    while moved > _SETTLED and steps < _MOST_STEPS:
        steps, before = 2 * steps, coarse
        coarse = flows[0].after(law[0], time, steps)
        moved = float(np.abs(coarse - before).max())
    # what doubling moved is the error of half as many steps; of these it is 2^-7 of that
    steps = steps // 2 if moved <= _SETTLED else steps
    middle, fine = (flow.after(f, time, steps) for flow, f in zip(flows[1:], law[1:], strict=True))
    first = (4 * middle[::2] - coarse) / 3
    second = (4 * fine[::2] - middle) / 3
    # The correction is smooth, so the fine nodes between the middle ones can have it too.
    cdf = fine + CubicSpline(z[::2], second - fine[::2])(z)
    return ForwardCdf(z, np.clip(cdf, 0, 1), float(np.abs(second[::2] - first).max()) + moved)


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


@dataclass(frozen=True, eq=False)
class _Flow:
    """F_t = L F with L F = F_zz/2 - m F_z on a mesh, as three diagonals at the inner nodes.

    Attributes:
        lower, diagonal, upper: of L.
        steady: the solution at rest with the boundary values; what is left of F has none.
        outflow: whether the last node has the value of its neighbour.
    """

    lower: Float[np.ndarray, " below"]
    diagonal: Float[np.ndarray, " inner"]
    upper: Float[np.ndarray, " below"]
    steady: Float[np.ndarray, " inner"]
    outflow: bool

    @classmethod
    def build(cls, drift: Drift, z: Float[np.ndarray, " nodes"], outflow: bool) -> _Flow:
        """By central differences on three unequally spaced nodes."""
        below, above = np.diff(z)[:-1], np.diff(z)[1:]
        m = drift(z[1:-1])
        lower = (1 + m * above) / (below * (below + above))
        upper = (1 - m * below) / (above * (below + above))
        diagonal = -(lower + upper)
        steady = np.zeros_like(diagonal)
        if outflow:
            diagonal[-1] += upper[-1]
        else:  # inflow from F = 1 at the last node
            steady[-1] = -upper[-1]
            *_, steady, info = dgtsv(lower[1:], diagonal, upper[:-1], steady)
            if info:
                raise ArithmeticError("the generator is singular")
        return cls(lower[1:], diagonal, upper[:-1], steady, outflow)

    def after(self, f: Float[np.ndarray, " nodes"], time: float, steps: int) -> Float[np.ndarray, " nodes"]:
        """F at `time` from F = `f`: exp(hL) = 2 Re sum_j c_j (hL - z_j)^-1, each factorised once for all steps."""
        h = time / steps
        factors = []
        for pole in _POLES:
            *factor, info = zgttrf((h * self.lower).astype(complex), h * self.diagonal - pole, h * self.upper + 0j)
            if info:
                raise ArithmeticError(f"the implicit step of length {h:g} is singular")
            factors.append(factor)
        rest = f[1:-1] - self.steady
        for _ in range(steps):
            stages = [(r * zgttrs(*factor, rest + 0j)[0]).real for r, factor in zip(_RESIDUES, factors, strict=True)]
            rest = sum(stages[1:], stages[0])
        inner = rest + self.steady
        return np.concatenate([[0.0], inner, inner[-1:] if self.outflow else [1.0]])


def _pade(degree: int) -> tuple[Complex[np.ndarray, " poles"], Complex[np.ndarray, " poles"]]:
    """Poles in the upper half plane and twice their residues; degrees degree - 1 over degree, which is even."""
    total = 2 * degree - 1
    above, below = (
        [
            sign**j * np.longdouble(math.comb(k, j) * math.factorial(total - j)) / math.factorial(total)
            for j in range(k + 1)
        ]
        for k, sign in ((degree - 1, 1), (degree, -1))
    )
    poles = np.roots([float(c) for c in below[::-1]]).astype(np.clongdouble)
    poles = poles[poles.imag > 0]
    # the residues are large and alternate: what is lost of the poles would be noise in the tails
    numerator, denominator = (np.array(c[::-1], dtype=np.longdouble) for c in (above, below))
    for _ in range(3):
        poles = poles - np.polyval(denominator, poles) / np.polyval(np.polyder(denominator), poles)
    residues = 2 * np.polyval(numerator, poles) / np.polyval(np.polyder(denominator), poles)
    return poles.astype(complex), residues.astype(complex)


_POLES, _RESIDUES = _pade(_DEGREE)
