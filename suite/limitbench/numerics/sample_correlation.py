"""Moments of Fisher's z of n feature pairs: one layer of the correlation's Markov chain, to O(n^-2).

With z = atanh(rho), one layer maps rho to the (uncentred) sample correlation of n i.i.d. pairs (f1, f2) =
(phi(u), phi(v)), (u, v) standard normal with correlation rho, phi(x) = s_+ max(x, 0) + s_- min(x, 0). In the half-sum
p = (f1 + f2)/2 and half-difference q = (f1 - f2)/2, with sample means A of p^2/E p^2, B of q^2/E q^2 and G of
pq/sqrt(E p^2 E q^2), the new z' is exactly a function of (A, B, G) that stays regular as rho -> +-1,

    z' = zbar + w + t g^2/2 + (3t - t^3) g^4/8 + O(g^6),   zbar = ln(E p^2/E q^2)/2,
    w = ln(A/B)/2,   g^2 = G^2/(AB),   t = tanh(zbar + w),

and the multivariate delta method at (1, 1, 0) gives its cumulants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

#: Gauss-Legendre nodes on each arc of constant slopes: trigonometric polynomials of degree 6, exact to rounding.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_FAR = 40.0
#: E R^(2k)/(2 pi) for R^2 ~ chi2_2: the radial moment times the density of the angle.
_RADIAL = {2: 2 / (2 * np.pi), 4: 8 / (2 * np.pi), 6: 48 / (2 * np.pi)}
_Moments = dict[tuple[int, int], Float[np.ndarray, " states"]]


@dataclass(frozen=True)
class FisherZExpansion:
    """Cumulants of z' given z, in powers of 1/n; one entry of every array per state z.

    Attributes:
        drift: zbar - z, the step at infinite width.
        mean_1, mean_2: coefficients of 1/n and 1/n^2 in E z' - zbar.
        variance_1, variance_2: coefficients of 1/n and 1/n^2 in Var z'.
        third_2: coefficient of 1/n^2 in the third cumulant. (The fourth cumulant is O(n^-3).)
    """

    drift: Float[np.ndarray, " states"]
    mean_1: Float[np.ndarray, " states"]
    mean_2: Float[np.ndarray, " states"]
    variance_1: Float[np.ndarray, " states"]
    variance_2: Float[np.ndarray, " states"]
    third_2: Float[np.ndarray, " states"]

    def step_mean(self, width: int) -> Float[np.ndarray, " states"]:
        """E[z' - z | z] at n = `width`, error O(n^-3)."""
        return self.drift + self.mean_1 / width + self.mean_2 / width**2

    def variance(self, width: int) -> Float[np.ndarray, " states"]:
        """Var[z' | z] at n = `width`, error O(n^-3).

        (variance_1/n) (1 + r + r^2/(1 + r^2)) with r = variance_2/(n variance_1). r^2 stands in for the next
        term: it is the one of 1/(n - n r), the effective degrees of freedom of equal slopes, and takes most of the
        error away below n = 32. It is bounded because variance_1 vanishes where rho = -1 and the slopes differ.
        """
        first, second = self.variance_1 / width, self.variance_2 / width**2
        third = first * second**2 / (first**2 + second**2 + 1e-300)
        return np.maximum(first + second + third, 0)

    def third_cumulant(self, width: int) -> Float[np.ndarray, " states"]:
        """Third cumulant of z' given z at n = `width`, error O(n^-3)."""
        return self.third_2 / width**2


def fisher_z_expansion(z: Float[np.ndarray, " states"], s_plus: float, s_minus: float) -> FisherZExpansion:
    """Cumulants of one layer's z' given z = atanh(rho), for slopes s_+ and s_- that are not both zero.

    Equal slopes give Fisher's expansion with n degrees of freedom (no mean is subtracted): drift 0,
    E z' - z = rho/(2n) + rho (5 + rho^2)/(8 n^2), Var z' = 1/n + (4 - rho^2)/(2 n^2), third cumulant O(n^-3).

    Free of cancellation at any z, in particular for 1 - rho far below 1e-16. Cost: 48 quadrature nodes a state.
    """
    # Beyond 40 everything has reached its limit, and powers of exp(-z) might overflow.
    z = np.clip(z, -_FAR, _FAR)
    ratio, m = _half_sum_moments(z, s_plus, s_minus)
    drift = np.log(ratio) / 2
    tau = np.tanh(z + drift)
    e = 1 - tau * tau

    # Joint cumulants of the rows (p^2, q^2, pq), scaled to unit second moments. Those odd in pq vanish: exchanging the
    # two inputs sends q to -q. Letters a, b, g stand for p^2, q^2, pq.
    aa, ab, bb, gg = m[4, 0] - 1, m[2, 2] - 1, m[0, 4] - 1, m[2, 2]
    aaa = m[6, 0] - 3 * m[4, 0] + 2
    bbb = m[0, 6] - 3 * m[0, 4] + 2
    aab = m[4, 2] - 2 * m[2, 2] - m[4, 0] + 2
    abb = m[2, 4] - 2 * m[2, 2] - m[0, 4] + 2
    agg, bgg = m[4, 2] - m[2, 2], m[2, 4] - m[2, 2]
    # Derivatives of z' at (1, 1, 0) beyond those of w = ln(A/B)/2.
    d_agg, d_bgg = e / 2 - tau, -e / 2 - tau
    d_aagg = -1.5 * e - tau * e / 2 + 2 * tau
    d_bbgg = 1.5 * e - tau * e / 2 + 2 * tau
    d_abgg = tau * e / 2 + tau
    d_gggg = 9 * tau - 3 * tau**3
    cov_a, cov_b = (aa - ab) / 2, (ab - bb) / 2  # covariance of p^2 and of q^2 with the linear part of z'

    mean_1 = (-aa / 2 + bb / 2 + tau * gg) / 2
    mean_2 = (aaa - bbb + 3 * d_agg * agg + 3 * d_bgg * bgg) / 6
    mean_2 += (-3 * aa**2 + 3 * bb**2 + d_gggg * gg**2) / 8
    mean_2 += gg * (2 * d_aagg * aa + 2 * d_bbgg * bb + 4 * d_abgg * ab) / 8
    variance_1 = np.maximum(aa - 2 * ab + bb, 0) / 4
    variance_2 = (-aaa / 2 + abb / 2 + tau * agg) / 2 - (-aab / 2 + bbb / 2 + tau * bgg) / 2
    variance_2 += (aa**2 + bb**2 - 2 * ab**2) / 8 + (tau * gg) ** 2 / 2
    variance_2 += cov_a * (aa + d_agg * gg) + cov_b * (-bb + d_bgg * gg)
    third_2 = (aaa - 3 * aab + 3 * abb - bbb) / 8 + 1.5 * (cov_b**2 - cov_a**2)
    return FisherZExpansion(drift, mean_1, mean_2, variance_1, variance_2, third_2)


def _half_sum_moments(
    z: Float[np.ndarray, " states"], s_plus: float, s_minus: float
) -> tuple[Float[np.ndarray, " states"], _Moments]:
    """exp(2 zbar - 2 z) and E[p^i q^j] / ((E p^2)^(i/2) (E q^2)^(j/2)) for even i + j <= 6, i and j even.

    Rows are u = R cos(a - h), v = R cos(a + h) with h = theta/2 = arctan(exp(-z)) half the angle of the inputs, R^2 ~
    chi2_2 and a uniform. p and q are divided by cos h and sin h, so that nothing underflows as rho -> 1:

    - slopes equal, |a| < pi/2 - h:  p/cos h = s R cos a,  q/sin h = s R sin a, once with s_+ and once with s_-;
    - slopes differ, a = pi/2 + b with |b| < h, twice:  p/cos h = R (D tan h cos b - S sin b),
      q/sin h = R (S cos b - D cot h sin b),  with S, D = (s_+ +- s_-)/2.
    """
    half_angle, complement = np.arctan(np.exp(-z)), np.arctan(np.exp(z))
    tangent = np.exp(-z)[:, None]
    same = complement[:, None] * _NODES
    mixed = half_angle[:, None] * _NODES
    total, difference = (s_plus + s_minus) / 2, (s_plus - s_minus) / 2
    p_same, q_same = np.cos(same), np.sin(same)
    p_mixed = difference * tangent * np.cos(mixed) - total * np.sin(mixed)
    q_mixed = total * np.cos(mixed) - difference * np.sin(mixed) / tangent
    same_powers, mixed_powers = _even_powers(p_same, q_same), _even_powers(p_mixed, q_mixed)
    raw: _Moments = {}
    for (i, j), product in same_powers.items():
        order = i + j
        slopes = s_plus**order + s_minus**order
        arc_same = slopes * complement * (product @ _WEIGHTS)
        arc_mixed = 2 * half_angle * (mixed_powers[i, j] @ _WEIGHTS)
        raw[i, j] = _RADIAL[order] * (arc_same + arc_mixed)
    a, b = raw[2, 0], raw[0, 2]
    return a / b, {(i, j): value / (a ** (i // 2) * b ** (j // 2)) for (i, j), value in raw.items()}


def _even_powers(
    p: Float[np.ndarray, "states nodes"], q: Float[np.ndarray, "states nodes"]
) -> dict[tuple[int, int], Float[np.ndarray, "states nodes"]]:
    """p^i q^j for even i + j <= 6, i and j even."""
    p2, q2 = p * p, q * q
    p4, q4 = p2 * p2, q2 * q2
    return {
        (2, 0): p2,
        (0, 2): q2,
        (4, 0): p4,
        (2, 2): p2 * q2,
        (0, 4): q4,
        (6, 0): p4 * p2,
        (4, 2): p4 * q2,
        (2, 4): p2 * q4,
        (0, 6): q4 * q2,
    }
