"""The covariance SDE's theories: laws of the three observables, their relations, and the m-point simulation.

Simulated numbers are compared within 4.5 standard errors, with fixed seeds.
"""

import math

import numpy as np
import pytest

from limitbench.numerics.shaping import shaped_slopes, variance_normaliser
from limitbench.statistics.laws import PointMass
from limitbench.theories.shaped_relu import (
    CovarianceSDE,
    DriftCorrectedCovarianceSDE,
    DriftlessCovarianceSDE,
    MatrixCovarianceSDE,
)
from limitbench.theories.shaped_relu.sde_laws import fisher_law

TABLE = [((0.0, -1.0, 0.3), 0.3416, 0.5912), ((1.0, -1.0, 0.0), 0.4298, 0.4810), ((0.0, -2.0, -0.3), 0.3339, 0.4918)]


@pytest.mark.parametrize(("parameters", "mean", "std"), TABLE)
def test_mean_and_sd_of_the_correlation_at_time_one(parameters, mean, std):
    law = CovarianceSDE(1.0, *parameters).law("correlation")
    assert law.mean == pytest.approx(mean, abs=1.5e-4)
    assert law.std == pytest.approx(std, abs=1.5e-4)
    assert 0 < law.cdf_error < 1e-6
    wrong = CovarianceSDE(1.0, *parameters, drift_factor=1.01).law("correlation")
    assert abs(wrong.mean - mean) > 5e-4


def test_driftless_moments_at_time_one():
    """Reference: mean 0.2407, sd 0.6595 of the SDE with nu = 0 at T = 1, rho0 = 0.3, from simulation to 1e-3."""
    law = DriftlessCovarianceSDE(1.0, 0.3).law("correlation")
    assert (law.mean, law.std) == pytest.approx((0.2407, 0.6595), abs=1e-3)


def test_log_gap_is_the_transformed_correlation_without_cancellation():
    theory = CovarianceSDE(1.0, 0.0, -1.0, 0.3)
    correlation, log_gap = theory.law("correlation"), theory.law("log_gap")
    x = np.array([-0.9, 0.0, 0.5, 0.99])
    np.testing.assert_allclose(log_gap.cdf(np.log(1 - x)), 1 - correlation.cdf(x), atol=1e-12)
    u = np.array([1e-9, 1e-4, 0.5, 0.999])
    z = fisher_law(1.0, 1 / (2 * math.pi), 0.3).quantile(1 - u)
    np.testing.assert_allclose(log_gap.quantile(u), math.log(2) - np.logaddexp(0, 2 * z), atol=1e-9)
    assert log_gap.cdf(math.log(2)) == 1
    assert log_gap.cdf(3.0) == 1


def test_log_gap_resolves_correlations_that_round_to_one():
    law = CovarianceSDE(4.0, 1.5, -1.5, 1 - 1e-12).law("log_gap")
    x = law.quantile(np.array([0.01, 0.5, 0.99]))
    assert x[0] < math.log(1e-16) < x[2]
    np.testing.assert_allclose(law.cdf(x), [0.01, 0.5, 0.99], atol=1e-6)


def test_log_norm_is_log_normal_with_mean_minus_t_and_variance_2t():
    for theory in (CovarianceSDE(1.7, 0.0, -1.0, 0.3), DriftlessCovarianceSDE(1.7, 0.3)):
        law = theory.law("log_norm")
        assert (law.mean, law.std) == pytest.approx((-1.7, math.sqrt(3.4)))


def test_drift_correction_is_the_factor_c():
    theory = DriftCorrectedCovarianceSDE(1.0, 0.0, -2.0, -0.3, width=64)
    c = variance_normaliser(*shaped_slopes(0.0, -2.0, 64, 0.5))
    assert theory.drift_factor == pytest.approx(2 / (1 + 0.75**2)) == c
    x = np.linspace(-0.9, 0.9, 7)
    same = CovarianceSDE(1.0, 0.0, -2.0, -0.3, drift_factor=c)
    np.testing.assert_array_equal(theory.law("correlation").cdf(x), same.law("correlation").cdf(x))
    plain = CovarianceSDE(1.0, 0.0, -2.0, -0.3).law("correlation")
    assert np.abs(theory.law("correlation").cdf(x) - plain.cdf(x)).max() > 0.01


@pytest.mark.parametrize("rate", [0.25, 0.5, 1.0])
def test_drift_correction_takes_its_slopes_at_its_own_rate(rate):
    """c = 2/(s_+^2 + s_-^2), s_pm = 1 + c_pm n^-rate, in the attribute and in the law."""
    c_plus, c_minus, width = 0.5, -1.0, 256

    def factor(p):
        return 2 / ((1 + c_plus * width**-p) ** 2 + (1 + c_minus * width**-p) ** 2)

    theory = DriftCorrectedCovarianceSDE(0.5, c_plus, c_minus, 0.3, width, rate=rate)
    assert theory.drift_factor == pytest.approx(factor(rate), rel=1e-12)
    x = np.linspace(-0.9, 0.9, 7)
    laws = {p: CovarianceSDE(0.5, c_plus, c_minus, 0.3, drift_factor=factor(p)) for p in (0.25, 0.5, 1.0)}
    for p, other in laws.items():
        gap = np.abs(theory.law("correlation").cdf(x) - other.law("correlation").cdf(x)).max()
        assert gap < 1e-9 if p == rate else gap > 1e-3


