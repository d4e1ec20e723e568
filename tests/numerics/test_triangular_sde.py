"""The triangular equation against exact moments, its symmetries, and the hyperbolic closed form for two outputs.

Draws have fixed seeds. A check compares every statistic with its exact value in units of its standard error; the
threshold gives each check a false-alarm probability of 1e-6 for all of its statistics together.
"""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import kstwo

from limitbench.numerics.hyperbolic import radial_reach, radial_survival
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.bartlett import BartlettNoise
from limitbench.numerics.triangular_sde import triangular_draws

FALSE_ALARM = 1e-6


def _agree(pairs):
    """Whether all sample means agree with their exact values; `pairs` of (sample, exact mean)."""
    threshold = -ndtri(FALSE_ALARM / 2 / len(pairs))
    scores = [(np.mean(x) - exact) / (np.std(x) / math.sqrt(len(x))) for x, exact in pairs]
    return np.max(np.abs(scores)) < threshold


def _ks(values, cdf):
    ordered = np.sort(values)
    below = cdf(ordered)
    rank = np.arange(ordered.size + 1) / ordered.size
    return max(np.max(rank[1:] - below), np.max(below - rank[:-1]))


def _radius_cdf(alpha):
    r = np.linspace(0, radial_reach(alpha), 8001)
    below = 1 - radial_survival(r, alpha)
    return lambda psi: np.interp(psi, r, below)


def _second_moments_agree(alpha, draws=100_000, size=3, steps=16):
    a, b, c = (
        math.exp(2 * alpha),
        (math.exp(2 * alpha) + 2 * math.exp(-alpha)) / 3,
        (math.exp(2 * alpha) - math.exp(-alpha)) / 3,
    )
    q = triangular_draws(alpha, size, draws, steps, seed=11).mixing
    pairs = [(q[i, j], float(i == j)) for i in range(size) for j in range(i + 1)]
    pairs += [(q[i, i] ** 2, a) for i in range(size)]
    pairs += [(q[i, i] * q[j, j], b) for i in range(size) for j in range(i)]
    pairs += [(q[i, j] ** 2, c) for i in range(size) for j in range(i)]
    return _agree(pairs)


def _log_moments_agree(alpha, size=2):
    drawn = triangular_draws(alpha, size, 100_000, 8, seed=5)
    mean, variance = -alpha * size * (size + 1) / 2, 2 * alpha * size
    return _agree(
        [
            (drawn.log_q11, -alpha),
            ((drawn.log_q11 + alpha) ** 2, 2 * alpha),
            (drawn.log_det, mean),
            ((drawn.log_det - mean) ** 2, variance),
        ]
    )


def test_martingale_and_second_moments_at_a_quarter():
    """E Q = I and E Q_ii^2, Q_ii Q_jj, Q_ij^2 (sheet values 1.6487, 1.0688, 0.2900)."""
    assert _second_moments_agree(0.25)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_log_moments_at_one_have_no_step_error(size):
    assert _log_moments_agree(1.0, size)


def _with_exponent(noise, drift):
    def scale(self, x, xi):
        i = torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None]
        x *= torch.exp(noise * math.sqrt(self.h / 2) * xi + drift(i) * self.h / 2)

    return scale


