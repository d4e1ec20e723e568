"""Gaussian kernels of shaped ReLU against brute-force integration over the angle of a Gaussian pair."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from limitbench.errors import InputError
from limitbench.numerics import shaping

SLOPES = [(1.0, 0.0), (1.3, 0.4), (1.0, 1.0), (2.0, -1.0), (0.9, 1.2)]


def pair_expectation(function, theta, s_plus, s_minus):
    """E f(phi(u), phi(v)), f homogeneous of degree 2 or 4, by adaptive quadrature over the angle of (u, v)."""

    def phi(x):
        return s_plus * max(x, 0.0) + s_minus * min(x, 0.0)

    kinks = sorted(((k * math.pi / 2 + sign * theta / 2) + math.pi) % (2 * math.pi) - math.pi
                   for k in (-1, 1) for sign in (-1, 1))  # fmt: skip
    edges = [-math.pi, *kinks, math.pi]
    total = sum(
        quad(lambda b: function(phi(math.cos(b + theta / 2)), phi(math.cos(b - theta / 2))), lo, hi, epsabs=1e-13)[0]
        for lo, hi in itertools.pairwise(edges)
        if hi > lo
    )
    return total / (2 * math.pi)


def degree_two(function, theta, *slopes):
    return 2 * pair_expectation(function, theta, *slopes)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("rho", [-0.95, -0.3, 0.0, 0.5, 0.999])
def test_kernel_is_the_expectation_of_a_product(rho, slopes):
    exact = degree_two(lambda a, b: a * b, math.acos(rho), *slopes)
    assert float(shaping.kernel(rho, *slopes)) == pytest.approx(exact, abs=1e-11)


def test_kernel_check_notices_a_wrong_constant():
    exact = degree_two(lambda a, b: a * b, math.acos(0.5), 1.0, 0.0)
    wrong = 0.25 + shaping.arc_term(math.acos(0.5)) / math.pi  # 1/pi in place of 1/(2 pi)
    assert abs(float(wrong) - exact) > 1e-3


@pytest.mark.parametrize("slopes", SLOPES)
def test_variance_normaliser_keeps_the_second_moment(slopes):
    second = degree_two(lambda a, b: a * a, 1.0, *slopes)
    assert shaping.variance_normaliser(*slopes) * second == pytest.approx(1, abs=1e-12)


def test_variance_normaliser_rejects_a_dead_activation():
    with pytest.raises(InputError, match="slopes"):
        shaping.variance_normaliser(0.0, 0.0)


@pytest.mark.parametrize("rate", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("rho", [-0.8, 0.1, 0.7])
def test_one_layer_moves_the_covariance_by_c_nu_over_n_to_the_2p(rho, rate):
    """E[V_{l+1} | V_l] = V_l + (c/n^{2p}) nu sqrt(V V) at any width, norms that differ included."""
    width, c_plus, c_minus, scale = 7, 0.5, -1.5, 3.0
    slopes = shaping.shaped_slopes(c_plus, c_minus, width, rate)
    c = shaping.variance_normaliser(*slopes)
    exact = c * scale * degree_two(lambda a, b: a * b, math.acos(rho), *slopes)
    moved = scale * rho + c / width ** (2 * rate) * float(shaping.nu(rho, c_plus, c_minus)) * scale
    assert moved == pytest.approx(exact, abs=1e-11)
    without_c = scale * rho + 1 / width ** (2 * rate) * float(shaping.nu(rho, c_plus, c_minus)) * scale
    assert abs(without_c - exact) > 1e-5


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("gap", [1.7, 0.6, 1e-3])
def test_next_gap_is_one_minus_the_normalised_kernel(gap, slopes):
    c = shaping.variance_normaliser(*slopes)
    expected = c / 2 * degree_two(lambda a, b: (a - b) ** 2, float(shaping.angle_from_gap(gap)), *slopes)
    assert float(shaping.next_gap(gap, *slopes)) == pytest.approx(expected, rel=1e-9)


def test_next_gap_of_relu_at_tiny_gaps_is_its_expansion():
    """g' = g - (2g)^{3/2}/(3 pi) + O(g^{5/2}), resolved at gaps where rho rounds to 1."""
    for gap in (1e-8, 1e-14, 1e-22):
        step = (gap - float(shaping.next_gap(gap, 1.0, 0.0))) / gap
        assert step == pytest.approx(2**1.5 * math.sqrt(gap) / (3 * math.pi), rel=1e-3, abs=1e-15)


def test_arc_term_keeps_relative_accuracy():
    for theta in (1e-6, 1e-3, 0.1):
        assert float(shaping.arc_term(theta)) == pytest.approx(theta**3 / 3 - theta**5 / 30 + theta**7 / 840, rel=1e-9)
    below, above = shaping.arc_term(np.array([0.5 - 1e-12, 0.5 + 1e-12]))
    assert below == pytest.approx(above, rel=1e-10)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("gap", [1.9, 1.0, 0.3, 1e-2])
def test_slope_of_next_gap_is_its_derivative(gap, slopes):
    h = 1e-6 * gap
    numeric = float(shaping.next_gap(gap + h, *slopes) - shaping.next_gap(gap - h, *slopes)) / (2 * h)
    assert float(shaping.next_gap_slope(gap, *slopes)) == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("gap", [1.7, 0.6, 1e-3])
def test_log_gap_variance_is_the_delta_method_on_gram_entries(gap, slopes):
    """n Var of V12/sqrt(V11 V22) from the covariances of the three Gram entries, over gap'^2."""
    theta, c = float(shaping.angle_from_gap(gap)), shaping.variance_normaliser(*slopes)
    r = 1 - float(shaping.next_gap(gap, *slopes))

    def direction(a, b):
        return c * (a * b - r / 2 * (a * a + b * b))

    variance = 8 * pair_expectation(lambda a, b: direction(a, b) ** 2, theta, *slopes)
    expected = variance / (1 - r) ** 2
    assert shaping.log_gap_variance(gap, *slopes) == pytest.approx(expected, rel=1e-6)
    # the norms' share matters: without it the check fails
    bare = 8 * pair_expectation(lambda a, b: (c * a * b) ** 2, theta, *slopes) - r**2
    assert abs(bare / (1 - r) ** 2 - expected) > 1e-3 * expected or abs(r) < 1e-3


def test_log_gap_variance_of_linear_network_is_that_of_a_sample_correlation():
    for rho in (-0.5, 0.0, 0.9, 1 - 1e-10):
        gap = 1 - rho
        assert shaping.log_gap_variance(gap, 1.0, 1.0) == pytest.approx((1 + rho) ** 2, rel=1e-9)


def test_log_gap_variance_of_relu_tends_to_eight_at_small_gaps():
    """Var ln of the ratio of two chi-squares of n/2 degrees of freedom: 8/n (arXiv 2302.09712)."""
    assert shaping.log_gap_variance(1e-16, 1.0, 0.0) == pytest.approx(8, rel=1e-6)


@pytest.mark.parametrize(("slopes", "expected"), [((1.0, 1.0), 2.0), ((1.0, 0.0), 5.0)])
def test_log_norm_variance(slopes, expected):
    assert shaping.log_norm_variance(*slopes) == pytest.approx(expected)
