"""How far gradients of reduced networks whose phi is not odd exceed the recurrence, to order 1/N.

Given h = w x + b the rows of w have mean sw2 h_j x/(N q), so that every block adds a multiple of x to the gradient:
g_l = A 1 + B x_l + nu with nu isotropic. A, B and the projections of nu on 1 and x_l are linear in those of layer l+1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from limitbench.theories.mean_field.recurrence import MeanField

#: Beyond this the excess is infinite.
_LARGEST = 1e200


def gradient_excess(field: MeanField, depth: int, norm0: float = 1.0) -> float:
    """N (E chi_0/chi_L over the recurrence - 1) for N to infinity; 0 unless `tracks_mean`.

    With psi = h phi' = alpha phi, w = sw2/q, <.> the mean over units, M = E phi and a step from layer l to l-1:

        A' = A + B M,    B' = B + w <psi g>,    nu' = nu + B (phi - M) + noise,

    noise of covariance sw2 <phi'^2 g^2> (1 - w x x'/N). Here <psi nu>, <phi nu>, <phi'^2 nu> and <phi'^2 x_l nu> are
    Gaussian given <nu> and <x_l nu>. Second moments of (A, B, <nu>, <x_l nu>), of order 1/N, are carried from L to 0,
    over the recurrence of chi and in units of p_l. B grows with the mean of x, which is why the excess is about an
    exponential of depth. Infinite beyond 1e200. Cost: 80 us a layer. Derived for the reduced networks of arXiv
    1712.08969.
    """
    if not field.tracks_mean:
        return 0.0
    t, kernel = field.run(depth, norm0=norm0, rho0=1.0), field.kernel
    alpha, sw2 = float(kernel.exponent or 0.0), field.sigma_w2
    unit = t.log_p[:-1] if alpha == 1.0 else np.zeros(depth)  # only the ReLU exceeds the range of floats
    p, q = np.exp(t.log_p[:-1] - unit), np.exp(t.log_q[1:] - unit)
    means, squares, slopes = kernel.mean(q) / np.sqrt(p), kernel.square(q) / p, kernel.slope_square(q)
    thirds, fourths, weights = kernel.moment(1, 2, q) / np.sqrt(p), kernel.moment(2, 2, q) / p, sw2 * p / q
    shares, growth, gains = t.mean_share, np.exp(np.diff(t.log_p)), 1.0 + sw2 * slopes
    moments, length = np.zeros((4, 4)), 0.0
    moments[2:, 2:] = [[1.0, shares[-1]], [shares[-1], 1.0]]
    for layer in reversed(range(depth)):
        m, mean, square, slope, w = (float(v[layer]) for v in (shares, means, squares, slopes, weights))
        third, fourth, root = float(thirds[layer]), float(fourths[layer]), math.sqrt(growth[layer])
        units = np.array([1.0, 1.0 / root, 1.0, root])  # from those of p_l to those of p_{l-1}
        moments = moments * np.outer(units, units)
        mixed = slope * m + third
        on_both = np.array(  # of phi, psi, phi'^2, phi'^2 x_l on 1 and x_l
            [
                [mean, mean * m + square],
                [alpha * mean, alpha * (mean * m + square)],
                [slope, mixed],
                [mixed, slope + 2.0 * m * third + fourth],
            ]
        )
        on_x = np.array([[1.0, m + mean], [m + mean, growth[layer]]])
        slopes_of = on_both @ np.linalg.inv(on_x)
        drawn = square * np.array([[1.0, alpha], [alpha, alpha**2]]) - slopes_of[:2] @ on_both[:2].T
        direction, along, of_noise = moments[0, 0], moments[1, 1], moments[:2, 2:]
        length *= gains[layer]
        length += sw2 * (direction * slope + 2.0 * moments[0, 1] * mixed + along * on_both[3, 1])
        length += 2.0 * sw2 * float((of_noise * slopes_of[2:]).sum()) - sw2 * slope * w
        length += along * (square - mean**2) + 2.0 * float(of_noise[1] @ slopes_of[0] - mean * of_noise[1, 0])
        step = np.array(
            [
                [1.0, mean, 0.0, 0.0],
                [w * alpha * mean, 1.0 + w * alpha * (mean * m + square), *(w * slopes_of[1])],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, -slopes_of[0, 0], 1.0 - slopes_of[0, 1]],
            ]
        )
        noise = np.array([[0.0, 0.0], [0.0, w], [0.0, 0.0], [-1.0, 0.0]])
        moments = step @ moments @ step.T + noise @ drawn @ noise.T
        moments[2:, 2:] += sw2 * slope * np.array([[1.0 - w * m**2, m * (1.0 - w)], [m * (1.0 - w), 1.0 - w]])
        moments, length = moments / gains[layer], length / gains[layer]
        if not moments.max() < _LARGEST:
            return math.inf
    m = float(shares[0])
    aligned = moments[0, 0] + 2.0 * moments[0, 1] * m + moments[1, 1] + 2.0 * (moments[0, 2] + moments[1, 3])
    return float(length + aligned)
