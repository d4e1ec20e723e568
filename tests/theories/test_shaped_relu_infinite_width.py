"""The infinite-width recursion and its first Gaussian fluctuation.

Simulated moments are compared within 4.5 standard errors (7e-6 a number); seeds are fixed.
"""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from limitbench.numerics.shaping import kernel, shaped_slopes, variance_normaliser
from limitbench.theories.shaped_relu import InfiniteWidth, InfiniteWidthCLT


def simulate(widths, c_plus, c_minus, rate, rho0, networks, seed):
    """Gram matrices of real layers, given by their rows: written here from the definition of the network."""
    rng = np.random.default_rng(seed)
    v = np.empty((networks, 3))
    v[:] = 1.0, rho0, 1.0
    for n in widths:
        sp, sm = 1 + c_plus * n**-rate, 1 + c_minus * n**-rate
        c = 2 / (sp**2 + sm**2)
        g = rng.standard_normal((2, networks, n))
        u = np.sqrt(v[:, :1]) * g[0]
        w = v[:, 1:2] / np.sqrt(v[:, :1]) * g[0] + np.sqrt(np.maximum(v[:, 2:] - v[:, 1:2] ** 2 / v[:, :1], 0)) * g[1]
        u, w = (np.where(x > 0, sp * x, sm * x) for x in (u, w))
        v = c * np.stack([(u * u).mean(1), (u * w).mean(1), (w * w).mean(1)], axis=1)
    return {"correlation": v[:, 1] / np.sqrt(v[:, 0] * v[:, 2]), "log_norm": np.log(v[:, 0])}


def test_recursion_is_the_normalised_kernel_with_each_layers_own_slopes():
    widths, rho = (4, 16, 64, 9), -0.4
    for n in widths:
        slopes = shaped_slopes(0.5, -1.0, n, 0.5)
        rho = variance_normaliser(*slopes) * float(kernel(rho, *slopes))
    theory = InfiniteWidth(depth=4, widths=widths, c_plus=0.5, c_minus=-1.0, rho0=-0.4)
    assert theory.law("correlation").mean == pytest.approx(rho, abs=1e-14)
    assert theory.law("log_gap").mean == pytest.approx(math.log(1 - rho), abs=1e-13)
    same = InfiniteWidth(depth=4, width=4, c_plus=0.5, c_minus=-1.0, rho0=-0.4)
    assert abs(same.law("correlation").mean - rho) > 1e-3


@pytest.mark.parametrize(("width", "depth", "expected"), [(64, 8, 0.6692), (1024, 32, 0.6593), (4096, 64, 0.6500)])
def test_recursion_at_rate_one_quarter_has_its_published_values(width, depth, expected):
    """c = (1, -2), rho0 = -0.2."""
    theory = InfiniteWidth(depth, width, c_plus=1.0, c_minus=-2.0, rate=0.25, rho0=-0.2)
    assert theory.law("correlation").mean == pytest.approx(expected, abs=5.1e-5)


def test_log_gap_of_a_deep_unshaped_network_falls_as_its_asymptote():
    """1 - rho_l -> 9 pi^2/(2 l^2): 1/sqrt(gap) grows by sqrt(2)/(3 pi) a layer, plus a logarithm."""
    depth = 4000
    gap = math.exp(InfiniteWidth(depth, 4, c_minus=-1.0, rate=0.0, rho0=0.3).law("log_gap").mean)
    growth = math.sqrt(2) / (3 * math.pi)
    logarithm = math.log(depth) / (math.sqrt(2) * math.pi)
    assert (1 / math.sqrt(gap) - logarithm) / depth == pytest.approx(growth, rel=3e-3)


def test_log_gap_keeps_relative_accuracy_where_the_correlation_rounds_to_one():
    rho0 = 1 - 2.0**-50
    gap = InfiniteWidth(1, 4, c_minus=-1.0, rate=0.0, rho0=rho0).law("log_gap").mean
    expected = 2.0**-50 * (1 - (2 * math.sqrt(2) / (3 * math.pi)) * 2.0**-25)
    assert gap == pytest.approx(math.log(expected), abs=1e-14)


