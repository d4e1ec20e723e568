"""Gaussian expectations of activations against adaptive quadrature, two-dimensional sums and high precision."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, special

from limitbench.errors import InputError
from limitbench.numerics.erf_mixture import gaussian_moment, tanh_mixture
from limitbench.numerics.mean_field_kernels import mean_field_kernel

NAMES = ("tanh", "erf", "relu", "relu-0.55", "relu-0.85")
SIZES = (1e-6, 1e-3, 0.3, 2.0, 1e2, 1e4, 1e6)

FUNCTIONS = {"tanh": math.tanh, "erf": math.erf, "relu": lambda x: max(x, 0.0)}
SLOPES = {
    "tanh": lambda x: 1.0 / math.cosh(min(abs(x), 300.0)) ** 2,
    "erf": lambda x: 2.0 / math.sqrt(math.pi) * math.exp(-x * x),
    "relu": lambda x: float(x > 0),
}


def functions(name):
    if name in FUNCTIONS:
        return FUNCTIONS[name], SLOPES[name]
    a = float(name.split("-")[1])
    return (lambda x: max(x, 0.0) ** a), (lambda x: a * x ** (a - 1.0) if x > 0 else 0.0)


def expectation(f, q):
    """E f(z), z ~ N(0, q), by adaptive quadrature in pieces around the turn at 0, in ln |z|."""

    def integrand(u):
        z = math.exp(u)
        return (f(z) + f(-z)) * math.exp(-z * z / (2 * q)) / math.sqrt(2 * math.pi * q) * z

    # far enough on the left for a slope of exponent -0.9
    ends = [math.log(math.sqrt(q)) - 40.0 * k for k in (8, 4, 1)] + [math.log(math.sqrt(q))]
    ends = sorted({*ends, *(v for v in (-2.0, 0.0, 1.0) if v < ends[-1] + 2.0), ends[-1] + 2.5})
    return sum(
        integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-12, limit=400)[0] for a, b in itertools.pairwise(ends)
    )


@pytest.mark.parametrize("name", NAMES)
def test_expectations_of_one_input(name):
    kernel, (phi, slope) = mean_field_kernel(name), functions(name)
    for q in SIZES:
        assert float(kernel.square(q)) == pytest.approx(expectation(lambda z: phi(z) ** 2, q), rel=1e-10)
        assert float(kernel.slope_square(q)) == pytest.approx(expectation(lambda z: slope(z) ** 2, q), rel=1e-10)
        mean = 0.0 if kernel.odd else expectation(phi, q)
        assert float(kernel.mean(q)) == pytest.approx(mean, rel=1e-10)
        assert kernel.scalar_mean(q) == pytest.approx(float(kernel.mean(q)), rel=1e-14)
        assert kernel.scalar_square(q) == pytest.approx(float(kernel.square(q)), rel=1e-12)
        assert kernel.scalar_slope_square(q) == pytest.approx(float(kernel.slope_square(q)), rel=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_derivatives(name):
    kernel, q = mean_field_kernel(name), np.array([1e-3, 0.3, 2.0, 1e2, 1e4])
    h = 1e-4 * q
    for function, slope in ((kernel.square, kernel.square_slope), (kernel.slope_square, kernel.slope_square_slope)):
        difference = (function(q + h) - function(q - h)) / (2 * h)
        np.testing.assert_allclose(slope(q), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_moments_that_fluctuations_need(name):
    kernel, (phi, slope) = mean_field_kernel(name), functions(name)
    finite_fourth = kernel.exponent is None or kernel.exponent > 0.75
    for q in (1e-3, 0.7, 3e3):
        for a, b in ((4, 0), (2, 2), (0, 4), (2, 0), (0, 2)):
            if b == 4 and not finite_fourth:
                assert float(kernel.moment(a, b, q)) == math.inf
                continue
            expected = expectation(lambda z, a=a, b=b: phi(z) ** a * slope(z) ** b, q)
            assert float(kernel.moment(a, b, q)) == pytest.approx(expected, rel=1e-9)
    assert kernel.moment(2, 0, np.ones((2, 3))).shape == (2, 3)


def test_plain_gauss_hermite_misses_the_spike_and_the_rule_here_does_not():
    x, w = np.polynomial.hermite_e.hermegauss(120)
    q = 1e4
    naive = (w / math.sqrt(2 * math.pi)) @ np.cosh(np.minimum(abs(math.sqrt(q) * x), 300)) ** -4.0
    exact = float(mean_field_kernel("tanh").slope_square(q))
    assert abs(naive / exact - 1) > 0.5
    sech = gaussian_moment(lambda z: np.cosh(np.minimum(abs(z), 170)) ** -4.0, q)
    assert float(sech) == pytest.approx(exact, rel=1e-12)


def test_tanh_is_a_mixture_of_erf_and_its_rule_has_converged():
    x = np.array([1e-3, 0.1, 1.0, 3.0, 8.0])
    scales, weights = tanh_mixture(24)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert scales @ weights == pytest.approx(math.pi**2 / 12, rel=1e-13)  # E K^2 of Kolmogorov's law
    np.testing.assert_allclose(special.erf(x[:, None] / np.sqrt(2 * scales)) @ weights, np.tanh(x), rtol=1e-12)
    q = np.geomspace(1e-6, 1e6, 25)

    def squares(nodes):
        a, w = tanh_mixture(nodes)
        ratio = q[:, None, None] / np.sqrt((a[:, None] + q[:, None, None]) * (a + q[:, None, None]))
        return 2 / np.pi * np.einsum("qab,a,b->q", np.arcsin(ratio), w, w)

    exact = squares(24)
    assert np.abs(squares(12) / exact - 1).max() < 1e-12
    assert 1e-10 < np.abs(squares(8) / exact - 1).max() < 1e-9


@pytest.mark.parametrize("name", ["tanh", "erf", "relu", "relu-0.85"])
@pytest.mark.parametrize(("q", "q2", "c"), [(0.5, 0.5, 0.3), (2.0, 0.7, 0.8), (3.0, 3.0, -0.6), (30.0, 20.0, 0.95)])
def test_products_of_two_inputs(name, q, q2, c):
    # polar coordinates: trapezoid rule in the angle, exact for the periodic integrand of odd phi, fine for the others
    kernel, (phi, _) = mean_field_kernel(name), functions(name)
    angle = (np.arange(1500) + 0.5) * 2 * np.pi / 1500
    radius, weights = np.polynomial.legendre.leggauss(120)
    radius, weights = 5.0 * (radius + 1), 5.0 * weights * np.exp(-((5.0 * (radius + 1)) ** 2) / 2) * 5.0 * (radius + 1)
    f = np.vectorize(phi) if name.startswith("relu") else {"tanh": np.tanh, "erf": special.erf}[name]
    one = f(math.sqrt(q) * np.outer(radius, np.cos(angle)))
    two = f(math.sqrt(q2) * np.outer(radius, np.cos(angle - math.acos(c))))
    lam = c * math.sqrt(q * q2)
    d = q + q2 - 2 * lam
    product, distance = weights @ (one * two).mean(1), weights @ ((one - two) ** 2).mean(1)
    found, ratio = kernel.scalar_pair(q, q2, lam, d)
    accuracy = 3e-5 if name.startswith("relu") else 1e-9
    assert found == pytest.approx(product, rel=accuracy)
    assert ratio * d == pytest.approx(distance, rel=accuracy)
    assert float(kernel.product(q, q2, lam)) == pytest.approx(found, rel=1e-12)
    assert float(kernel.distance(q, q2, d)) == pytest.approx(ratio * d, rel=1e-12)
    swapped = kernel.scalar_pair(q2, q, lam, d)
    assert swapped == pytest.approx((found, ratio), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_distances_of_merging_inputs(name):
    kernel = mean_field_kernel(name)
    for q in (1e-4, 1.0, 1e4):
        limit = kernel.scalar_slope_square(q)
        assert kernel.scalar_pair(q, q, q, 0.0)[1] == pytest.approx(limit, rel=1e-12)
        tiny = kernel.scalar_pair(q, q, q, 1e-200 * q)[1]
        slow = kernel.exponent is not None and kernel.exponent < 1  # the correction is d^(a-1/2)
        assert tiny == pytest.approx(limit, rel=1e-9 if slow else 1e-12)
        # no jump where the formula for merged inputs takes over
        below, above = (
            kernel.scalar_pair(q, q, q - d / 2, d)[1] for d in (0.999e-11 * min(1, q), 1.001e-11 * min(1, q))
        )
        assert below == pytest.approx(above, rel=1e-4 if slow else 1e-6 if kernel.exponent else 1e-10)


def exact_distance(q, q2, d):
    """E (erf z - erf z')^2 with 50 digits."""
    with mpmath.workdps(50):
        q, q2, d, half = (mpmath.mpf(v) for v in (q, q2, d, 0.5))
        lam = (q + q2 - d) / 2

        def w(one, two, cov):
            return mpmath.asin(cov / mpmath.sqrt((half + one) * (half + two)))

        return float(2 / mpmath.pi * (w(q, q, q) + w(q2, q2, q2) - 2 * w(q, q2, lam)))


@pytest.mark.parametrize(
    ("q", "q2", "d"),
    [
        (1, 1, 1e-9),
        (1, 1, 3.9),
        (1, 1.3, 0.4),
        (1e4, 1e4, 1e-5),
        (1e4, 10001, 2.0),
        (1e-4, 2e-4, 3e-4),
        (1, 1, 1e-13),
        (1, 1 + 1e-8, 3e-13),
        (1, 1 + 2e-6, 1.5e-12),
    ],
)
def test_distances_do_not_cancel(q, q2, d):
    kernel, q, q2 = mean_field_kernel("erf"), float(q), float(q2)
    exact = exact_distance(q, q2, d)
    assert float(kernel.distance(q, q2, d)) == pytest.approx(exact, rel=1e-10)
    if d / q < 1e-8:
        lam = (q + q2 - d) / 2
        naive = float(kernel.square(q) + kernel.square(q2) - 2 * kernel.product(q, q2, lam))
        assert abs(naive / exact - 1) > 1e-8


def test_opposite_and_orthogonal_inputs():
    for name in ("tanh", "erf"):
        kernel = mean_field_kernel(name)
        assert kernel.scalar_pair(2.0, 2.0, -2.0, 8.0)[0] == pytest.approx(-kernel.scalar_square(2.0), rel=1e-12)
        assert kernel.scalar_pair(2.0, 1.0, 0.0, 3.0)[0] == 0.0
        assert kernel.slope_product(2.0, 2.0) == pytest.approx(kernel.scalar_slope_square(2.0), rel=1e-12)
    relu = mean_field_kernel("relu")
    assert relu.scalar_pair(2.0, 2.0, -2.0, 8.0) == pytest.approx((0.0, 0.25), abs=1e-12)


def test_slope_products_are_derivatives_by_the_covariance():
    for name in NAMES:
        kernel, q, lam, h = mean_field_kernel(name), 1.7, 0.6, 1e-5
        up, down = (kernel.scalar_pair(q, q, lam + s, 2 * (q - lam - s))[0] for s in (h, -h))
        assert kernel.slope_product(q, lam) == pytest.approx((up - down) / (2 * h), rel=1e-8)


def test_long_arrays_are_done_in_blocks():
    q = np.geomspace(1e-3, 1e3, 10_001)
    values = mean_field_kernel("tanh").square(q)
    assert values.shape == q.shape
    assert values[7000] == pytest.approx(float(mean_field_kernel("tanh").square(float(q[7000]))), rel=1e-14)


@pytest.mark.parametrize("name", ["sigmoid", "relu-0.5", "relu-2", "", "TANH"])
def test_other_activations_are_refused(name):
    with pytest.raises(InputError, match="activation"):
        mean_field_kernel(name)
