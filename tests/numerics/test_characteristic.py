"""Inversion of moment generating functions against closed forms and against Gil-Pelaez quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import loggamma, ndtr
from scipy.stats import chi2

from limitbench.numerics.characteristic import score_nodes, tail_probabilities
from limitbench.numerics.log_chi_square import LogChiSquareSum, log_gamma_ratio


class _Normal:
    """K(s) = mean s + variance s^2/2; a strip edge far from the origin."""

    def __init__(self, mean: float, variance: float) -> None:
        self.mean, self.variance, self.edge = mean, variance, -40 / np.sqrt(variance)

    def log_mgf(self, s):
        return self.mean * s + self.variance * s**2 / 2

    def slope(self, s):
        return self.mean + self.variance * s


def _tail_errors(law, x, cdf, survival):
    """Largest relative errors of both tails down to 1e-14."""
    below, above = tail_probabilities(law, x)
    low, high = (cdf > 1e-14) & (cdf < 0.6), (survival > 1e-14) & (survival < 0.6)
    return np.max(np.abs(below[low] / cdf[low] - 1)), np.max(np.abs(above[high] / survival[high] - 1))


@pytest.mark.parametrize("degrees", [1, 2, 3, 16, 64, 2000, 100_000])
def test_log_chi_square_has_both_tails_to_relative_accuracy(degrees):
    law = LogChiSquareSum(((degrees, 7.0, 1),))
    x = score_nodes(law, 801)
    y = 7.0 * np.exp(x)
    # scipy's own cdf of a chi-square with 1e5 degrees of freedom is good to about 1e-10.
    assert max(_tail_errors(law, x, chi2.cdf(y, degrees), chi2.sf(y, degrees))) < 1e-9
    wrong = chi2.cdf(y, degrees * 1.001 + 1e-3), chi2.sf(y, degrees * 1.001 + 1e-3)
    assert max(_tail_errors(law, x, *wrong)) > 1e-4


@pytest.mark.parametrize("width", [2, 3, 16, 500])
def test_product_of_two_chi_squares_is_a_squared_chi_square(width):
    """Legendre's duplication: chi2_k chi2_{k+1} = (chi2_{2k}/2)^2 in law."""
    law = LogChiSquareSum(((width, 1.0, 1), (width - 1, 1.0, 1)))
    x = score_nodes(law, 801)
    y = 2 * np.exp(x / 2)
    degrees = 2 * (width - 1)
    assert max(_tail_errors(law, x, chi2.cdf(y, degrees), chi2.sf(y, degrees))) < 1e-9


@pytest.mark.parametrize("variance", [1e-6, 1.0, 1e4])
def test_normal_law(variance):
    law = _Normal(0.3, variance)
    z = score_nodes(law, 801)
    score = (z - 0.3) / np.sqrt(variance)
    assert np.ptp(np.diff(score)) < 1e-4, "nodes are even in normal score"
    assert max(_tail_errors(law, z, ndtr(score), ndtr(-score))) < 1e-9


@pytest.mark.parametrize(("width", "depth"), [(2, 1), (4, 40), (16, 16), (512, 64)])
def test_agrees_with_gil_pelaez_quadrature(width, depth):
    """F(x) = 1/2 - (1/pi) int_0^inf Im(e^{-itx} phi(t))/t dt, by adaptive quadrature and scipy's log-gamma."""
    law = LogChiSquareSum(((width, float(width), depth),))

    def gil_pelaez(x: float) -> float:
        def integrand(t: float) -> float:
            s = 1j * t
            exponent = depth * (loggamma(width / 2 + s) - loggamma(width / 2) + s * np.log(2 / width))
            return float((np.exp(exponent - s * x)).imag / t)

        reach = 10 * np.sqrt(width / (2 * depth)) + 24 / depth
        return 0.5 - quad(integrand, 1e-13, reach, epsabs=1e-12, epsrel=1e-12, limit=500)[0] / np.pi

    x = score_nodes(law, 41)[10:31:4]
    np.testing.assert_allclose(tail_probabilities(law, x)[0], [gil_pelaez(v) for v in x], rtol=0, atol=2e-11)


def test_cdf_and_survival_add_to_one_and_are_monotone():
    law = LogChiSquareSum(((1, 3.0, 2), (5, 3.0, 7)))
    x = score_nodes(law, 3001)
    below, above = tail_probabilities(law, x)
    assert np.all(np.diff(x) > 0)
    assert np.all(np.diff(below) >= 0)
    assert np.all(np.diff(above) <= 0)
    np.testing.assert_allclose(below + above, 1, atol=1e-15)
    assert below[0] < 1e-15
    assert above[-1] < 1e-15


@pytest.mark.parametrize("a", [32.0, 32.5, 500.0, 5e4])
def test_log_gamma_ratio_keeps_its_digits_at_large_argument(a):
    """Its recurrence: r(a, s + 1) - r(a, s) = ln(1 + s/a); the plain difference of log-gammas loses digits."""
    s = np.linspace(-0.75 * a, a, 7) + 1j * np.linspace(0, a, 5)[:, None]
    close = s[np.abs(s) < 0.3 * a]
    error = np.abs(log_gamma_ratio(a, close + 1) - log_gamma_ratio(a, close) - np.log1p(close / a))
    assert np.max(error) < 1e-15 * a + 1e-14
    np.testing.assert_allclose(
        log_gamma_ratio(a, s), loggamma(a + s) - loggamma(a) - s * np.log(a), rtol=1e-11, atol=1e-9
    )
    small = np.array([0.01 + 0.02j])
    exact = small * (small - 1) / (2 * a) - small * (small - 1) * (2 * small - 1) / (12 * a**2)
    np.testing.assert_allclose(log_gamma_ratio(a, small), exact, rtol=2 / a**2)
    if a > 1e4:
        plain = loggamma(a + small) - loggamma(a) - small * np.log(a)
        assert np.abs(plain / exact - 1) > 100 / a**2, "the plain difference would have done"


def test_cumulants_are_derivatives_of_the_generating_function():
    law = LogChiSquareSum(((3, 4.0, 2), (64, 64.0, 5)))
    radius, points = 0.4, 64
    circle = radius * np.exp(2j * np.pi * np.arange(points) / points)
    coefficients = np.fft.fft(law.log_mgf(circle)).real / points
    factorial = 1.0
    for order in (1, 2, 3, 4):
        factorial *= order
        assert law.cumulant(order) == pytest.approx(coefficients[order] * factorial / radius**order, rel=1e-9)
