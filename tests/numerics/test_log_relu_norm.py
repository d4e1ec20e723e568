"""The log norm of a ReLU network: its compressed law against the sum over active units, and against chi-squares."""

import math

import numpy as np
import pytest
from scipy.special import digamma, kolmogorov, loggamma, logsumexp, polygamma
from scipy.stats import binom

from limitbench.numerics.characteristic import tail_probabilities
from limitbench.numerics.log_relu_norm import LogReLUNorm


@pytest.mark.parametrize("width", [32, 64, 1024])
def test_generating_function_is_the_sum_over_active_units(width):
    k = np.arange(1, width + 1)
    weight = binom.logpmf(k, width, 0.5) - math.log1p(-(0.5**width))
    law = LogReLUNorm(3, width)
    for s in (-0.4, 0.5, 2.0, 0.7 + 3j):
        terms = weight + s * math.log(4 / width) + loggamma(k / 2 + s) - loggamma(k / 2)
        full = 3 * logsumexp(terms.astype(complex))
        assert complex(law.log_mgf(np.array(s, dtype=complex))) == pytest.approx(full, abs=1e-8)
    p = np.exp(weight)
    assert law.mean == pytest.approx(3 * (p @ digamma(k / 2) - math.log(width / 4)), abs=1e-8)
    spread = p @ digamma(k / 2) ** 2 - (p @ digamma(k / 2)) ** 2
    assert law.variance == pytest.approx(3 * (p @ polygamma(1, k / 2) + spread), rel=1e-7)


def test_slope_is_the_derivative():
    law, s = LogReLUNorm(5, 48), np.array([-0.4, 0.0, 2.5])
    numeric = (law.log_mgf(s + 1e-5 + 0j) - law.log_mgf(s - 1e-5 + 0j)).real / 2e-5
    np.testing.assert_allclose(law.slope(s), numeric, rtol=1e-7)
    assert law.slope(np.zeros(1))[0] == pytest.approx(law.mean)


def test_cdf_is_that_of_products_of_chi_squares():
    """Kolmogorov-Smirnov with a false alarm of 1e-7; the companion fixes the number of active units at n/2."""
    rng, n, depth, networks = np.random.default_rng(1), 32, 16, 40_000
    law = LogReLUNorm(depth, n)

    def pvalue(units):
        x = np.sort(np.log(rng.chisquare(units) * 2 / n).sum(axis=0))
        cdf, _ = tail_probabilities(law, x[::500])
        return kolmogorov(np.abs(np.arange(networks)[::500] / networks - cdf).max() * math.sqrt(networks))

    assert pvalue(rng.binomial(n, 0.5, (depth, networks))) > 1e-7
    assert pvalue(np.full((depth, networks), n // 2)) < 1e-12