def test_drift_corrected_law_is_nearer_to_a_real_network():
    """c = (0, -2), rho0 = -0.3, n = d = 64: mean of 4000 simulated networks, 8 times nearer than the plain SDE."""
    rng = np.random.default_rng(3)
    n, networks = 64, 4000
    sm = 1 - 2 / math.sqrt(n)
    c = 2 / (1 + sm**2)
    rho = np.full(networks, -0.3)
    for _ in range(n):
        g = rng.standard_normal((2, networks, n))
        u, w = g[0], rho[:, None] * g[0] + np.sqrt(np.maximum(1 - rho**2, 0))[:, None] * g[1]
        u, w = (np.where(x > 0, x, sm * x) for x in (u, w))
        rho = (u * w).sum(1) / np.sqrt((u * u).sum(1) * (w * w).sum(1))
    assert c > 1
    error = rho.std() / math.sqrt(networks)
    plain = CovarianceSDE(1.0, 0.0, -2.0, -0.3).law("correlation").mean
    corrected = DriftCorrectedCovarianceSDE(1.0, 0.0, -2.0, -0.3, n).law("correlation").mean
    assert abs(rho.mean() - corrected) < 4.5 * error + 1 / n
    assert abs(rho.mean() - plain) > 4.5 * error + 1 / n


def test_parallel_inputs_stay_parallel():
    theory = CovarianceSDE(1.0, 0.0, -1.0, 1.0)
    assert theory.law("correlation") == PointMass(1.0)
    assert "log_gap" not in theory.observables
    opposite = DriftlessCovarianceSDE(1.0, -1.0)
    assert opposite.law("correlation") == PointMass(-1.0)
    assert opposite.law("log_gap") == PointMass(math.log(2))


def test_opposite_inputs_leave_by_nu():
    law = CovarianceSDE(0.05, 0.0, -1.0, -1.0).law("correlation")
    assert law.mean == pytest.approx(-1 + 0.05 * 0.5, rel=0.05)  # nu(-1) = (c_+ - c_-)^2/2


def test_short_times_are_gaussian_around_the_start():
    law = CovarianceSDE(1e-4, 0.0, -1.0, 0.3).law("correlation")
    assert law.mean == pytest.approx(0.3, abs=1e-4)
    assert law.std == pytest.approx(0.01 * (1 - 0.09), rel=1e-2)


def test_equal_equations_share_one_solution():
    first = CovarianceSDE(0.7, 0.0, -1.0, 0.25).law("correlation").law
    second = CovarianceSDE(0.7, 2.0, 1.0, 0.25).law("log_gap").law
    assert first is second


@pytest.mark.parametrize("parameters", [(0.0, -1.0, 0.3), (0.0, -2.0, -0.3)])
def test_m_point_simulation_agrees_with_the_forward_equation(parameters):
    """Mean, sd, log-gap mean and the cdf at 15 quantiles of inputs 1 and 2 of three; step error below 4e-4."""
    c_plus, c_minus, rho0 = parameters
    gram = ((1.0, 2 * rho0, 0.1), (2 * rho0, 4.0, 0.2), (0.1, 0.2, 1.0))
    matrix = MatrixCovarianceSDE(1.0, c_plus, c_minus, gram, paths=1 << 16)
    exact = CovarianceSDE(1.0, *parameters)

    def scores(theory):
        found = []
        for name in ("correlation", "log_gap", "log_norm"):
            law, reference = matrix.law(name), theory.law(name)
            found.append(abs(law.mean - reference.mean) / (reference.std / 256 + 1e-4))
            x = reference.quantile(np.linspace(0.05, 0.95, 15))
            p = reference.cdf(x)
            found.extend(np.abs(law.cdf(x) - p) / (np.sqrt(p * (1 - p)) / 256 + 1e-4))
        return max(found)

    assert scores(exact) < 4.5
    assert scores(DriftlessCovarianceSDE(1.0, rho0)) > 10
    assert scores(CovarianceSDE(1.0, *parameters, drift_factor=2.0)) > 10


def test_m_point_simulation_names_its_stream():
    gram = ((1.0, 0.3), (0.3, 1.0))
    draws = [
        MatrixCovarianceSDE(0.25, 0.0, -1.0, gram, paths=64, seed=seed).law("correlation").quantile(0.5)
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
