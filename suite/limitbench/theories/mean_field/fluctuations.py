"""Fluctuations of lengths and gradients at width N around the mean-field recurrences, to leading order 1/N, one input.

Given x_{l-1} the pre-activations are N i.i.d. rows N(0, q_l), so that (p_l, m_l) is a Markov chain; the noise of every
layer, forward and backward, is a mean of N independent terms, and it is propagated linearly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from limitbench.theories.mean_field.recurrence import MeanField

Layers = Float[np.ndarray, " layers"]
#: The noise terms of a layer: of p, of m, of ln(chi_{l-1}/chi_l), of chi_b, of <phi(h)^2>.
_P, _M, _G, _B, _V = range(5)


@dataclass(frozen=True)
class Variances:
    """N times the leading variances of logarithms at layers 0 .. depth; NaN where a quantity has no layer 0.

    Attributes:
        log_p, log_q: of ln p_l, and of ln <h_l^2>.
        log_chi: of ln(chi_l/chi_L).
        log_chi_b, log_chi_w, log_chi_v, log_chi_a: of the parameters' mean squared gradients over chi_L.
    """

    log_p: Layers
    log_q: Layers
    log_chi: Layers
    log_chi_b: Layers
    log_chi_w: Layers
    log_chi_v: Layers
    log_chi_a: Layers


def variances(field: MeanField, depth: int, norm0: float = 1.0, *, random_start: bool = True) -> Variances:
    """The leading variances, times N. With V, S = E phi^2, E phi'^2, K = E phi'^4/S^2, c = sv2 sw2 S, all at q_l:

    Forward, full networks: y = v phi(h) + a has rows N(0, Y) given h, Y = sv2 <phi^2> + sa2, so that the noise of
    p_l = p_{l-1} + 2 <x y> + <y^2> has variance (4 p Y + 2 Y^2 + sv2^2 Var phi^2)/N and
    delta p_l = (1 + sv2 sw2 dV/dq) delta p_{l-1} + noise. Reduced: 2 <x phi> + <phi^2>, (4 p Var phi + Var phi^2 +
    4 m Cov(phi, phi^2))/N, jointly with delta m_l = delta m_{l-1} + M' sw2 delta p_{l-1} + noise Var phi/N. Plain:
    Var phi^2/N.

    Backward, chi_{l-1}/chi_l = 1 + c (1 + eta)(1 + zeta) + 2 xi: eta of <phi'^2 (v'g)^2>, variance (3 K - 1)/N
    (reduced and plain: <phi'^2 g^2>, (3 K - 3)/N); zeta of |w' delta|^2, 2/N; xi of the cross term <g, w' delta>, so
    that 2 xi has variance 4 c/N (plain: no 1 and no xi). eta and the forward noise share h. Then

        ln chi_{l-1} - ln chi_L = sum over later layers of ln(1 + c) + (dc/dq sw2/(1 + c)) delta p + noise.

    Infinite for a <= 3/4, where E phi'^4 is. Cost: 20 us a layer.

    Arguments:
        field: the network.
        depth: number of blocks.
        norm0: p_0.
        random_start: x_0 has rows N(0, p_0): variance 2 p_0^2/N of delta p_0, p_0/N of delta m_0; else both are 0.
    """
    t = field.run(depth, norm0=norm0, rho0=1.0)
    kernel, plain, full, means = field.kernel, field.network == "plain", field.network == "full", field.tracks_mean
    sw2, sv2 = field.sigma_w2, field.sigma_v2
    # the ReLU is scale invariant: all lengths of a layer over p_{l-1}, which may exceed the range of floats
    unit = t.log_p[:-1] if kernel.exponent == 1.0 else np.zeros(depth)
    before, after, q = (np.exp(v - unit) for v in (t.log_p[:-1], t.log_p[1:], t.log_q[1:]))
    m = (t.mean_share[:-1] if means else 0.0) * np.sqrt(before)
    squares, slopes = kernel.square(q), kernel.slope_square(q)
    mean = kernel.mean(q) if means else np.zeros(depth)
    mean_slope = mean * (kernel.exponent or 0.0) / (2.0 * q)
    var_square = kernel.moment(4, 0, q) - squares**2
    with_slope = (kernel.moment(2, 2, q) - squares * slopes) / slopes
    kurtosis = kernel.moment(0, 4, q) / slopes**2
    heavy = not np.isfinite(kurtosis).all()
    if heavy:
        kurtosis = np.ones(depth)

    noise = np.zeros((depth, 5, 5))
    c = sv2 * sw2 * slopes
    share = np.ones(depth) if plain else c / (1.0 + c)  # of the branch in chi_{l-1}
    eta = 3.0 * kurtosis - (1.0 if full else 3.0)
    noise[:, _B, _B], noise[:, _G, _B] = eta, share * eta
    noise[:, _G, _G] = share**2 * (eta + 2.0) + (0.0 if plain else 4.0 * share / (1.0 + c))
    noise[:, _V, _V], noise[:, _V, _B] = var_square / squares**2, with_slope / squares
    noise[:, _P, _P] = sv2**2 * var_square
    noise[:, _P, _V], noise[:, _P, _B] = sv2 * var_square / squares, sv2 * with_slope
    if full:
        own = sv2 * squares + field.sigma_a2 * np.exp(-unit)
        noise[:, _P, _P] += 4.0 * before * own + 2.0 * own**2
    elif not plain:
        noise[:, _P, _P] += 4.0 * before * (squares - mean**2)
    if means:
        var, with_square = squares - mean**2, kernel.moment(3, 0, q) - mean * squares
        mean_with_slope = (kernel.moment(1, 2, q) - mean * slopes) / slopes
        noise[:, _P, _P] += 4.0 * m * with_square
        noise[:, _M, _M], noise[:, _P, _M] = var, 2.0 * m * var + with_square
        noise[:, _P, _B] += 2.0 * m * mean_with_slope
        noise[:, _P, _V] += 2.0 * m * with_square / squares
        noise[:, _M, _B], noise[:, _M, _V] = mean_with_slope, with_square / squares
    noise[:, _P, _G], noise[:, _M, _G] = share * noise[:, _P, _B], share * noise[:, _M, _B]
    noise[:, _G, _V] = share * noise[:, _V, _B]
    noise += np.triu(noise, 1).transpose(0, 2, 1) + np.tril(noise, -1).transpose(0, 2, 1)

    # relative state (delta p/p, delta m/sqrt p) at layers l-1 and l
    shrink = np.stack([1.0 / after, after**-0.5], axis=1)
    grow = np.stack([before, np.sqrt(before)], axis=1)
    step = np.zeros((depth, 2, 2))
    step[:, 0, 0] = (0.0 if plain else 1.0) + sv2 * sw2 * kernel.square_slope(q) + 2.0 * m * mean_slope * sw2
    step[:, 0, 1], step[:, 1, 0], step[:, 1, 1] = 2.0 * mean, sw2 * mean_slope, 0.0 if plain else 1.0
    step *= shrink[:, :, None] * grow[:, None, :]
    noise[:, :2] *= shrink[:, :, None]
    noise[:, :, :2] *= shrink[:, None, :]

    by_p = sw2 * before  # d q/d(ln p)
    rate = kernel.slope_square_slope(q) / slopes * by_p  # of ln S
    found = _propagate(
        step,
        noise,
        start=np.array([2.0, 1.0 if means else 0.0]) * random_start,
        gradient=share * rate,
        slope=rate,
        square=kernel.square_slope(q) / squares * by_p,
        preactivation=by_p / q,
    )
    return _with_infinite_gradients(found) if heavy else found


def _propagate(
    step: Float[np.ndarray, "layers 2 2"],
    noise: Float[np.ndarray, "layers 5 5"],
    *,
    start: Float[np.ndarray, " 2"],
    gradient: Layers,
    slope: Layers,
    square: Layers,
    preactivation: Layers,
) -> Variances:
    """Forward: covariances of the state; backward: ln(chi_l/chi_L) = b . state_l + independent noise."""
    depth = len(step)
    state = np.zeros((depth + 1, 2, 2))
    state[0] = np.diag(start)
    for layer in range(depth):
        state[layer + 1] = step[layer] @ state[layer] @ step[layer].T + noise[layer, :2, :2]
    log_chi = np.zeros(depth + 1)
    parameters = np.full((4, depth + 1), np.nan)
    b, rest = np.zeros(2), 0.0
    for layer in range(depth, 0, -1):
        here, k = state[layer - 1], layer - 1
        carried = b @ step[k]
        loads = np.zeros((5, 5))  # noise loads of chi_{l-1}, chi_b, chi_w, chi_v, chi_a over chi_L
        loads[:, :2] = b
        loads[0, _G] = loads[1, _B] = loads[2, _B] = loads[3, _V] = 1.0
        linear = np.tile(carried, (5, 1))
        linear[:, 0] += (gradient[k], slope[k], slope[k] + 1.0, square[k], 0.0)
        own = np.einsum("ij,jk,ik->i", loads, noise[k], loads)
        total = own + rest + np.einsum("ij,jk,ik->i", linear, here, linear)
        log_chi[layer - 1], parameters[:, layer] = total[0], total[1:]
        b, rest = linear[0], rest + float(own[0])
    nothing = np.array([np.nan])
    log_q = np.concatenate([nothing, preactivation**2 * state[:-1, 0, 0] + 2.0])
    return Variances(state[:, 0, 0], log_q, log_chi, *parameters)


def _with_infinite_gradients(found: Variances) -> Variances:
    """Every gradient that passed a block varies without bound; v and a of the last block meet none."""
    infinite = np.full_like(found.log_chi, np.inf)
    names = ("log_chi_b", "log_chi_w", "log_chi_v", "log_chi_a")
    values = {name: np.where(np.isnan(getattr(found, name)), np.nan, infinite) for name in names}
    for name in ("log_chi_v", "log_chi_a"):
        values[name][-1] = getattr(found, name)[-1]
    values["log_chi"] = np.append(infinite[:-1], 0.0)
    return replace(found, **values)
