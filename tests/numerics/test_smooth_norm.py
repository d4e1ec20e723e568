"""The norm SDE of smooth networks: mesh error, closed forms at late times, limits of weak drift, refusals."""

import math

import numpy as np
import pytest
from scipy.special import gammainc, ndtr

from limitbench.errors import InputError
from limitbench.numerics.kolmogorov import solve_forward
from limitbench.numerics.smooth_norm import norm_cdf, relaxation_rate


@pytest.mark.parametrize("time", [0.25, 1.0, 4.0])
def test_without_drift_the_log_is_normal(time):
    found = norm_cdf(time, 0.0, 2.0)
    exact = ndtr((math.sqrt(2) * found.z - math.log(2.0) + time) / math.sqrt(2 * time))
    assert np.abs(found.cdf - exact).max() < 1e-6


@pytest.mark.parametrize(("beta", "norm0"), [(0.75, 1.0), (25 / 12, 1.0), (0.75, 3.0)])
def test_late_explosion_probability_is_the_incomplete_gamma_function(beta, norm0):
    found = norm_cdf(40.0, beta, norm0)
    assert 1 - found.cdf[-1] == pytest.approx(gammainc(beta + 1, beta * norm0), abs=1e-5)
    assert abs((1 - found.cdf[-1]) - gammainc(beta + 1.05, beta * norm0)) > 1e-3


@pytest.mark.parametrize("beta", [-5.56, -4.08])
def test_late_law_is_gamma(beta):
    found = norm_cdf(8.0, beta, 1.0)
    exact = gammainc(-beta - 1, -beta * np.exp(math.sqrt(2) * found.z))
    assert np.abs(found.cdf - exact).max() < 1e-5
    assert np.abs(found.cdf - gammainc(-beta - 0.95, -beta * np.exp(math.sqrt(2) * found.z))).max() > 1e-3


@pytest.mark.parametrize("beta", [-3.0, -0.4, 0.75])
def test_mean_of_the_inverse_norm_solves_its_linear_equation(beta):
    """1/V is linear: d E 1/V = ((2 + beta) E 1/V - beta) dt, as long as nothing explodes."""
    time, norm0 = 0.3, 0.8
    found = norm_cdf(time, beta, norm0)
    inverse = np.exp(-math.sqrt(2) * found.z)
    mean = found.cdf[-1] * inverse[-1] - np.trapezoid(found.cdf, inverse)
    growth = math.exp((2 + beta) * time)
    exact = growth / norm0 - beta * (growth - 1) / (2 + beta)
    assert mean == pytest.approx(exact, rel=1e-5)
    assert mean != pytest.approx(growth / norm0, rel=1e-2)


@pytest.mark.parametrize(("time", "beta", "norm0"), [(3.0, 0.75, 1.0), (1.0, 2.08, 3.0), (4.0, -4.08, 1.0)])
def test_measured_error_of_the_mesh_is_small_and_honest(time, beta, norm0):
    fine, coarse = norm_cdf(time, beta, norm0), norm_cdf(time, beta, norm0, nodes=600)
    assert fine.error < 1e-6
    z = np.linspace(fine.z[0] + 0.1, fine.z[-1] - 0.1, 500)
    assert np.abs(np.interp(z, fine.z, fine.cdf) - np.interp(z, coarse.z, coarse.cdf)).max() < 1e-4
    assert np.diff(fine.cdf).min() > -1e-6


def test_outflow_loses_what_a_closed_end_would_keep():
    """Absorbed at the top, Z = 2 t + B has left (-inf, 1) by t = 1 with probability ndtr(1) + e^4 ndtr(-3)."""
    found = solve_forward(lambda z: np.full(z.shape, 2.0), 0.0, 1.0, -9.0, 1.0, outflow=True)
    kept = solve_forward(lambda z: np.full(z.shape, 2.0), 0.0, 1.0, -9.0, 1.0)
    left = ndtr(1.0) + math.exp(4) * ndtr(-3.0)
    assert found.cdf[-1] == pytest.approx(1 - left, abs=4e-3)
    assert kept.cdf[-1] == 1.0


@pytest.mark.parametrize(
    ("field", "arguments"), [("time", (0.0, 1.0, 1.0)), ("norm0", (1.0, 1.0, 0.0)), ("norm0", (1.0, 1.0, 1e4))]
)
def test_bad_values_are_named(field, arguments):
    with pytest.raises(InputError, match=field):
        norm_cdf(*arguments)


def test_relaxation_is_that_of_the_inverse_mean_and_of_the_continuum():
    """|beta| - 2 is the rate of E 1/V; the two branches meet at beta = -3."""
    assert relaxation_rate(-5.0) == 3.0
    assert relaxation_rate(-3.0) == pytest.approx(1.0)
    assert relaxation_rate(-2.5) == 0.5625
    assert relaxation_rate(-2.0) == 0.25
    assert relaxation_rate(-0.5) == 0.0
    assert relaxation_rate(1.0) == 1.0
