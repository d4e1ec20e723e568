"""Paired ranking: the better theory is found, ties stay ties, and pairing sharpens the comparison."""

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.statistics.laws import Normal, PointMass
from limitbench.statistics.ranking import paired_ratio, rank
from limitbench.statistics.scores import score


def networks(n: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def test_theories_come_in_the_order_of_their_distance():
    found = rank(networks(), {"far": Normal(0.5, 1.0), "exact": Normal(0.0, 1.0), "near": Normal(0.15, 1.0)})
    assert found.theories == ("exact", "near", "far")
    assert found.probability_best["exact"] > 0.99
    assert found.closer[0, 1] > 0.99
    assert found.closer[1, 0] < 0.01
    assert found.difference_high[0, 1] < 0 < found.difference_low[2, 1]
    assert sum(found.probability_best.values()) == pytest.approx(1)


def test_equal_theories_share_the_first_place():
    found = rank(networks(), {"a": Normal(0.1, 1.0), "b": Normal(0.1, 1.0)})
    assert found.probability_best == {"a": 0.5, "b": 0.5}
    assert found.closer[0, 1] == 0.5


def test_pairing_tells_apart_theories_whose_own_intervals_overlap():
    x = networks(500)
    laws = {"a": Normal(1.0, 1.0), "b": Normal(1.03, 1.0)}
    a, b = (score(x, law) for law in laws.values())
    assert a.distance_high > b.distance_low  # unpaired: not told apart
    assert rank(x, laws).difference_high[0, 1] < 0


def test_ranking_averages_over_cells():
    x = np.random.default_rng(0).standard_normal((2000, 2))
    right, wrong = Normal(0.0, 1.0), Normal(0.4, 1.0)
    found = rank(x, {"twice": [right, right], "once": [right, wrong], "never": [wrong, wrong]})
    assert found.theories == ("twice", "once", "never")
    assert found.distance["once"] == pytest.approx((found.distance["twice"] + found.distance["never"]) / 2, abs=0.03)


def test_ratio_interval_covers_the_true_ratio():
    misses = 0
    for seed in range(60):
        ratio = paired_ratio(networks(2000, seed), Normal(0.6, 1.0), Normal(0.2, 1.0), seed=seed, replicates=300)
        misses += not ratio.low <= 3.0 <= ratio.high
    # P(more than 12 misses of 60 at 5 %) = 2e-5; at most 7 of them is what 93 % coverage gives on average + 1.4 sd
    assert misses <= 7


def test_ratio_to_a_theory_that_is_exact_is_bounded_from_below_only():
    ratio = paired_ratio(networks(20_000), Normal(0.3, 1.0), Normal(0.0, 1.0))
    assert ratio.low > 3
    assert np.isnan(ratio.high)


def test_ranking_refuses_what_has_no_order():
    with pytest.raises(InputError, match="at least two theories"):
        rank(networks(), {"a": Normal(0.0, 1.0)})
    with pytest.raises(InputError, match="finite D"):
        rank(np.ones(10), {"a": Normal(0.0, 1.0), "b": PointMass(0.0)})
    with pytest.raises(InputError, match="one law for each of 1 cells"):
        rank(networks(), {"a": Normal(0.0, 1.0), "b": [Normal(0.0, 1.0)] * 2})
