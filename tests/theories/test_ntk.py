"""Laws of neural tangent kernels: contracts, the infinite-width recursion by hand, exact moments against networks."""

import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks.ntk import TangentKernel
from limitbench.numerics.shaping import log_norm_variance
from limitbench.testing.theories import TheoryContract
from limitbench.theories.ntk import InfiniteWidth, LogNormal, relative_second_moment


class TestContracts(TheoryContract):
    theories = (
        InfiniteWidth(8, 64, rho0=0.3),
        InfiniteWidth(3, c_minus=-0.5, rate=0.5, rho0=-1.0, widths=(4, 8, 2)),
        InfiniteWidth(2, 5, rho0=1.0),
        LogNormal(8, 64),
        LogNormal(3, c_plus=0.5, rate=0.5, widths=(4, 8, 2)),
    )


def kernel_by_hand(depth, rho, s_plus, s_minus):
    """Theta_d from the probabilities of equal and of opposite signs, and the arc-cosine kernel of degree 1."""
    c, theta = 2 / (s_plus**2 + s_minus**2), rho
    for _ in range(depth):
        angle = math.acos(rho)
        slope = c * ((s_plus**2 + s_minus**2) * (1 - angle / math.pi) / 2 + s_plus * s_minus * angle / math.pi)
        # E phi(u) phi(v): the ReLU kernel J of both signs, and its mirror image for one input turned round
        equal = (math.sin(angle) + (math.pi - angle) * rho) / (2 * math.pi)
        mirrored = (math.sin(angle) - angle * rho) / (2 * math.pi)
        rho = c * ((s_plus**2 + s_minus**2) * equal - 2 * s_plus * s_minus * mirrored)
        theta = rho + slope * theta
    return theta


@pytest.mark.parametrize("rho0", [-0.7, 0.0, 0.3, 0.95])
@pytest.mark.parametrize(("c_plus", "c_minus", "rate"), [(0.0, -1.0, 0.0), (0.0, -1.5, 0.0), (0.5, -1.0, 0.5)])
def test_recursion_is_that_of_the_arc_cosine_kernels(rho0, c_plus, c_minus, rate):
    slopes = (1 + c_plus * 64**-rate, 1 + c_minus * 64**-rate)
    theory = InfiniteWidth(7, 64, c_plus, c_minus, rate, rho0)
    assert theory.law("ntk_12").mean == pytest.approx(kernel_by_hand(7, rho0, *slopes) / 8, abs=1e-12)


def test_relu_kernel_of_a_deep_network_forgets_its_inputs():
    found = [InfiniteWidth(2000, 64, rho0=rho0).law("ntk_ratio").mean for rho0 in (-0.5, 0.9)]
    np.testing.assert_allclose(found, 0.25, atol=0.004)
    assert InfiniteWidth(2000, 64, rho0=1.0).law("ntk_ratio").mean == pytest.approx(1.0)


def test_wide_networks_have_the_infinite_width_kernel():
    # within 4.5 standard errors and 1e-3 for the bias, which is of order depth/width
    ratio = TangentKernel(4, 1024, rho0=0.9).sample(512)["ntk_ratio"].values
    error = ratio.std() / math.sqrt(len(ratio))
    assert abs(ratio.mean() - InfiniteWidth(4, 1024, rho0=0.9).law("ntk_ratio").mean) < 4.5 * error + 1e-3
    assert abs(ratio.mean() - InfiniteWidth(5, 1024, rho0=0.9).law("ntk_ratio").mean) > 9 * error + 1e-3


MOMENTS = [
    (TangentKernel(4, 3, c_minus=-0.4, inputs=1), "dense"),
    (TangentKernel(4, widths=(5, 3, 8, 4), rate=0.5, inputs=1), "dense"),
    (TangentKernel(6, 32, inputs=1), "exact"),
    (TangentKernel(16, 64, c_minus=-0.5, inputs=1), "exact"),
]


@pytest.mark.parametrize(("network", "sampler"), MOMENTS, ids=str)
def test_mean_and_second_moment_are_exact_at_finite_width(network, sampler):
    n = 16_384 if sampler == "dense" else 50_000
    logs = network.sample(n, seed=1, sampler=sampler)["log_ntk"].values
    kernel = np.where(np.isnan(logs), 0.0, np.exp(logs))
    widths = [layer.width for layer in network.layers]
    slopes = [(layer.slope_plus, layer.slope_minus) for layer in network.layers]
    predicted = relative_second_moment(widths, slopes)

    def deviation(values, expected):
        return abs(values.mean() - expected) / (values.std() / math.sqrt(n))

    assert deviation(kernel, 1.0) < 4.5
    assert deviation(kernel**2, predicted) < 4.5
    # terms as if they were one number, or independent of one another
    growth = math.prod(1 + log_norm_variance(*pair) / w for w, pair in zip(widths, slopes, strict=True))
    assert deviation(kernel**2, growth) > 4.5
    assert deviation(kernel**2, 1 + (growth - 1) / (network.depth + 1)) > 4.5


def test_second_moment_grows_by_7_kappa_thirds_less_1_and_then_like_the_norms():
    small = relative_second_moment([10**6] * 100, [(1.0, 0.0)] * 100)
    assert (small - 1) / 1e-4 == pytest.approx(11 / 3, rel=0.02)
    linear = relative_second_moment([10**6] * 100, [(1.0, 1.0)] * 100)
    assert (linear - 1) / 1e-4 == pytest.approx(4 / 3, rel=0.02)
    t, n = 2.0, 1000
    large = relative_second_moment([n] * int(t * n), [(1.0, 0.0)] * int(t * n))
    # (1 + 4 int_0^1 (1 - s) e^{-6 t s} ds)/3 e^{5 t}
    average = (1 + 4 * (6 * t - 1 + math.exp(-6 * t)) / (6 * t) ** 2) / 3
    assert large == pytest.approx(average * math.exp(5 * t), rel=0.05)


def test_log_normal_has_the_mean_and_the_spread_of_networks():
    logs = TangentKernel(16, 128, inputs=1).sample(20_000)["log_ntk"].values
    law = LogNormal(16, 128).law("log_ntk")
    assert logs.std() == pytest.approx(law.std, rel=0.05)
    assert logs.mean() == pytest.approx(law.mean, rel=0.1)
    assert logs.mean() < -0.2  # E ln K is not ln E K


def test_depths_whose_moments_no_float_holds_are_named():
    with pytest.raises(InputError, match="depth"):
        LogNormal(3000, 2)