def test_fluctuation_of_one_wide_layer_is_exact():
    """Mean and variance of every observable after one layer of 400 units; O(1/n) shifts stay below the error."""
    networks, n = 10_000, 400
    drawn = simulate((n,), 0.5, -1.0, 0.25, -0.4, networks, seed=1)
    theory = InfiniteWidthCLT(1, n, c_plus=0.5, c_minus=-1.0, rate=0.25, rho0=-0.4)
    for name, values in drawn.items():
        law = theory.law(name)
        assert abs(values.var() / law.std**2 - 1) < 4.5 * math.sqrt(2 / networks) + 4 / n
        assert abs(values.mean() - law.mean) < 4.5 * law.std / math.sqrt(networks) + 4 / n
        assert abs(values.var() / (1.2 * law.std**2) - 1) > 4.5 * math.sqrt(2 / networks) + 4 / n


def test_fluctuation_through_layers_of_unequal_widths():
    """Four layers: the derivative of the recursion carries the noise of earlier ones."""
    widths, networks = (200, 400, 300, 800), 6000
    drawn = simulate(widths, 2.0, -2.0, 0.25, -0.4, networks, seed=2)
    theory = InfiniteWidthCLT(4, widths=widths, c_plus=2.0, c_minus=-2.0, rate=0.25, rho0=-0.4)
    tolerance = 4.5 * math.sqrt(2 / networks) + 0.03
    for name, values in drawn.items():
        assert abs(values.var() / theory.law(name).std ** 2 - 1) < tolerance
    gap = np.log(1 - drawn["correlation"])
    assert abs(gap.var() / theory.law("log_gap").std ** 2 - 1) < tolerance
    # without the derivative, variances of the layers simply add: noticed
    added, rho = 0.0, -0.4
    for n in widths:
        added += InfiniteWidthCLT(1, n, c_plus=2.0, c_minus=-2.0, rate=0.25, rho0=rho).law("correlation").std ** 2
        rho = InfiniteWidth(1, n, c_plus=2.0, c_minus=-2.0, rate=0.25, rho0=rho).law("correlation").mean
    assert abs(drawn["correlation"].var() / added - 1) > tolerance


def fluctuation_ode(difference, rho0, time, carry=1.0):
    """rho' = nu(rho), s' = 2 nu'(rho) s + (1 - rho^2)^2."""
    k = difference**2 / (2 * math.pi)

    def field(_, y):
        theta = math.acos(min(y[0], 1.0))
        nu = k * (math.sin(theta) - theta * y[0])
        return [nu, -2 * carry * k * theta * y[1] + (1 - y[0] ** 2) ** 2]

    return solve_ivp(field, (0, time), [rho0, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]


def test_below_one_half_the_fluctuation_tends_to_its_equation():
    """n^{1/2 - p} sd at d = n^{2p}, (c_+ - c_-)^2 = 9, rho0 = -0.2: 0.4245 in the limit, from symmetric slopes."""
    rho, s = fluctuation_ode(3.0, -0.2, 1.0)
    assert (rho, math.sqrt(s)) == pytest.approx((0.6163, 0.4245), abs=5e-5)
    errors = []
    for width, depth in ((10**4, 100), (10**6, 1000)):
        law = InfiniteWidthCLT(depth, width, c_plus=1.5, c_minus=-1.5, rate=0.25, rho0=-0.2).law("correlation")
        errors.append((width**0.25 * law.std - math.sqrt(s), law.mean - rho))
    assert abs(errors[1][0]) < 2e-3
    assert abs(errors[1][1]) < 1e-3
    assert errors[0][0] / errors[1][0] == pytest.approx(10, rel=0.15)  # O(n^{-2p})
    assert abs(math.sqrt(fluctuation_ode(3.0, -0.2, 1.0, carry=0.0)[1]) - math.sqrt(s)) > 0.05


def test_linear_network_has_the_fluctuation_of_sample_correlations():
    """Equal slopes: s_{l+1} = s_l + (1 - rho^2)^2/n, ln V ~ N(0, 2d/n)."""
    theory = InfiniteWidthCLT(10, 50, c_plus=1.0, c_minus=1.0, rho0=0.6)
    assert theory.law("correlation").std == pytest.approx(math.sqrt(10 / 50) * (1 - 0.36), rel=1e-9)
    assert theory.law("log_norm").std == pytest.approx(math.sqrt(2 * 10 / 50), rel=1e-12)
