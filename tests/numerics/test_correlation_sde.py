"""The law of the correlation SDE: mesh error over the parameter range, a spectral solution, and simulated paths.

Checks against paths use 4.5 standard errors a number and, for the whole cdf, 4.5 standard errors at each of 33 points
(normal approximation; below 1e-3 for all checks of this file together, and seeds are fixed).
"""

import math

import numpy as np
import pytest
import torch
from scipy.special import sici

from limitbench.numerics.correlation_sde import drift, drift_integral, forward_cdf
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.additive import AdditiveNoise
from limitbench.numerics.stepping.heun import Heun
from limitbench.numerics.stepping.simulate import coupled


def coefficient(difference):
    return difference**2 / (2 * math.pi)


def moments(solution):
    mean = solution.expectation(np.tanh, lambda z: np.cosh(z) ** -2.0)
    square = solution.expectation(lambda z: np.tanh(z) ** 2, lambda z: 2 * np.tanh(z) * np.cosh(z) ** -2.0)
    return mean, math.sqrt(square - mean**2)


def spectral_density(time, kappa, rho0, spacing):
    """Density of z by a symmetric form of the equation in a basis of sines: exact in time, exponential in space.

    p = e^{A(z) - A(z0)} psi with psi_t = psi''/2 - (m^2 + m')/2 psi, A' = m. Written from the correlation's own
    equation; shares no code with the solver.
    """
    z0 = math.atanh(rho0)
    below, above = math.ceil(6 / spacing), math.ceil((abs(z0) + time + 9 * math.sqrt(time)) / spacing)
    z = z0 + spacing * np.arange(-below, above + 1)
    rho, sin, theta = np.tanh(z), 1 / np.cosh(z), 2 * np.arctan(np.exp(-z))
    small = z > 7  # leading terms in theta: relative error 1e-6 of something that is 1e-3 there
    ratio = np.where(small, theta / 3, (sin - rho * theta) / sin**2)
    m = kappa * ratio + rho / 2
    slope = kappa * (-theta + 2 * ratio * rho) + sin**2 / 2
    height = kappa / 2 * np.where(small, -2 * theta / 3, rho / sin - theta / sin**2) + np.log(np.cosh(z)) / 2
    i = np.arange(1, len(z) + 1)
    sines = math.sqrt(2 / (len(z) + 1)) * np.sin(math.pi * np.outer(i, i) / (len(z) + 1))
    operator = (sines * (math.pi * i / (spacing * (len(z) + 1))) ** 2 / 2) @ sines + np.diag((m**2 + slope) / 2)
    levels, modes = np.linalg.eigh(operator)
    psi = modes @ (np.exp(-time * levels) * modes[below]) / spacing
    return z, psi * np.exp(height - height[below]) * spacing


@pytest.mark.parametrize("difference", [0.0, 1.0, 3.0])
def test_drift_is_that_of_the_correlation_in_fishers_coordinate(difference):
    """Ito: m(z) = b(rho)/(1 - rho^2) + rho for noise 1 - rho^2, and A' = m."""
    z = np.linspace(-2, 4, 25)
    rho = np.tanh(z)
    nu = coefficient(difference) * (np.sqrt(1 - rho**2) - rho * np.arccos(rho))
    expected = (nu - rho * (1 - rho**2) / 2) / (1 - rho**2) + rho
    np.testing.assert_allclose(drift(z, coefficient(difference)), expected, rtol=1e-7, atol=1e-9)
    h = 1e-5
    numeric = (drift_integral(z + h, coefficient(difference)) - drift_integral(z - h, coefficient(difference))) / (
        2 * h
    )
    np.testing.assert_allclose(numeric, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("difference", "rho0", "mean", "std"),
    [(1, 0.3, 0.3416, 0.5912), (2, 0.0, 0.4298, 0.4810), (2, -0.3, 0.3339, 0.4918)],
)
def test_moments_at_time_one(difference, rho0, mean, std):
    """Reference values of the covariance SDE at T = 1 for c = (0, -1), (1, -1), (0, -2)."""
    found = moments(forward_cdf(1.0, coefficient(difference), rho0))
    assert found == pytest.approx((mean, std), abs=1.5e-4)


