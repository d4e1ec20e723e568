"""The squared norm of a smooth shaped network, dV = beta V (V - 1) dt + sqrt2 V dB (arXiv 2206.02768).

In z = ln V/sqrt2 the noise is one. 1/V is linear, d(1/V) = ((2 + beta)/V - beta) dt - sqrt2/V dB, which gives the
explosion probability, the stationary law and the rates of relaxation below in closed form.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.kolmogorov import ForwardCdf, solve_forward

#: V has exploded where it exceeds this.
EXPLODED = 1e4
#: Z stays within this many standard deviations of its drift; e^-60 of a stationary law lies above 60/|beta|.
_SIGMAS, _TAIL = 8.0, 60.0
_SQRT2 = math.sqrt(2.0)


def norm_cdf(time: float, beta: float, norm0: float, *, nodes: int = 0) -> ForwardCdf:
    """P(ln V_time/sqrt2 <= z, not exploded), V_0 = `norm0`; the last node has the probability of no explosion.

    Exploded means that V has exceeded 1e4, possible for beta > 0 only: there the forward equation absorbs. `nodes` are
    those of `solve_forward`; 0 stands for 50 nodes a unit of z, at least 1200: an error of 1e-6 up to time 4, measured
    by `ForwardCdf.error`. Cost: 5 ms.

    Raises `InputError` where the time is not positive or norm0 not between 0 and 1e4.
    """
    if not 0 < norm0 < EXPLODED:
        raise InputError("norm0", norm0, f"a number between 0 and {EXPLODED:g}")
    if not 0 < time < math.inf:
        raise InputError("time", time, "a positive number")
    start, reach = math.log(norm0) / _SQRT2, _SIGMAS * math.sqrt(time)
    # the drift of z is at least -(1 + beta)/sqrt2 for beta > 0 and, below V = 1, at least -1/sqrt2 for beta < 0
    lower = min(start, 0.0 if beta < 0 else start) - reach - time * max(1.0 + beta if beta > 0 else 1.0, 0.0) / _SQRT2
    upper = math.log(EXPLODED) / _SQRT2
    if beta <= 0:
        upper = max(start, 0.0) + reach
    if beta < 0:
        upper = min(upper, math.log(norm0 + _TAIL / -beta) / _SQRT2)

    def drift(z: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, " nodes"]:
        return np.asarray((beta * np.expm1(_SQRT2 * z) - 1.0) / _SQRT2)

    nodes = nodes or 2 * math.ceil(max(600, 25 * (upper - lower)))
    return solve_forward(drift, start, time, lower, upper, outflow=beta > 0, nodes=nodes)


def relaxation_rate(beta: float) -> float:
    """Rate at which V forgets its start: the spectral gap where V is ergodic or has to decide, 0 where it only decays.

    beta < -1: |beta| - 2 below -3 (a discrete level), else (|beta| - 1)^2/4 (edge of the continuum);
    beta > 0: (1 + beta)^2/4, the rate at which paths that may still explode run out; 0 otherwise.
    """
    if beta > 0:
        return (1.0 + beta) ** 2 / 4.0
    if beta >= -1:
        return 0.0
    return -beta - 2.0 if beta < -3 else (beta + 1.0) ** 2 / 4.0
