"""Sequential sampling stops early, and its wrong verdicts stay within the level it was given."""

import numpy as np
import pytest
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.laws import Normal
from limitbench.statistics.sequential import sample_until_clear, spending

RUNS = 60


def stream(seed: int):
    values = np.random.default_rng(seed).standard_normal(4096)
    return lambda start, stop: values[start:stop]


def outcomes(law, **options):
    return [
        sample_until_clear(stream(s), law, first=512, most=4096, seed=s, replicates=300, **options) for s in range(RUNS)
    ]


def test_levels_spend_exactly_the_error_allowed():
    levels = spending(0.95, 4)
    assert sum(1 - level for level in levels) == pytest.approx(0.05)
    assert list(levels) == sorted(levels, reverse=True)


def test_sampling_stops_as_soon_as_the_theory_clearly_fails():
    found = outcomes(Normal(0.5, 1.0))
    assert all(f.score.verdict == "fails" and f.networks == 512 and f.looks == 1 for f in found)


def test_wrong_verdicts_on_the_margin_stay_within_the_level():
    # a shift of 0.1 is D = 0.1: the margin itself, where either verdict is wrong at most 5 % of the time in all
    fails = sum(f.score.verdict == "fails" for f in outcomes(Normal(0.1, 1.0), margin=0.1))
    assert stats.binom.sf(fails - 1, RUNS, 0.05) > 1e-6
    assert fails <= 0.05 * RUNS + 3


def test_clear_theories_are_settled_before_the_last_look():
    found = outcomes(Normal(0.0, 1.0), margin=0.2)
    assert all(f.score.verdict == "holds" for f in found)
    assert np.mean([f.networks for f in found]) < 4096


def test_error_check_notices_looks_that_spend_nothing():
    # companion: stopping at the first look whose 60 % interval leaves the margin is wrong far too often
    wrong = sum(f.score.verdict != "undecided" for f in outcomes(Normal(0.1, 1.0), margin=0.1, level=0.4))
    assert stats.binom.sf(wrong - 1, RUNS, 0.05) < 1e-6


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