@pytest.mark.parametrize("time", [1 / 16, 1.0, 4.0])
@pytest.mark.parametrize("difference", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("rho0", [-0.9, 0.0, 0.99])
def test_cdf_changes_by_less_than_1e_6_when_the_mesh_is_halved(time, difference, rho0):
    solution = forward_cdf(time, coefficient(difference), rho0)
    halved = forward_cdf(time, coefficient(difference), rho0, nodes=2000)
    nearest = np.abs(halved.z[:, None] - solution.z[None, ::4]).argmin(axis=0)
    nested = np.abs(halved.z[nearest] - solution.z[::4]) < 1e-9
    assert nested.mean() > 0.99
    assert np.abs(halved.cdf[nearest] - solution.cdf[::4])[nested].max() < 1e-6
    assert halved.error < 1e-6
    assert solution.error < 1e-6


@pytest.mark.parametrize(
    ("time", "difference", "rho0"),
    [(1.0, 1.0, 0.3), (1.0, 2.0, -0.3), (1 / 16, 3.0, 0.99), (4.0, 0.5, -0.9), (4.0, 3.0, 0.0), (1 / 16, 0.0, -0.9)],
)
def test_cdf_equals_a_spectral_solution(time, difference, rho0):
    """Error of the solved cdf at the nodes of the spectral one, below 1e-7."""
    kappa = coefficient(difference)
    z, mass = spectral_density(time, kappa, rho0, min(0.3 * math.sqrt(time), 0.12))
    assert mass.sum() == pytest.approx(1, abs=1e-8)
    solution = forward_cdf(time, kappa, rho0)
    # the integral of each node's band-limited cardinal function up to the solver's nodes
    at = solution.z[:: len(solution.z) // 64]
    spacing = z[1] - z[0]
    exact = ((0.5 + sici(math.pi * (at[:, None] - z) / spacing)[0] / math.pi) * mass).sum(axis=1)
    found = solution.cdf[:: len(solution.z) // 64]
    assert np.abs(found - exact).max() < 1e-7
    # a wrong constant in nu moves the cdf a thousand times more than the tolerance
    if difference:
        wrong = forward_cdf(time, 0.99 * kappa, rho0)
        assert np.abs(np.interp(at, wrong.z, wrong.cdf) - exact).max() > 1e-5


def paths_of_correlation(kappa, rho0, *, paths=500_000, drop=False, seed=0):
    """Ends of z at time 1 from the correlation's own drift, in torch, at 12 and 24 steps."""

    def m(z):
        e = torch.exp(-z)
        cosh, rho = (e + 1 / e) / 2, torch.tanh(z)
        theta = 2 * torch.atan(e)
        nu_part = kappa * (cosh - theta * rho * cosh**2)
        return nu_part + (rho if drop else rho / 2)

    start = math.atanh(rho0)
    arguments = {"start": start, "times": (1.0,), "steps": 12, "levels": 2, "paths": paths, "dtype": torch.float64}
    return coupled(AdditiveNoise(m), Heun(), stream=Stream(seed), **arguments)[:, 0].numpy()


def expectation(paths, function):
    """E f(z) and its standard error, by Richardson extrapolation of every path."""
    values = (4 * function(paths[1]) - function(paths[0])) / 3
    return values.mean(), values.std() / math.sqrt(values.size)


def largest_score(paths, solution):
    """Largest deviation in standard errors: mean and sd of rho, and the cdf at 33 quantiles."""
    mean, mean_error = expectation(paths, np.tanh)
    exact_mean, exact_std = moments(solution)
    spread, spread_error = expectation(paths, lambda z: (np.tanh(z) - exact_mean) ** 2)
    scores = [(mean - exact_mean) / mean_error, (spread - exact_std**2) / spread_error]
    points = np.interp(np.linspace(0.02, 0.98, 33), solution.cdf, solution.z)
    exact = np.interp(points, solution.z, solution.cdf)
    size = paths.shape[1]
    coarse, fine = (np.searchsorted(np.sort(ends), points) / size for ends in paths)
    extrapolated = fine + (fine - coarse) / 3
    # (4 F - C)/3 with F, C coupled indicators: no more than 5/3 of one indicator's standard error, far less here
    joint = np.array([((paths[1] <= x) != (paths[0] <= x)).mean() for x in points])
    error = np.sqrt((exact * (1 - exact) + joint * 4 / 9) / size)
    return float(np.abs(np.concatenate([scores, (extrapolated - exact) / error])).max())


@pytest.fixture(scope="module", params=[(1.0, 0.3), (2.0, 0.0), (2.0, -0.3)], ids=str)
def simulated(request):
    difference, rho0 = request.param
    return coefficient(difference), rho0, paths_of_correlation(coefficient(difference), rho0)


def test_law_agrees_with_half_a_million_stepped_paths(simulated):
    kappa, rho0, paths = simulated
    assert largest_score(paths, forward_cdf(1.0, kappa, rho0)) < 4.5


def test_paths_notice_a_law_without_nu_or_with_another_constant(simulated):
    kappa, rho0, paths = simulated
    assert largest_score(paths, forward_cdf(1.0, 0.0, rho0)) > 20
    assert largest_score(paths, forward_cdf(1.0, 2 * kappa, rho0)) > 20  # 1/pi in place of 1/(2 pi)
    assert largest_score(paths, forward_cdf(1.0, 1.05 * kappa, rho0)) > 4.5


def test_law_notices_paths_without_the_drift_that_noise_leaves():
    """Without -rho (1 - rho^2)/2 the drift of z is nu/(1 - rho^2) + rho."""
    kappa = coefficient(1.0)
    assert largest_score(paths_of_correlation(kappa, 0.3, paths=100_000), forward_cdf(1.0, kappa, 0.3)) < 4.5
    assert largest_score(paths_of_correlation(kappa, 0.3, paths=100_000, drop=True), forward_cdf(1.0, kappa, 0.3)) > 20


def test_start_at_minus_one_is_the_limit_of_starts_close_to_it():
    kappa = coefficient(1.0)
    at = [moments(forward_cdf(1.0, kappa, rho0))[0] for rho0 in (-0.9, -0.99, -0.999, -1.0)]
    assert at[3] < at[2] < at[1] < at[0]
    # d mean/d rho0 is bounded: the last two starts differ by a tenth of the two before them
    assert (at[2] - at[3]) / (at[1] - at[2]) == pytest.approx(1 / 9, rel=0.1)
    fine = moments(forward_cdf(1.0, kappa, -1.0, nodes=4000))
    assert moments(forward_cdf(1.0, kappa, -1.0)) == pytest.approx(fine, abs=1e-6)


@pytest.mark.parametrize(("time", "difference"), [(1 / 16, 1.0), (1.0, 3.0), (4.0, 1.0)])
def test_starts_at_and_near_minus_one_keep_the_mesh_error(time, difference):
    for rho0 in (-1.0, -0.999, -0.97):
        assert forward_cdf(time, coefficient(difference), rho0).error < 1e-5


@pytest.mark.parametrize(
    ("time", "difference", "rho0"), [(64.0, 1.0, 0.3), (1e-4, 2.0, 0.3), (1.0, 30.0, 0.3), (0.1, 1.0, 1 - 1e-12)]
)
def test_far_corners_stay_accurate(time, difference, rho0):
    assert forward_cdf(time, coefficient(difference), rho0).error < 2e-5