DEFECTS = {
    "no Ito correction of the diagonal": _with_exponent(math.sqrt(0.5), lambda i: -i / 2 + 0.25),
    "no drift along the diagonal": _with_exponent(math.sqrt(0.5), lambda i: -0.5 + 0 * i),
    "diagonal noise without 1/sqrt 2": _with_exponent(1.0, lambda i: -i / 2),
    "time with the wrong sign": _with_exponent(math.sqrt(0.5), lambda i: i / 2),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_wrong_diagonal_is_noticed(defect, monkeypatch):
    monkeypatch.setattr(BartlettNoise, "scale", DEFECTS[defect])
    assert not _second_moments_agree(0.25)
    assert not _log_moments_agree(1.0)


def test_off_diagonal_noise_with_a_factor_root_two_is_noticed(monkeypatch):
    shear = BartlettNoise.shear
    monkeypatch.setattr(BartlettNoise, "shear", lambda self, x, xi: shear(BartlettNoise(3, 2 * self.h, x), x, xi))
    assert not _second_moments_agree(0.25)


def _shear_moments_agree(h, draws=400_000):
    """Exact flow of the below-diagonal noise: E N_31^2 = h + h^2/2, E N_31 N_32 N_21 = h^2/2, E N_21^2 = h."""
    factor = torch.eye(3, dtype=torch.float64)[:, :, None].repeat(1, 1, draws)
    xi = Stream(6).normal_(torch.empty(4, draws)).double()
    BartlettNoise(3, h, factor).shear(factor, xi)
    n21, n31, n32 = factor[1, 0].numpy(), factor[2, 0].numpy(), factor[2, 1].numpy()
    return _agree(
        [(n31**2, h + h * h / 2), (n31 * n32 * n21, h * h / 2), (n21**2, h), (n32**2, h), (n31, 0.0), (n31 * n21, 0.0)]
    )


def test_shear_of_three_outputs_has_the_moments_of_its_flow(monkeypatch):
    assert _shear_moments_agree(0.25)

    def without_iterated_integrals(self, x, xi):
        normals = iter(xi)
        for j in range(len(x) - 1):
            for i in range(j + 1, len(x)):
                x[i:, j] += x[i:, i] * math.sqrt(self.h) * next(normals)

    monkeypatch.setattr(BartlettNoise, "shear", without_iterated_integrals)
    assert not _shear_moments_agree(0.25)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_law_is_rotation_invariant(alpha):
    """Q_12 is symmetric, and a rotation by 45 degrees turns it into (Q_11 - Q_22)/2."""
    n = 40_000
    first = triangular_draws(alpha, 2, n, max(16, int(16 * alpha)), seed=1)
    q = triangular_draws(alpha, 2, n, max(16, int(16 * alpha)), seed=2).mixing
    threshold = kstwo.isf(FALSE_ALARM / 2, n // 2)
    turned = (q[0, 0] - q[1, 1]) / 2
    reference = np.sort(first.q12)

    def cdf(x):
        return np.searchsorted(reference, x, side="right") / n

    assert _ks(turned, cdf) < threshold
    assert _ks(-q[0, 1], cdf) < threshold
    assert _ks(1.1 * turned + 0.05, cdf) > threshold


@pytest.mark.parametrize("alpha", [0.25, 1.0, 4.0])
def test_half_log_ratio_of_eigenvalues_is_hyperbolic_brownian_motion(alpha):
    """KS at 65,536 draws, false alarm 1e-6; a 10 % error of the time is noticed."""
    n = 1 << 16
    drawn = triangular_draws(alpha, 2, n, max(16, int(16 * alpha)), seed=8)
    logs = drawn.log_eigenvalues
    psi = (logs[1] - logs[0]) / 2
    threshold = kstwo.isf(FALSE_ALARM, n)
    assert _ks(psi, _radius_cdf(alpha)) < threshold
    assert _ks(psi, _radius_cdf(1.1 * alpha)) > threshold
    correlation = np.corrcoef(psi, drawn.log_det)[0, 1]
    assert abs(correlation) * math.sqrt(n) < -ndtri(FALSE_ALARM / 2)


def test_step_error_falls_with_the_step_and_is_small_at_sixteen_steps():
    """KS to the exact radius at alpha = 1: 0.026, 0.003 and below the noise (0.003) at 1, 4 and 16 steps."""
    n = 1 << 17
    errors = []
    for steps in (1, 4, 16):
        logs = triangular_draws(1.0, 2, n, steps, seed=4).log_eigenvalues
        errors.append(_ks((logs[1] - logs[0]) / 2, _radius_cdf(1.0)))
    assert errors[0] > 0.02
    assert errors[1] < errors[0] / 4
    assert errors[2] < kstwo.isf(1e-3, n)


def test_eigenvalues_multiply_to_the_determinant_and_survive_bad_conditioning():
    drawn = triangular_draws(25.0, 2, 2000, 400, seed=3)
    logs = drawn.log_eigenvalues
    np.testing.assert_allclose(logs.sum(axis=0), drawn.log_det, rtol=1e-12)
    psi = (logs[1] - logs[0]) / 2
    assert _ks(psi, _radius_cdf(25.0)) < kstwo.isf(FALSE_ALARM, psi.size)


def test_same_seed_same_draws_and_more_draws_extend_whole_blocks():
    a, b = triangular_draws(0.5, 3, 8192, 8, seed=7), triangular_draws(0.5, 3, 12_288, 8, seed=7)
    np.testing.assert_array_equal(a.factor, b.factor[:, :, :8192])
    assert np.any(triangular_draws(0.5, 3, 8192, 8, seed=8).factor != a.factor)
