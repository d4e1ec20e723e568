"""Sums of independent variables through their moment generating functions."""

import numpy as np
from scipy import stats

from limitbench.numerics.characteristic import tail_probabilities
from limitbench.numerics.independent_sum import IndependentSum, NormalTerm, tail_table
from limitbench.numerics.log_chi_square import LogChiSquareSum

CHI = LogChiSquareSum(((3, 3.0, 1),))


def test_a_sum_adds_means_and_takes_the_nearest_edge():
    law = IndependentSum((NormalTerm(-1.0, 2.0), CHI))
    assert law.edge == CHI.edge == -1.5
    zero = np.zeros(1)
    np.testing.assert_allclose(law.slope(zero), CHI.slope(zero) - 1.0)
    step = 1e-6
    derivative = (law.log_mgf(np.array([0.3 + step + 0j])) - law.log_mgf(np.array([0.3 - step + 0j]))).real / (2 * step)
    np.testing.assert_allclose(derivative, law.slope(np.array([0.3])), rtol=1e-8)


def test_table_of_a_convolution_keeps_both_tails():
    law = IndependentSum((NormalTerm(0.5, 0.25), CHI))
    x, below, above = tail_table(law, 41)
    z = np.linspace(-12, 12, 6001)
    weight = stats.norm.pdf(z)
    weight /= weight.sum()
    inner = 3 * np.exp(x[:, None] - 0.5 - 0.5 * z)
    seen = (above > 1e-12) & (below > 1e-12)
    np.testing.assert_allclose(below[seen], (stats.chi2(3).cdf(inner) @ weight)[seen], rtol=1e-8)
    np.testing.assert_allclose(above[seen], (stats.chi2(3).sf(inner) @ weight)[seen], rtol=1e-8)


def test_a_wrong_variance_is_noticed():
    x, below, _ = tail_table(IndependentSum((NormalTerm(0.5, 0.25), CHI)), 41)
    wrong, _ = tail_probabilities(IndependentSum((NormalTerm(0.5, 0.26), CHI)), x)
    assert np.abs(wrong - below).max() > 1e-4
