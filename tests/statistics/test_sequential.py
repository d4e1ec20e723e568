"""Sequential sampling stops early, and its wrong verdicts stay within the level it was given."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.laws import Normal
from limitbench.statistics.scores import score
from limitbench.statistics.sequential import Looks, sample_until_clear, spending

RUNS = 60


def stream(seed: int):
    values = np.random.default_rng(seed).standard_normal(4096)
    return lambda start, stop: values[start:stop]


def outcomes(law, **options):
    return [
        sample_until_clear(stream(s), law, first=512, most=4096, seed=s, replicates=300, **options) for s in range(RUNS)
    ]


def test_levels_spend_exactly_the_error_allowed():
    """On either side of an interval, half of what it misses; the last look is that of a sample of fixed size."""
    levels = spending(0.95, 4)
    assert sum((1 - level) / 2 for level in levels) == pytest.approx(0.05)
    assert list(levels) == sorted(levels, reverse=True)
    assert levels[-1] == 0.95
    assert spending(0.95, 1) == (0.95,)


def test_sampling_stops_as_soon_as_the_theory_clearly_fails():
    found = outcomes(Normal(0.5, 1.0))
    assert all(f.score.verdict == "fails" and f.networks == 512 and f.looks == 1 for f in found)


def verdicts_on_the_margin(levels) -> dict[str, int]:
    """Runs in which some look says so of a shift of 0.1, D = 0.1, at the margin of 0.1.

    `fails` is wrong there and `holds` is wrong just above it.
    """
    found = {"holds": 0, "fails": 0}
    for s in range(RUNS):
        draw, sizes = stream(s), (512, 1024, 2048, 4096)
        looks = [
            score(draw(0, size), Normal(0.1, 1.0), margin=0.1, level=level, seed=s, replicates=400).verdict
            for size, level in zip(sizes, levels, strict=True)
        ]
        for verdict in found:
            found[verdict] += verdict in looks
    return found


def test_wrong_verdicts_of_all_looks_together_stay_within_the_level():
    """False alarm below 1e-6 at 5 % each; no look is left out for being hopeless, which would lower the rates."""
    for count in verdicts_on_the_margin(spending(0.95, 4)).values():
        assert stats.binom.sf(count - 1, RUNS, 0.05) > 5e-7


def test_looks_that_spend_nothing_are_noticed():
    for count in verdicts_on_the_margin([0.6] * 4).values():
        assert stats.binom.sf(count - 1, RUNS, 0.05) < 5e-7


def test_clear_theories_are_settled_before_the_last_look():
    found = outcomes(Normal(0.0, 1.0), margin=0.2)
    assert all(f.score.verdict == "holds" for f in found)
    assert np.mean([f.networks for f in found]) < 4096


def test_looks_double_up_to_all_networks():
    assert Looks.plan(1, 1).sizes == (1,)
    assert Looks.plan(1, 12).sizes == (1, 2, 4, 8, 12)
    assert Looks.plan(64, 1024).sizes == (64, 128, 256, 512, 1024)
    assert Looks.plan(1, 16).levels == spending(0.95, 5)
    assert [Looks.plan(1, 12).reaching(size) for size in (0, 1, 3, 9, 13)] == [0, 0, 2, 4, 4]


def open_score(distance, low, high, relative=0.01):
    found = score(stream(0)(0, 512), Normal(0.1, 1.0), margin=0.1, replicates=50)
    return dataclasses.replace(
        found, distance=distance, distance_low=low, distance_high=high, verdict="undecided", std_relative_error=relative
    )


@pytest.mark.parametrize(
    ("found", "goes_on"),
    [
        (open_score(0.02, 0.0, 0.07), True),  # Φ((0.03 - 0.025)/0.0221) = 0.59
        (open_score(0.04, 0.0, 0.09), False),  # Φ((0.01 - 0.025)/0.0221) + Φ((-0.01 - 0.025)/0.0221) = 0.31
        (open_score(0.11, 0.04, 0.18), True),
        (open_score(0.06, 0.04, 0.09), True),  # 0.51
        (open_score(0.054, 0.04, 0.09), False),  # 0.35
        (open_score(-0.2, -0.5, 0.15), False),  # 0.38: D is not below 0, whatever noise takes off
        (open_score(0.3, math.nan, math.nan, relative=0.15), True),
        (open_score(0.06, math.nan, math.nan, relative=0.15), False),
        (open_score(0.3, math.nan, math.nan, relative=0.25), False),  # tails too heavy for an interval at the end
        (open_score(math.nan, math.nan, math.nan), False),
    ],
)
def test_sampling_goes_on_where_the_last_look_is_likely_to_be_clear(found, goes_on):
    plan = Looks((4, 16), (0.95, 0.95))
    assert plan.goes_on(found, 0, margin=0.05) == goes_on
    assert not plan.goes_on(found, 1, margin=0.05)
    assert not plan.goes_on(dataclasses.replace(found, verdict="holds"), 0, margin=0.05)


def test_no_verdict_is_given_up_at_a_small_share_of_the_networks():
    found, plan = open_score(0.05, 0.0, 0.09), Looks((1, 16), (0.95, 0.95))
    assert plan.goes_on(found, 0, margin=0.05)


def test_extending_a_stream_reuses_the_networks_drawn():
    calls = []

    def draw(start: int, stop: int) -> np.ndarray:
        calls.append((start, stop))
        return np.random.default_rng(7).standard_normal(2048)[start:stop]

    found = sample_until_clear(draw, Normal(0.05, 1.0), first=512, most=2048, replicates=200)
    assert calls == [(0, 512), (512, 1024), (1024, 2048)][: found.looks]


@pytest.mark.parametrize(("first", "most"), [(1000, 1500), (1000, 3000), (512, 256), (1, 4)])
def test_sizes_must_double(first, most):
    with pytest.raises(InputError):
        sample_until_clear(stream(0), Normal(0.0, 1.0), first=first, most=most)
