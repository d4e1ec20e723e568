"""Rate fits recover planted exponents, with honest errors, and notice a wrong one."""

import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.statistics.rates import clear_of_null, fit_rate

WIDTHS = np.array([16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0])


def planted(a: float, b: float, k: float, relative: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    errors = a * WIDTHS**-b * (1 + k / np.sqrt(WIDTHS))
    se = np.abs(errors) * relative
    return errors + se * np.random.default_rng(seed).standard_normal(WIDTHS.size), se


@pytest.mark.parametrize(("a", "b"), [(0.8, 1.0), (-2.0, 0.5), (3.0, 2.0)])
def test_power_law_is_recovered(a, b):
    errors, se = planted(a, b, 0.0, 0.02)
    fit = fit_rate(WIDTHS, errors, se)
    assert abs(fit.b - b) < 4.5 * fit.b_se
    assert abs(fit.a - a) < 4.5 * fit.a_se
    assert fit.b_se < 0.02
    assert fit.k == fit.k_se == 0
    assert fit.pvalue > 1e-6
    assert fit.predict(64.0) == pytest.approx(a * 64**-b, rel=0.1)


@pytest.mark.parametrize("k", [-1.5, 2.0])
def test_correction_of_order_n_to_minus_one_half_is_recovered(k):
    errors, se = planted(0.8, 0.5, k, 1e-3)
    fit = fit_rate(WIDTHS, errors, se, corrected=True)
    assert abs(fit.b - 0.5) < 4.5 * fit.b_se < 0.2
    assert abs(fit.k - k) < 4.5 * fit.k_se
    # companions: leaving the correction out, or holding the wrong exponent, is noticed by chi2
    assert fit_rate(WIDTHS, errors, se).pvalue < 1e-6
    assert fit_rate(WIDTHS, errors, se, exponent=1.0).pvalue < 1e-6


def test_wrong_exponent_is_noticed():
    errors, se = planted(0.8, 1.0, 0.0, 0.02)
    assert fit_rate(WIDTHS, errors, se, exponent=1.0).pvalue > 1e-6
    assert fit_rate(WIDTHS, errors, se, exponent=0.9).pvalue < 1e-6


def test_standard_errors_are_honest_with_independent_and_with_shared_noise():
    rng, common = np.random.default_rng(3), 0.02
    for covariance in (
        np.diag((0.03 / WIDTHS) ** 2),
        np.diag((0.01 / WIDTHS) ** 2) + common**2 / WIDTHS[:, None] / WIDTHS,
    ):
        root = np.linalg.cholesky(covariance)
        z = []
        for _ in range(60):
            fit = fit_rate(WIDTHS, 1 / WIDTHS + root @ rng.standard_normal(WIDTHS.size), covariance=covariance)
            z.append((fit.b - 1) / fit.b_se)
        # 60 squares: mean 1, standard deviation 0.18; 4.5 of them
        assert abs(np.mean(np.square(z)) - 1) < 4.5 * math.sqrt(2 / 60)


def test_standard_errors_of_the_corrected_fit_are_the_spread_of_its_parameters():
    """Noise whitened to exactly unit covariance: where the fit is linear its spread has no sampling error."""
    exact = 3.0 * WIDTHS**-0.5 * (1 - 1.5 / np.sqrt(WIDTHS))
    se = 1e-3 * np.abs(exact)
    z = np.random.default_rng(0).standard_normal((40, WIDTHS.size))
    z -= z.mean(axis=0)
    z = np.linalg.solve(np.linalg.cholesky(np.cov(z.T)), z.T).T
    fits = [fit_rate(WIDTHS, exact + se * row, se, corrected=True) for row in z]
    spread = np.cov(np.array([(fit.a, fit.b, fit.k) for fit in fits]).T)
    fit = fit_rate(WIDTHS, exact, se, corrected=True)
    assert (fit.a_se, fit.b_se, fit.k_se) == pytest.approx(np.sqrt(np.diag(spread)), rel=0.03)
    np.testing.assert_allclose(fit.covariance, spread, rtol=0.05)
    # companion: the standard errors of a fit without k are others
    plain = fit_rate(WIDTHS, exact, se)
    assert plain.b_se < 0.5 * math.sqrt(spread[1, 1])


def test_ignoring_shared_noise_misjudges_the_error():
    covariance = np.diag((0.001 / WIDTHS) ** 2) + 0.05**2 / WIDTHS[:, None] / WIDTHS
    errors = 1 / WIDTHS
    right = fit_rate(WIDTHS, errors, covariance=covariance)
    wrong = fit_rate(WIDTHS, errors, np.sqrt(np.diag(covariance)))
    assert wrong.b_se > 5 * right.b_se


def test_interval_is_the_normal_one():
    fit = fit_rate(WIDTHS, *planted(0.8, 1.0, 0.0, 0.02))
    low, high = fit.interval("b", 0.95)
    assert high - low == pytest.approx(2 * 1.959964 * fit.b_se, rel=1e-6)
    assert (low + high) / 2 == pytest.approx(fit.b)


def test_cells_without_a_number_are_left_out():
    errors, se = planted(0.8, 1.0, 0.0, 0.02)
    errors[3] = math.nan
    assert fit_rate(WIDTHS, errors, se).dof == WIDTHS.size - 3


def test_only_distances_clear_of_noise_take_part():
    assert list(clear_of_null(np.array([0.1, 0.051, 0.05, 0.0]), np.full(4, 0.01))) == [True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((WIDTHS[:1], np.ones(1), np.ones(1)), {}),
        ((WIDTHS[:2], np.ones(2), np.ones(2)), {"corrected": True}),
        ((-WIDTHS, np.ones(9), np.ones(9)), {}),
        ((WIDTHS, np.ones(9), np.zeros(9)), {}),
        ((WIDTHS, np.ones(9)), {}),
        ((WIDTHS, np.ones(9), np.ones(9)), {"covariance": np.eye(9)}),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments, options):
    with pytest.raises(InputError):
        fit_rate(*arguments, **options)
