"""Cumulants of one layer's log norm against digamma functions, binomial sums and the published table."""

import math

import numpy as np
import pytest
from scipy.special import digamma, polygamma
from scipy.stats import binom

from limitbench.errors import InputError
from limitbench.numerics.layer_norm_cumulants import layer_norm_cumulants
from limitbench.numerics.log_piecewise_norm import LogPiecewiseNorm


@pytest.mark.parametrize("width", [1, 2, 16, 1024, 2**20])
def test_linear_layer_is_a_log_chi_square(width: int) -> None:
    found = layer_norm_cumulants(width, 1.0, 1.0)
    assert found.mean == pytest.approx(digamma(width / 2) - math.log(width / 2), abs=2e-13)
    assert found.variance == pytest.approx(polygamma(1, width / 2), abs=2e-13)
    assert found.third == pytest.approx(polygamma(2, width / 2), abs=2e-12)
    assert found.death == 0


@pytest.mark.parametrize("width", [2, 5, 32])
def test_relu_layer_is_a_binomial_mixture_given_survival(width: int) -> None:
    k = np.arange(1, width + 1)
    weight = binom.pmf(k, width, 0.5)
    weight /= weight.sum()
    centre = digamma(k / 2) - math.log(width / 4)  # ln (2/n) chi2_K
    mean = float(weight @ centre)
    second = float(weight @ ((centre - mean) ** 2 + polygamma(1, k / 2)))
    found = layer_norm_cumulants(width, 1.0, 0.0)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.variance == pytest.approx(second, abs=1e-12)
    assert found.death == pytest.approx(0.5**width)


#: n x mean and n x variance of a ReLU layer, arXiv 1812.05994.
PUBLISHED = {
    16: (-2.822, 6.714),
    32: (-2.641, 5.680),
    64: (-2.567, 5.312),
    128: (-2.533, 5.150),
    256: (-2.516, 5.074),
    1024: (-2.504, 5.018),
}


@pytest.mark.parametrize("width", PUBLISHED)
def test_published_table_to_its_digits(width: int) -> None:
    found = layer_norm_cumulants(width, 1.0, 0.0)
    # 6.7135 at width 16, where 2^-16 of the layers are dead and left out
    assert width * found.mean == pytest.approx(PUBLISHED[width][0], abs=6e-4)
    assert width * found.variance == pytest.approx(PUBLISHED[width][1], abs=6e-4)
    # the limit, -5/2 and 5, is another number to these digits
    assert width * found.variance != pytest.approx(5, abs=6e-4)


@pytest.mark.parametrize("slope", [0.2, 0.5, -0.7])
def test_leaky_layer_agrees_with_the_rule_for_the_share_of_positive_rows(slope: float) -> None:
    found, rule = layer_norm_cumulants(64, 1.0, slope), LogPiecewiseNorm(1, 64, 1.0, slope)
    assert found.mean == pytest.approx(rule.mean, abs=1e-10)
    assert found.variance == pytest.approx(rule.variance, abs=1e-9)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3])
def test_expansion_in_the_width(slope: float) -> None:
    """n^2-terms (k3/3 - 3 v^2/4) and (5 v^2/2 - k3) with the cumulants v, k3 of c phi(g)^2."""
    c = 2 / (1 + slope**2)
    v = 1.5 * c**2 * (1 + slope**4) - 1
    k3 = 7.5 * c**3 * (1 + slope**6) - 3 * (v + 1) + 2
    n = 2**14
    found = layer_norm_cumulants(n, 1.0, slope)
    assert n * (n * found.mean + v / 2) == pytest.approx(k3 / 3 - 0.75 * v**2, rel=2e-3)
    assert n * (n * found.variance - v) == pytest.approx(2.5 * v**2 - k3, rel=2e-3)


def test_layer_without_slopes_is_refused() -> None:
    with pytest.raises(InputError, match="slopes"):
        layer_norm_cumulants(4, 0.0, 0.0)
