"""The correlation SDE of shaped ReLU networks in the coordinate z = atanh(rho), where its noise is one.

d rho = [kappa j(theta) - rho (1 - rho^2)/2] dt + (1 - rho^2) dB with kappa = (c_+ - c_-)^2/(2 pi), rho = cos theta and
j(theta) = sin theta - theta cos theta becomes dz = m(z) dt + dB (arXiv 2206.02768).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from limitbench.errors import InputError
from limitbench.numerics.kolmogorov import Drift, ForwardCdf, solve_forward
from limitbench.numerics.shaping import arc_term

#: Probability e^-32 of what is cut off.
_UPHILL, _SIGMAS = 16.0, 8.0
#: Starts closer to -1 than nu carries them in this fraction of the time, or than this gap, enter by `_entrance`.
_ENTRANCE_TIME, _ENTRANCE_GAP = 1 / 20, 0.05


def drift(z: Float[np.ndarray, "*shape"], coefficient: float) -> Float[np.ndarray, "*shape"]:
    """m(z) = kappa j(theta)/sin(theta)^2 + tanh(z)/2, kappa = `coefficient`; tan(theta/2) = e^-z."""
    theta = 2 * np.arctan(np.exp(-z))
    return np.asarray(coefficient * arc_term(theta) * np.cosh(z) ** 2 + np.tanh(z) / 2)


def drift_integral(z: Float[np.ndarray, "*shape"], coefficient: float) -> Float[np.ndarray, "*shape"]:
    """A(z) with A' = m: kappa (cot theta - theta/sin(theta)^2)/2 + ln cosh(z)/2."""
    theta = 2 * np.arctan(np.exp(-z))
    slowly = np.sinh(z) - theta * np.cosh(z) ** 2
    return np.asarray(coefficient * slowly / 2 + np.log(np.cosh(z)) / 2)


def forward_cdf(time: float, coefficient: float, rho0: float, *, nodes: int = 1000) -> ForwardCdf:
    """The cdf of z = atanh(rho) at `time`, from the point rho0 in [-1, 1); rho0 = -1 needs a positive coefficient.

    Arguments:
        time: final time t = sum_l 1/n_l.
        coefficient: kappa = (c_+ - c_-)^2/(2 pi), times the drift factor if there is one.
        rho0: correlation at time 0.
        nodes: of the middle one of three meshes (`solve_forward`); more are taken on long intervals.

    Cost: about 5 ms. Raises `InputError` where time is not positive.
    """
    if not 0 < time < math.inf:
        raise InputError("time", time, "a positive number")
    initial: Drift | None = None
    margin = 0.0
    pull = coefficient * math.pi  # nu(-1)
    spent = min(_ENTRANCE_TIME * time, _ENTRANCE_GAP / pull) if pull else 0.0
    if 1 + rho0 < pull * spent:
        away, spread_rho = _entrance(coefficient, 1 + rho0, spent)
        time -= spent
        start = math.log(away / (2 - away)) / 2
        margin = _SIGMAS * spread_rho / away

        def initial(z: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, " nodes"]:
            return np.asarray(ndtr((2 / (1 + np.exp(-2 * z)) - away) / spread_rho))
    else:
        start = math.atanh(rho0)
    spread = _SIGMAS * math.sqrt(time)
    # m >= -1/2 everywhere, and the part of m that comes from nu decreases in z: bound it beyond `edge`.
    edge = max(start, math.log1p(coefficient * time))
    shaping = float(drift(np.array(edge), coefficient)) - math.tanh(edge) / 2
    lower, upper = min(start, 0.0) - time / 2 - spread, edge + (shaping + 0.5) * time + spread
    # Left of the wall that nu builds at rho = -1 the drift is huge and nothing arrives: cut where A has fallen by 16.
    path = np.linspace(start, lower, 4000)
    height = drift_integral(path, coefficient)
    beyond = np.flatnonzero(np.maximum.accumulate(height) - height > _UPHILL)
    lower = max(lower, float(path[beyond[0]]) - margin) if beyond.size else lower
    nodes = max(nodes, 2 * math.ceil(10 * (upper - lower)))
    return solve_forward(lambda z: drift(z, coefficient), start, time, lower, upper, initial=initial, nodes=nodes)


def _entrance(coefficient: float, away: float, time: float) -> tuple[float, float]:
    """Mean and standard deviation of 1 + rho after a short `time` near rho = -1, where the noise vanishes.

    rho is carried by its drift b, about nu(-1) = kappa pi, so its variance is int 4 (1 + rho)^2 ds to leading order.
    That noise matters little: it is of relative order (time/final time)^3 in the final variance.
    """

    def b(y: float) -> float:
        rho = y - 1
        return coefficient * float(arc_term(math.pi - 2 * math.asin(math.sqrt(y / 2)))) - rho * y * (2 - y) / 2

    k1 = b(away)
    k2 = b(away + time / 2 * k1)
    k3 = b(away + time / 2 * k2)
    k4 = b(away + time * k3)
    after = away + time / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return after, math.sqrt(4 / 3 * (after**3 - away**3) * time / (after - away))
