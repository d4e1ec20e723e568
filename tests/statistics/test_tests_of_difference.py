"""Tests of a difference: right level when there is none, power when there is one."""

import math

import numpy as np
import pytest
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.laws import Normal
from limitbench.statistics.tests_of_difference import (
    atom_tests,
    holm,
    ks_one_sample,
    ks_two_sample,
    mean_z,
    simultaneous,
    variance_z,
)


def test_two_sample_statistic_and_p_value_are_scipys():
    rng = np.random.default_rng(0)
    for n, m, exact in ((50, 80, True), (800, 1200, False)):
        a, b = rng.standard_normal(n), rng.standard_normal(m) + 0.1
        ks, p = ks_two_sample(a, b)
        reference = stats.ks_2samp(a, b, method="exact")
        assert ks == pytest.approx(reference.statistic, rel=1e-12)
        assert p == pytest.approx(reference.pvalue, rel=1e-9 if exact else 0.05)


def test_one_sample_p_value_notices_a_shift():
    a = np.random.default_rng(0).standard_normal(5000)
    assert ks_one_sample(a, Normal(0.0, 1.0))[1] > 1e-6
    assert ks_one_sample(a, Normal(0.15, 1.0))[1] < 1e-6


def test_z_scores_have_variance_one_and_notice_differences():
    rng = np.random.default_rng(1)
    pairs = [(rng.gamma(3.0, size=400), rng.gamma(3.0, size=900)) for _ in range(300)]
    for z_score in (mean_z, variance_z):
        z = np.array([z_score(a, b) for a, b in pairs])
        # standard error of the mean square of 300 normals: 0.082
        assert abs((z**2).mean() - 1) < 4.5 * 0.082
    a, b = rng.standard_normal(4000), rng.standard_normal(4000)
    assert abs(mean_z(a, b + 0.2)) > 4.5
    assert abs(variance_z(a, 1.3 * b)) > 4.5


def test_z_scores_against_a_number_combine_its_error():
    a = np.random.default_rng(2).standard_normal(1000)
    assert mean_z(a, 0.5, 0.1) == pytest.approx((a.mean() - 0.5) / math.hypot(a.std(ddof=1) / math.sqrt(1000), 0.1))
    assert abs(variance_z(a, 1.0)) < 4.5 < abs(variance_z(a, 2.0))


def test_variance_z_has_its_null_standard_deviation_where_the_fourth_moment_is_small():
    """Uniform samples: m4 = 1.8 s^4, so that m4 in place of m4 - s^4 would shrink z by 1/3. 4.5 standard errors."""
    rng, pairs = np.random.default_rng(7), 2000
    z = np.array([variance_z(rng.random(300), rng.random(500)) for _ in range(pairs)])
    tolerance = 4.5 / math.sqrt(2 * pairs)
    assert abs(z.std() - 1) < tolerance
    assert abs(z.mean()) < 4.5 / math.sqrt(pairs)
    # companion: the wrong standard error
    assert abs(z.std() * math.sqrt(0.8 / 1.8) - 1) > 3 * tolerance


def test_holm_is_the_step_down_correction():
    adjusted = holm(np.array([0.04, 0.01, math.nan, 0.03, 0.005]))
    assert adjusted[[0, 1, 3, 4]] == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert math.isnan(adjusted[2])
    assert holm(np.full((2, 2), 0.9)).shape == (2, 2)
    assert holm(np.full((2, 2), 0.9)).max() == 1


def test_simultaneous_band_covers_all_cells_together():
    rng = np.random.default_rng(3)
    root = np.linalg.cholesky(0.5 + 0.5 * np.eye(20))
    together = apart = 0
    for _ in range(200):
        estimates = root @ rng.standard_normal(20)
        replicates = rng.standard_normal((500, 20)) @ root.T
        low, high = simultaneous(estimates, replicates)
        together += bool(((low <= 0) & (high >= 0)).all())
        apart += bool((np.abs(estimates) <= 1.96).all())
    assert stats.binom.cdf(together, 200, 0.95) > 1e-6
    assert stats.binom.cdf(apart, 200, 0.95) < 1e-6  # companion: intervals of each cell alone do not


class DeadOrNormal(Law):
    """An atom at 0 with the given mass, else |normal|."""

    def __init__(self, mass: float) -> None:
        self.mass = mass

    mean = std = math.nan

    def cdf(self, x):
        return np.where(x >= 0, self.mass + (1 - self.mass) * (2 * stats.norm.cdf(np.maximum(x, 0)) - 1), 0.0)

    def quantile(self, u):
        return stats.norm.ppf(0.5 + 0.5 * np.maximum((np.asarray(u) - self.mass) / (1 - self.mass), 0))


def test_atoms_are_tested_by_their_mass_and_by_the_rest():
    rng = np.random.default_rng(4)
    x = np.where(rng.random(4000) < 0.3, 0.0, np.abs(rng.standard_normal(4000)))
    right = atom_tests(x, DeadOrNormal(0.3), atom=0.0, mass=0.3)
    assert min(right.mass_pvalue, right.rest_pvalue) > 1e-6
    assert right.expected == 1200
    # companions: a wrong mass, a wrong law of the rest
    assert atom_tests(x, DeadOrNormal(0.35), atom=0.0, mass=0.35).mass_pvalue < 1e-6
    assert atom_tests(1.15 * x, DeadOrNormal(0.3), atom=0.0, mass=0.3).rest_pvalue < 1e-6


def test_randomised_transform_makes_a_discrete_law_uniform():
    class Counts(DeadOrNormal):
        def cdf(self, x):
            return stats.poisson.cdf(x, 2.0)

    x = np.random.default_rng(5).poisson(2.0, 3000).astype(float)
    mass = float(stats.poisson.pmf(0, 2.0))
    assert atom_tests(x, Counts(mass), atom=0.0, mass=mass).rest_pvalue > 1e-6
    y = np.random.default_rng(5).poisson(2.3, 3000).astype(float)
    assert atom_tests(y, Counts(mass), atom=0.0, mass=mass).rest_pvalue < 1e-6


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(InputError, match="finite samples"):
        ks_two_sample(np.array([0.0, math.inf]), np.zeros(3))
    with pytest.raises(InputError, match="probability"):
        atom_tests(np.zeros(3), Normal(0.0, 1.0), atom=0.0, mass=1.5)
