"""The drift of the smooth covariance SDE: its flow against a Runge-Kutta solver, against one layer of a real network
without noise, explosions, and the simulated SDE against the solved norm.

Simulated numbers are compared within 4.5 standard errors, with fixed seeds.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from limitbench.numerics.activations import ACTIVATIONS
from limitbench.numerics.bartlett_euler import cholesky_factors, covariance_paths
from limitbench.numerics.smooth_covariance import SmoothFlow, correlation_after, norm_after
from limitbench.numerics.smooth_norm import norm_cdf

GRAM = np.array([[1.0, 0.4, -0.2], [0.4, 0.7, 0.3], [-0.2, 0.3, 1.5]])


def drift(v, second, third, scale):
    """b^{ab} = a^-2 [phi''^2/4 (V^{aa} V^{bb} + V^{ab} (2 V^{ab} - 3)) + phi'''/2 V^{ab} (V^{aa} + V^{bb} - 2)]."""
    d = np.diag(v)
    sums, products = d[:, None] + d, np.outer(d, d)
    return (second**2 / 4 * (products + v * (2 * v - 3)) + third / 2 * v * (sums - 2)) / scale**2


def moved(v, flow, time, steps):
    factor = cholesky_factors(v[:, :, None].copy())
    for _ in range(steps):
        flow(factor, time / steps)
    return (factor[:, :, 0] @ factor[:, :, 0].T), factor


@pytest.mark.parametrize(("second", "third", "scale"), [(0.0, -2.0, 1.0), (-0.76, -1.13, 0.6), (1.0, 0.0, 1.0)])
def test_flow_solves_the_drift_to_second_order(second, third, scale):
    time = 0.4
    exact = solve_ivp(
        lambda t, y: drift(y.reshape(3, 3), second, third, scale).ravel(),
        (0, time),
        GRAM.ravel(),
        rtol=1e-11,
        atol=1e-12,
    ).y[:, -1]
    flow = SmoothFlow(second, third, scale)
    errors = [np.abs(moved(GRAM, flow, time, steps)[0] - exact.reshape(3, 3)).max() for steps in (4, 8, 64)]
    assert errors[2] < 1e-4
    if second:  # else both equations are solved exactly
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    else:
        assert errors[0] < 1e-9
    wrong = SmoothFlow(second, third + 0.1, scale)
    assert np.abs(moved(GRAM, wrong, time, 64)[0] - exact.reshape(3, 3)).max() > 5e-3


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_drift_is_that_of_one_layer_without_noise(name):
    """s^2 (c E[phi_s(u) phi_s(v)] - V) -> a^2 b(V), by two-dimensional Gauss-Hermite quadrature at s = 200."""
    activation, s = ACTIVATIONS[name], 200.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    v = np.array([[1.3, 0.5], [0.5, 0.6]])
    root = np.linalg.cholesky(v)
    u, w = np.meshgrid(nodes, nodes, indexing="ij")
    first = activation.shaped(torch.from_numpy(root[0, 0] * u), s).numpy()
    second = activation.shaped(torch.from_numpy(root[1, 0] * u + root[1, 1] * w), s).numpy()
    expect = lambda f: float(weights @ f @ weights)  # noqa: E731
    layer = activation.normaliser(s) * np.array(
        [[expect(first**2), expect(first * second)], [expect(first * second), expect(second**2)]]
    )
    found = s**2 * (layer - v)
    b = drift(v, activation.second, activation.third, 1.0)
    np.testing.assert_allclose(found, b, atol=2e-4)
    if activation.second:  # the companion: without the phi'' term
        assert np.abs(found - drift(v, 0.0, activation.third, 1.0)).max() > 0.01


def test_the_drift_of_the_correlation_is_free_of_the_third_derivative():
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.standard_normal((2, 2))
        v = root @ root.T
        rho = v[0, 1] / math.sqrt(v[0, 0] * v[1, 1])

        def rate(third, v=v, rho=rho):
            b = drift(v, 0.8, third, 0.7)
            return b[0, 1] / math.sqrt(v[0, 0] * v[1, 1]) - rho / 2 * (b[0, 0] / v[0, 0] + b[1, 1] / v[1, 1])

        assert rate(-2.0) == pytest.approx(rate(3.0), abs=1e-9)
        h, k = 1e-6, 0.8**2 / (4 * 0.7**2)
        mean, geometric = (v[0, 0] + v[1, 1]) / 2, math.sqrt(v[0, 0] * v[1, 1])
        slope = (correlation_after(h, k, mean, geometric, rho) - rho) / h
        assert float(slope) == pytest.approx(rate(0.0), rel=1e-4, abs=1e-6)


def test_norms_blow_up_in_finite_time_only_above_one():
    """t* = -ln(1 - 1/V_0)/beta."""
    blow_up = -math.log(1 - 1 / 3) / 0.75
    before, after = (norm_after(t, 0.75, np.array([0.5, 1.0, 3.0])) for t in (blow_up - 1e-3, blow_up + 1e-3))
    assert np.isfinite(before).all()
    assert before[2] > 100
    assert np.isinf(after[2])
    assert after[0] < 0.5
    assert after[1] == 1.0


def test_an_exploded_input_does_not_touch_the_other_and_stays_exploded():
    flow = SmoothFlow(1.0, 0.0, 1.0)
    _, factor = moved(np.array([[0.5, 0.3], [0.3, 9e3]]), flow, 0.1, 2)
    assert np.isnan(factor[1, :, 0]).all()
    assert factor[0, 0, 0] ** 2 == pytest.approx(float(norm_after(0.1, 0.75, 0.5)))


@pytest.mark.parametrize(
    ("name", "scale", "norm0", "time"),
    [("root", 1.0, 1.0, 3.0), ("shifted-tanh", 0.6, 1.0, 1.0), ("root", 0.6, 2.0, 1.0)],
)
def test_simulated_norms_and_explosions_are_those_of_the_forward_equation(name, scale, norm0, time):
    activation = ACTIVATIONS[name]
    beta = activation.norm_drift(scale)
    flow = SmoothFlow(activation.second, activation.third, scale)
    gram = norm0 * np.array([[1.0, 0.3], [0.3, 1.0]])
    norm = covariance_paths(gram, time, 0.0, int(32 * time), 1 << 15, 7, flow=flow)[0, 0] ** 2

    def deviations(b):
        """Explosion probability and mean log norm of the survivors, in standard errors."""
        solution = norm_cdf(time, b, norm0, nodes=800)
        p, z = 1 - solution.cdf[-1], math.sqrt(2) * solution.z
        mean = z[-1] - np.trapezoid(solution.cdf, z) / solution.cdf[-1]
        log = np.log(norm[np.isfinite(norm)])
        seen = np.isnan(norm).mean()
        off = (seen - p) / math.sqrt(max(p * (1 - p), 1 / norm.size) / norm.size)
        return abs(off), abs(log.mean() - mean) / (log.std() / math.sqrt(log.size))

    assert max(deviations(beta)) < 4.5
    assert max(deviations(1.1 * beta)) > 4.5


def test_paths_without_a_flow_are_those_of_relu_bit_for_bit():
    a = covariance_paths(GRAM, 0.3, 0.0, 4, 100, 3)
    b = covariance_paths(GRAM, 0.3, 0.7, 4, 100, 3, flow=lambda factor, h: None)
    np.testing.assert_array_equal(a, b)
