"""The generating function of the log norm against closed forms and against the mixture over signs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma, loggamma, polygamma
from scipy.stats import beta, binom

from limitbench.numerics.log_piecewise_norm import LogPiecewiseNorm

#: Real and complex arguments inside the strip, along lines that inversion uses.
ARGUMENTS = np.array([-2.0, -0.5, 0.5, 1.0, 3.0, 1.0 + 2.0j, -1.0 + 10.0j, 0.5 - 25.0j])


def test_equal_slopes_give_a_log_chi_square() -> None:
    law = LogPiecewiseNorm(3, 16, 0.7, -0.7)
    exact = 3 * (loggamma(8 + ARGUMENTS) - loggamma(8) - ARGUMENTS * np.log(8))
    np.testing.assert_allclose(np.exp(law.log_mgf(ARGUMENTS)), np.exp(exact), rtol=1e-12)
    assert law.mean == pytest.approx(3 * (digamma(8) - np.log(8)), rel=1e-12)
    assert law.variance == pytest.approx(3 * polygamma(1, 8), rel=1e-12)


@pytest.mark.parametrize(("width", "small"), [(8, 0.3), (8, 0.2), (16, 0.5), (32, 0.1)])
def test_mixture_over_the_number_of_positive_rows(width: int, small: float) -> None:
    """E M^s by the midpoint rule over quantiles of each Beta law: relative error near 1e-4."""
    c = 2 / (1 + small**2)
    levels = (np.arange(5_000) + 0.5) / 5_000
    mixture = np.zeros(ARGUMENTS.shape, dtype=complex)
    for k in range(width + 1):
        share = np.full(1, float(k > 0)) if k in (0, width) else beta.ppf(levels, k / 2, (width - k) / 2)
        log_m = np.log(c * (share + small**2 * (1 - share)))
        mixture += binom.pmf(k, width, 0.5) * np.exp(ARGUMENTS[:, None] * log_m).mean(axis=1)
    gamma = np.exp(loggamma(width / 2 + ARGUMENTS) - loggamma(width / 2) - ARGUMENTS * np.log(width / 2))
    law = LogPiecewiseNorm(1, width, 1.0, small)
    got = np.exp(law.log_mgf(ARGUMENTS))
    # Far along the imaginary axis only the size relative to the value on the real axis matters.
    scale = np.abs(np.exp(law.log_mgf(ARGUMENTS.real.astype(complex))))
    np.testing.assert_allclose(got / scale, gamma * mixture / scale, rtol=1e-3, atol=1e-6)
    assert np.exp(law.log_mgf(np.ones(1, dtype=complex)))[0] == pytest.approx(1, rel=1e-12), "E V_1 = V_0"


def test_slope_is_the_derivative() -> None:
    law = LogPiecewiseNorm(5, 24, 1.0, 0.4)
    s, h = np.array([-3.0, 0.0, 4.0]), 1e-5
    numerical = (law.log_mgf((s + h).astype(complex)) - law.log_mgf((s - h).astype(complex))).real / (2 * h)
    np.testing.assert_allclose(law.slope(s), numerical, rtol=1e-7)
