"""The density of sums of log-gamma variables, tails included, against closed forms and convolution."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from limitbench.numerics.log_gamma_sum import LogGammaSum


def one_term(x, shape, scale):
    return shape * (x + np.log(scale)) - scale * np.exp(x) - gammaln(shape)


@pytest.mark.parametrize(("shape", "scale"), [(0.75, 1.0), (3.75, 4.0), (63.75, 64.0)])
def test_inversion_of_one_term_is_its_closed_form(shape, scale):
    x = np.linspace(-20, 4, 9) / np.sqrt(shape)
    inverted = LogGammaSum(shape, scale, 1).inverted_log_density(x)
    np.testing.assert_allclose(inverted, one_term(x, shape, scale), atol=1e-11)
    np.testing.assert_allclose(LogGammaSum(shape, scale, 1).log_density(x), one_term(x, shape, scale), atol=1e-12)


@pytest.mark.parametrize("x", [-12.0, -3.0, 0.0, 2.5])
def test_two_terms_are_a_convolution(x):
    def integrand(y):
        return np.exp(one_term(y, 3.75, 4.0) + one_term(x - y, 3.75, 4.0))

    density, _ = quad(integrand, x / 2 - 12, x / 2 + 12, epsabs=0, epsrel=1e-10, limit=400)
    assert LogGammaSum(3.75, 4.0, 2).log_density(np.array([x]))[0] == pytest.approx(np.log(density), abs=1e-8)


def test_many_terms_integrate_to_one():
    law = LogGammaSum(7.75, 8.0, 32)
    x = np.linspace(-20, 12, 801)
    density = np.exp(law.log_density(x))
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-12)
    assert np.trapezoid(density * x, x) == pytest.approx(law.slope(np.zeros(1))[0], abs=1e-10)
