"""Moments of one layer's angle: the published expansions, their O(n^-2) errors, and the exact small-angle law."""

import math

import numpy as np
import pytest

from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.numerics.angle_law import exact_small_angle, layer_step, published_drop, small_angle_step


def one_layer(theta, width, networks):
    """ln sin^2 theta' of independent networks of one layer, by the network's own sampler."""
    log_gap = UnshapedMLP(1, width, rho0=math.cos(theta)).sample(networks, seed=9)["log_q"].values
    return log_gap + np.log(2 - np.exp(log_gap))


def test_exact_small_angle_constants_at_width_32():
    """The published rho(32) = .1430 and 8n/(n+5)^2 = .187 are further from .0719 and .288 than 2/n and 8/n."""
    mean, variance = exact_small_angle(32)
    assert (-mean, variance) == pytest.approx((0.0719, 0.288), abs=1e-4)
    assert published_drop(32) == pytest.approx(0.1430, abs=1e-4)
    assert small_angle_step(np.array(1e-6), 32).variance == pytest.approx(0.187, abs=1e-4)


@pytest.mark.parametrize("width", [32, 64, 128, 512])
def test_plain_constants_beat_the_published_ones(width):
    """Published: errors of 73 to 91 n^-2 in the mean and 103 to 115 in the variance; plain: 8 to 10 and 33 to 39."""
    mean, variance = exact_small_angle(width)
    assert 70 < (mean + published_drop(width)) * width**2 < 95
    assert 95 < (variance - 8 * width / (width + 5) ** 2) * width**2 < 120
    assert abs(mean + 2 / width) * width**2 < 12
    assert abs(variance - 8 / width) * width**2 < 45


@pytest.mark.parametrize(
    ("theta", "width", "mean", "mean_se", "variance"),
    [(0.1, 32, -72.9, 0.5, -88.0), (1.0, 32, -31.9, 0.3, -17.0), (0.1, 64, -81.5, 2.1, -95.0)],
)
def test_expansion_errors_are_those_of_order_n_to_the_minus_two(theta, width, mean, mean_se, variance):
    """(formula - simulation) n^2 of the sheet's table; 4.5 combined standard errors."""
    networks = 65536
    x = one_layer(theta, width, networks)
    step = layer_step(np.array(theta), width)
    se = x.std() / math.sqrt(networks)
    assert abs((float(step.mean) - x.mean()) * width**2 - mean) < 4.5 * math.hypot(se * width**2, mean_se)
    spread = ((x - x.mean()) ** 2).std() / math.sqrt(networks)
    assert abs((float(step.variance) - x.var()) * width**2 - variance) < 4.5 * math.hypot(spread * width**2, 1.0)
    # the companion: the expansion's own size is far beyond its error
    assert abs(float(step.mean) - x.mean()) > 10 * se


def test_small_angle_formulas_are_the_limit_of_the_general_ones_to_leading_order():
    """The published constants drop terms of order n^-2: 5 % of the variance at n = 32, 0.1 % at n = 1024."""
    theta = np.array([1e-12, 1e-4, 0.0099, 0.0101])
    for width, rest in ((32, 12.0), (256, 12.0), (1024, 12.0)):
        general, small = layer_step(theta, width), small_angle_step(theta, width)
        np.testing.assert_allclose(general.mean, small.mean, atol=rest / width**2 + 1e-4 / width)
        np.testing.assert_allclose(general.variance, small.variance, atol=rest / width**2 + 0.01 / width)
        assert np.ptp(general.variance) < 0.01 / width
        assert abs(np.ptp(general.mean[2:] - 2 * np.log(np.sin(theta[2:])))) < 1e-4


def test_mean_step_is_the_infinite_width_map_for_wide_layers():
    theta = np.array([0.1, 0.5, 1.0, 2.0, 3.0])
    cosine = (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / math.pi
    np.testing.assert_allclose(layer_step(theta, 10**9).mean, np.log(1 - cosine**2), atol=1e-6)


def test_figure_one_means_by_the_recursion_of_the_mean():
    """Approximation 1 of arXiv 2302.09712 at n = 256, theta_0 = 0.1: -4.6390, -4.9001, -5.4106."""
    x, found = 2 * math.log(math.sin(0.1)), {}
    for layer in range(1, 31):
        x = float(small_angle_step(np.array(math.asin(math.exp(x / 2))), 256).mean)
        found[layer] = x
    assert (found[1], found[10], found[30]) == pytest.approx((-4.6390, -4.9001, -5.4106), abs=6e-5)
