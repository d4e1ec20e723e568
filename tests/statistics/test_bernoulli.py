"""Atoms as observables: scores of 0/1 networks against a probability, known or estimated by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.laws import Bernoulli, PointMass
from limitbench.statistics.scores import score
from limitbench.testing.laws import LawContract

RUNS = 300
#: Bootstrap replicates behind an interval whose coverage is counted.
REPLICATES = 300


def draws(probability, size, seed):
    return (np.random.default_rng(seed).random(size) < probability).astype(float)


class TestBernoulli(LawContract):
    moment_tolerance = 1e-3  # quadrature across the jump

    def make_law(self):
        return Bernoulli(0.3)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_probability_outside_the_open_interval_is_refused(probability):
    with pytest.raises(InputError, match="probability"):
        Bernoulli(probability)


def test_distance_is_the_difference_of_frequencies_over_the_standard_deviation():
    x = draws(0.3, 100_000, 1)
    found = score(x, Bernoulli(0.5))
    assert found.wasserstein == pytest.approx(0.5 - x.mean(), abs=1e-12)
    assert found.distance == pytest.approx((0.5 - x.mean()) / x.std(ddof=1), rel=1e-9)
    assert found.verdict == "fails"
    assert found.mean_error == pytest.approx(x.mean() - 0.5)


@pytest.mark.parametrize(("reference", "true", "said"), [(None, 0.3, 0.3), (None, 0.3, 0.36), (4000, 0.3, 0.3)])
def test_interval_covers_the_true_distance(reference, true, said):
    """95 % intervals: at most 5 % + 4.5 binomial standard errors of 300 runs lie beside the true distance."""
    truth, missed = abs(true - said) / math.sqrt(true * (1 - true)), 0
    for run in range(RUNS):
        guess = said if reference is None else float(draws(said, reference, 10_000 + run).mean())
        found = score(draws(true, 2000, run), Bernoulli(guess, reference), seed=run, replicates=REPLICATES)
        missed += not found.distance_low <= truth <= found.distance_high
    assert missed <= RUNS * 0.05 + 4.5 * math.sqrt(RUNS * 0.05 * 0.95)


def test_interval_that_forgets_the_noise_of_the_reference_misses():
    missed = 0
    for run in range(RUNS):
        guess = float(draws(0.3, 500, 10_000 + run).mean())
        found = score(draws(0.3, 20_000, run), Bernoulli(guess), seed=run, replicates=REPLICATES)
        missed += not found.distance_low <= 0 <= found.distance_high
    assert missed > RUNS * 0.05 + 4.5 * math.sqrt(RUNS * 0.05 * 0.95)


def test_p_value_is_binomial():
    x = draws(0.02, 1000, 3)
    expected = stats.binomtest(int(x.sum()), 1000, 0.03).pvalue
    assert score(x, Bernoulli(0.03)).ks_pvalue == pytest.approx(expected)


def test_n_star_networks_reject_with_the_stated_power():
    """Two-sided binomial test at 5 %: power 80 %, within 10 % as N* is itself estimated from 100,000 networks."""
    true, said = 0.3, 0.33
    needed = score(draws(true, 100_000, 5), Bernoulli(said)).n_star
    size = round(needed)
    counts = np.random.default_rng(7).binomial(size, true, 4000)
    rejected = np.abs(counts / size - said) > 1.959963984540054 * math.sqrt(said * (1 - said) / size)
    assert rejected.mean() == pytest.approx(0.8, abs=0.1)


def test_networks_that_all_take_one_value_have_no_distance():
    assert math.isnan(score(np.zeros(100), Bernoulli(0.1)).distance)
    assert score(np.zeros(100), PointMass(0.0)).verdict == "undecided"


def test_distance_of_equal_laws_is_unbiased_where_few_draws_stand_behind_the_probability():
    """Reference of 300 draws against 20,000 networks: mean D of 200 runs within 4.5 standard errors of 0."""
    found = []
    for run in range(200):
        guess = float(draws(0.3, 300, 20_000 + run).mean())
        found.append(score(draws(0.3, 20_000, run), Bernoulli(guess, 300), seed=run, replicates=REPLICATES))
    distances = np.array([s.distance for s in found])
    assert abs(distances.mean()) < 4.5 * distances.std() / math.sqrt(len(distances))
    covered = np.mean([s.distance_low <= 0 <= s.distance_high for s in found])
    assert covered > 0.95 - 4.5 * math.sqrt(0.95 * 0.05 / len(found))
    # the null mean is that of the difference of two frequencies
    gaps = [abs(float(draws(0.3, 300, 40_000 + k).mean() - draws(0.3, 20_000, k).mean())) for k in range(200)]
    null = np.mean([s.wasserstein_null for s in found])
    assert null == pytest.approx(np.mean(gaps), rel=4.5 * np.std(gaps) / np.mean(gaps) / math.sqrt(len(gaps)))


def test_rare_events_that_a_binomial_test_tells_apart_have_an_n_star():
    """A frequency of 0.01 against 0.025: significant, although √N times the difference is below Kolmogorov's mean."""
    x = np.zeros(1000)
    x[:10] = 1
    found = score(x, Bernoulli(0.025))
    assert found.ks_pvalue < 0.05
    assert math.sqrt(1000) * found.ks < 0.8687
    assert 200 < found.n_star < 3000
