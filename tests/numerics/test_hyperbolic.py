"""Hyperbolic Brownian motion against its eigenfunctions: E P_k(cosh psi_t) = exp(k(k+1)t/2)."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from limitbench.numerics.hyperbolic import coordinate_survival, radial_density, radial_reach, radial_survival

TIMES = [1e-6, 0.01, 0.25, 1.0, 3.0]


def _rule(time):
    node, weight = np.polynomial.legendre.leggauss(300)
    # The k-th eigenfunction moves the mass to r = (k + 1/2) t.
    reach = radial_reach(time) + 3 * time
    return reach * (node + 1) / 2, reach * weight / 2


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_legendre_functions_of_the_distance_grow_at_their_eigenvalue(time, degree):
    r, weight = _rule(time)
    mean = weight @ (radial_density(r, time) * eval_legendre(degree, np.cosh(r)))
    assert mean == pytest.approx(np.exp(degree * (degree + 1) * time / 2), rel=1e-9)
    if degree and time > 1e-3:
        wrong = weight @ (radial_density(r, 1.01 * time) * eval_legendre(degree, np.cosh(r)))
        assert abs(wrong / np.exp(degree * (degree + 1) * time / 2) - 1) > 1e-5


@pytest.mark.parametrize("time", [*TIMES, 16.0, 64.0])
def test_survival_is_the_integral_of_the_density(time):
    r, weight = _rule(time)
    assert radial_survival(np.zeros(1), time)[0] == pytest.approx(1, abs=1e-13)
    start = np.array([0.3, 1.0, 3.0]) * np.sqrt(time)
    for a in start:
        shrink = 1 - a / r.max() / 1.0
        tail = weight * shrink @ radial_density(a + r * shrink, time)
        assert radial_survival(np.array([a]), time)[0] == pytest.approx(tail, rel=1e-9)


def test_short_times_are_flat():
    """psi/sqrt(t) becomes the length of a planar normal vector: P(psi > r) = exp(-r^2/2t)."""
    r = np.array([0.5, 1.0, 3.0]) * 1e-4
    np.testing.assert_allclose(radial_survival(r, 1e-8), np.exp(-(r**2) / 2e-8), rtol=1e-6)


@pytest.mark.parametrize("time", TIMES)
def test_coordinate_has_its_second_moment(time):
    """E (sinh psi cos theta)^2 = (exp(3t) - 1)/3."""
    log_y = np.linspace(-16 + np.log(time) / 2, radial_reach(time) + 3 * time, 6001)
    square = np.trapezoid(2 * np.exp(2 * log_y) * coordinate_survival(log_y, time), log_y)
    assert square == pytest.approx(np.expm1(3 * time) / 3, rel=2e-6)


def test_coordinate_is_an_angle_average_of_the_radius():
    y, time = 0.7, 1.0
    angle = (np.arange(4000) + 0.5) / 4000 * np.pi / 2
    average = radial_survival(np.arcsinh(y / np.cos(angle)), time).mean()
    assert coordinate_survival(np.array([np.log(y)]), time)[0] == pytest.approx(average, abs=1e-9)
