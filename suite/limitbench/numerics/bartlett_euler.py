"""The m-point covariance SDE of shaped ReLU networks, stepped so that every V stays a covariance matrix.

dV^{ab} = nu(rho^{ab}) sqrt(V^{aa} V^{bb}) dt + dM^{ab} with d<M^{ab}, M^{cd}> = (V^{ac} V^{bd} + V^{ad} V^{bc}) dt
(arXiv 2206.02768). The noise alone multiplies a Cholesky factor of V = C C' from the right by random lower triangular
matrices, the small-step form of Bartlett's decomposition of a Wishart matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.shaping import arc_term

#: Paths stepped together, so that a block stays in the processor's cache.
_BLOCK = 8192

#: The flow of a drift: moves factors (lower triangular, paths last) in place over a time.
DriftFlow = Callable[[Float[np.ndarray, "inputs inputs paths"], float], None]


def covariance_paths(
    gram: Float[np.ndarray, "inputs inputs"],
    time: float,
    coefficient: float,
    steps: int,
    paths: int,
    seed: int,
    *,
    flow: DriftFlow | None = None,
) -> Float[np.ndarray, "inputs inputs paths"]:
    """Cholesky factors C (lower triangular, paths last) of V_time, V_0 = `gram`.

    A step of length h is half a step of drift, the noise over h, half a step of drift (Strang). The drift of shaped
    ReLU moves the correlations alone, by Heun's rule; `flow` is another drift in its place, and may set the row of an
    input that has left its domain to NaN, which the other inputs do not feel. The noise is C <- C D U D with
    D = diag exp(sqrt(h/4) xi_i - i h/4) the exact flow of the diagonal over h/2 and U unit lower triangular with
    entries sqrt(h) eta_ij and Levy areas, so that V keeps its mean and stays positive semi-definite. Weak order two;
    the law of V^{11} has no step error where the drift leaves it alone.

    Arguments:
        gram: V_0, positive semi-definite with positive diagonal; singular matrices are ordinary.
        time: final time.
        coefficient: kappa = (c_+ - c_-)^2/(2 pi).
        steps, paths: counts.
        seed: start of the stream.
        flow: the flow of another drift instead.

    Raises `InputError` where a count or the time is not positive. Cost: 0.1 microseconds a step, path and entry.
    """
    for field, value in (("time", time), ("steps", steps), ("paths", paths)):
        if not 0 < value < math.inf:
            raise InputError(field, value, "a positive number")
    rng = np.random.Generator(np.random.SFC64(seed))
    out = np.empty((*gram.shape, paths))
    h = time / steps
    move = partial(_drift, coefficient=coefficient) if flow is None else flow
    for start in range(0, paths, _BLOCK):
        block = out[:, :, start : start + _BLOCK]
        block[...] = cholesky_factors(np.broadcast_to(gram[:, :, None], block.shape))
        move(block, h / 2)
        for step in range(steps):
            _noise(block, h, rng)
            move(block, h if step < steps - 1 else h / 2)
    return out


def _drift(factor: Float[np.ndarray, "inputs inputs paths"], h: float, coefficient: float) -> None:
    """Move every correlation by Heun's rule for rho' = nu(rho) and factor again; diagonals of V stay."""
    if coefficient == 0:
        return
    size = len(factor)
    norms = np.sqrt(np.einsum("ikn,ikn->in", factor, factor))
    factor /= norms[:, None]
    v = np.ones_like(factor)
    for a in range(size):
        for b in range(a):
            rho = np.clip(np.einsum("kn,kn->n", factor[a], factor[b]), -1, 1)
            slope = coefficient * arc_term(np.arccos(rho))
            ahead = np.clip(rho + h * slope, -1, 1)
            v[a, b] = v[b, a] = np.clip(rho + h / 2 * (slope + coefficient * arc_term(np.arccos(ahead))), -1, 1)
    factor[...] = cholesky_factors(v) * norms[:, None]


def _noise(factor: Float[np.ndarray, "inputs inputs paths"], h: float, rng: np.random.Generator) -> None:
    """Multiply from the right by the flow of the noise over h."""
    size, _, paths = factor.shape
    _scale(factor, h / 2, rng)
    increment = {(i, j): math.sqrt(h) * rng.standard_normal(paths) for i in range(1, size) for j in range(i)}
    for j in range(size - 1):
        for i in range(j + 1, size):
            entry = increment[i, j]
            for k in range(j + 1, i):
                # Iterated integral of two independent increments (Talay): same moments to second order.
                entry = entry + (increment[i, k] * increment[k, j] + h * rng.choice((-1.0, 1.0), paths)) / 2
            # Columns from left to right read only columns to their right, which are still those before the step.
            factor[i:, j] += factor[i:, i] * entry
    _scale(factor, h / 2, rng)


def _scale(factor: Float[np.ndarray, "inputs inputs paths"], h: float, rng: np.random.Generator) -> None:
    """Multiply column i by exp(sqrt(h/2) xi - i h/2), i = 1 .. m."""
    size, _, paths = factor.shape
    column = np.arange(1, size + 1)[:, None]
    factor *= np.exp(math.sqrt(h / 2) * rng.standard_normal((size, paths)) - column * (h / 2))


def cholesky_factors(v: Float[np.ndarray, "inputs inputs paths"]) -> Float[np.ndarray, "inputs inputs paths"]:
    """Lower triangular factors of positive semi-definite matrices; a pivot that vanishes leaves a column of zeros."""
    factor = np.zeros(v.shape)
    for j in range(len(v)):
        pivot = v[j, j] - np.einsum("kn,kn->n", factor[j, :j], factor[j, :j])
        factor[j, j] = np.sqrt(np.maximum(pivot, 0))
        scale = np.where(factor[j, j] > 0, factor[j, j], np.inf)
        for i in range(j + 1, len(v)):
            factor[i, j] = (v[i, j] - np.einsum("kn,kn->n", factor[i, :j], factor[j, :j])) / scale
    return factor
