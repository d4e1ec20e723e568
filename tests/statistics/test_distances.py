"""Wasserstein and Kolmogorov-Smirnov distances against brute force, and their null laws against simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from limitbench.statistics.distances import Comparison, noise_excess, null_wasserstein
from limitbench.statistics.laws import Empirical, Normal, PointMass, Tabulated, Transformed

LOG_NORMAL = Transformed(Normal(0.0, 1.0), np.exp, np.log)


def brute_force(samples: np.ndarray, law, grid: np.ndarray) -> float:
    steps = np.searchsorted(np.sort(samples), grid, side="right") / samples.size
    return float(np.trapezoid(np.abs(steps - law.cdf(grid)), grid))


@pytest.mark.parametrize(("shift", "size"), [(0.1, 7), (0.1, 300), (3.0, 50), (-40.0, 50)])
def test_wasserstein_is_the_area_between_the_cdfs(shift, size):
    x = np.sort(np.random.default_rng(0).standard_normal(size) + shift)
    w1 = Comparison.build(x, Normal(0.0, 1.0)).wasserstein
    grid = np.linspace(min(-9.0, x[0] - 1), max(9.0, x[-1] + 1), 2_000_001)
    # the law's cdf is linear between nodes at most 0.016 apart: 1e-4 of its spread
    assert w1 == pytest.approx(brute_force(x, Normal(0.0, 1.0), grid), abs=2e-4)


def test_wasserstein_of_a_heavy_tail_counts_what_lies_beyond_the_samples():
    x = np.sort(LOG_NORMAL.sample(500, seed=3))
    w1 = Comparison.build(x, LOG_NORMAL).wasserstein
    assert w1 == pytest.approx(brute_force(x, LOG_NORMAL, np.geomspace(1e-5, 3e4, 2_000_001)), rel=3e-3)


def test_distances_to_an_empirical_law_are_those_of_two_samples():
    rng = np.random.default_rng(1)
    x, y = np.round(rng.standard_normal(200), 1), np.round(rng.standard_normal(333), 1) + 0.2
    held = Comparison.build(np.sort(x), Empirical(y))
    assert held.wasserstein == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-12)
    assert held.kolmogorov_smirnov == pytest.approx(stats.ks_2samp(x, y).statistic, rel=1e-12)
    assert held.effective_size == pytest.approx(200 * 333 / 533)


def test_kolmogorov_smirnov_and_its_exact_p_value_are_scipys():
    x = np.sort(np.random.default_rng(2).standard_normal(150) + 0.1)
    held, reference = Comparison.build(x, Normal(0.0, 1.0)), stats.kstest(x, "norm", method="exact")
    assert held.kolmogorov_smirnov == pytest.approx(reference.statistic, rel=1e-12)
    assert held.ks_pvalue == pytest.approx(reference.pvalue, rel=1e-9)


def test_limit_p_value_joins_the_exact_one():
    x = np.sort(np.random.default_rng(2).standard_normal(2001) + 0.03)
    held = Comparison.build(x, Normal(0.0, 1.0))
    assert held.ks_pvalue == pytest.approx(stats.kstwo.sf(held.kolmogorov_smirnov, 2001), rel=0.02)


def bridge_means(law, replicates: int = 4000) -> tuple[float, float]:
    """Mean of ∫ |Brownian bridge(F)| dx and its standard error, on 2000 steps in u graded towards both ends."""
    u = stats.norm.cdf(np.linspace(-6, 6, 2001))
    x, rng = law.quantile(u), np.random.default_rng(4)
    noise = rng.standard_normal((replicates, u.size)) * np.sqrt(np.diff(u, prepend=0.0))
    path = np.cumsum(noise, axis=1)
    last = path[:, -1:] + rng.standard_normal((replicates, 1)) * math.sqrt(1 - u[-1])
    areas = np.abs(path - u * last) @ np.gradient(x)
    return float(areas.mean()), float(areas.std() / math.sqrt(replicates))


@pytest.mark.parametrize(
    "law", [Normal(0.3, 2.0), LOG_NORMAL, Tabulated(np.linspace(0, 1, 1001), np.linspace(0, 1, 1001))]
)
def test_null_mean_is_that_of_the_brownian_bridge(law):
    size = 1e8
    mean, se = bridge_means(law)
    closed = null_wasserstein(law, size) * math.sqrt(size)
    # discretising loses 0.2 % of the log-normal tail
    assert abs(closed - mean) < 4.5 * se + 2e-3 * closed
    # companion: the constant √(2/π) matters
    assert abs(closed / math.sqrt(2 / math.pi) - mean) > 4.5 * se + 2e-3 * closed


@pytest.mark.parametrize(("law", "size"), [(Normal(0.0, 1.0), 64), (Normal(0.0, 1.0), 1024), (LOG_NORMAL, 256)])
def test_null_mean_is_that_of_samples_of_the_law(law, size):
    w1, excess = [], []
    for seed in range(300):
        held = Comparison.build(np.sort(law.sample(size, seed=seed)), law)
        w1.append(held.wasserstein)
        excess.append(held.excess)
    null = null_wasserstein(law, size)
    # false alarm 7e-6 each; the capped tail and the estimated excess are good to 4 %
    assert abs(np.mean(w1) - null) < 4.5 * np.std(w1) / math.sqrt(300) + 0.02 * null
    assert abs(np.mean(excess) - null) < 4.5 * np.std(excess) / math.sqrt(300) + 0.04 * null


def test_uniform_law_has_null_mean_pi_over_eight_times_root_two_over_pi():
    uniform = Tabulated(np.linspace(0, 1, 1001), np.linspace(0, 1, 1001))
    assert null_wasserstein(uniform, 10_000) * 100 == pytest.approx(math.pi / 8 * math.sqrt(2 / math.pi), rel=1e-3)


def test_null_mean_of_a_point_mass_is_zero_and_without_variance_undefined():
    assert null_wasserstein(PointMass(1.0), 100) == 0
    x = np.linspace(-7, 7, 801)
    heavy = Tabulated(np.sinh(x), stats.norm.cdf(x), mean=math.nan, std=math.nan)
    assert math.isnan(null_wasserstein(heavy, 100))


def test_noise_excess_is_unbiased_at_zero_and_vanishes_far_away():
    z = np.random.default_rng(5).standard_normal(400_000)
    excess = noise_excess(2.0 * z, np.full(z.shape, 2.0))
    assert abs(excess.mean() - 2 * math.sqrt(2 / math.pi)) < 4.5 * excess.std() / math.sqrt(z.size)
    assert noise_excess(np.array([10.0, -10.0]), np.array([1.0, 0.0])).max() < 1e-20
