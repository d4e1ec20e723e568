"""Scores: the interval of D covers, verdicts are seldom wrong, and every undefined number says why."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from limitbench.errors import InputError
from limitbench.statistics.bootstrap import Resampling
from limitbench.statistics.laws import Empirical, Normal, PointMass, Tabulated, Transformed
from limitbench.statistics.replicates import compare_cell
from limitbench.statistics.scores import Score, score, score_cells, verdict

NETWORKS, REPETITIONS, MARGIN = 512, 200, 0.05


def distance_to_standard_normal(law) -> float:
    x = np.linspace(-10, 10, 20_001)
    return float(np.trapezoid(np.abs(stats.norm.cdf(x) - law.cdf(x)), x))


def law_at(distance: float, kind: str) -> Normal:
    """A normal law at exactly this D from standard normal networks: wrong in mean, or in standard deviation."""

    def make(s: float) -> Normal:
        return Normal(s, 1.0) if kind == "mean" else Normal(0.0, math.exp(s))

    return make(brentq(lambda s: distance_to_standard_normal(make(s)) - distance, 0, 2)) if distance else make(0.0)


def too_many(misses: int, rate: float, of: int = REPETITIONS) -> bool:
    """Whether so many misses would have probability below 1e-6 at the stated rate."""
    return bool(stats.binom.sf(misses - 1, of, rate) < 1e-6)


@dataclasses.dataclass(frozen=True)
class Repetition:
    low: float
    high: float
    high_without_ceiling: float
    distance: float
    wasserstein: float
    null: float


@functools.cache
def repeated(distance: float, kind: str) -> list[Repetition]:
    rng, law, found = np.random.default_rng(11), law_at(distance, kind), []
    for seed in range(REPETITIONS):
        resampling = Resampling.build(NETWORKS, seed=seed, replicates=300)
        one = compare_cell(rng.standard_normal(NETWORKS), {"law": law}, resampling).theories["law"]
        plain = dataclasses.replace(one, ceiling=None).interval(0.95)[1]
        found.append(Repetition(*one.interval(0.95), plain, one.distance, one.wasserstein, one.wasserstein_null))
    return found


# At N = 512 the null mean is 0.057, so the margin lies where noise and difference are hardest to tell apart.
@pytest.mark.parametrize("kind", ["mean", "std"])
@pytest.mark.parametrize("distance", [0.0, MARGIN, 0.3])
def test_interval_covers_the_true_distance(distance, kind):
    intervals = np.array([(found.low, found.high) for found in repeated(distance, kind)])
    below, above = intervals[:, 0] > distance, intervals[:, 1] < distance
    assert not too_many(int((below | above).sum()), 0.05)
    assert (below | above).mean() <= 0.07
    # wrong verdicts with the true D on the margin itself, the worst place
    assert not too_many(int(below.sum()), 0.05)
    assert below.mean() <= 0.05
    assert above.mean() <= 0.05


def test_coverage_check_notices_a_bootstrap_without_the_ceiling():
    assert too_many(sum(found.high_without_ceiling < MARGIN for found in repeated(MARGIN, "mean")), 0.05)


def test_coverage_check_notices_a_distance_that_keeps_the_noise():
    assert too_many(sum(found.low + found.null > 0 for found in repeated(0.0, "mean")), 0.05)


@pytest.mark.parametrize("references", [300, 3000])
def test_interval_covers_with_an_estimated_law(references):
    rng, misses = np.random.default_rng(12), 0
    for seed in range(150):
        law = Empirical(rng.standard_normal(references) + 0.2)
        found = score(rng.standard_normal(1000), law, seed=seed, replicates=300)
        misses += not found.distance_low <= 0.2 <= found.distance_high
    assert not too_many(misses, 0.05, 150)
    assert misses <= 0.08 * 150


def test_interval_without_the_noise_of_the_reference_would_not_cover():
    rng, misses = np.random.default_rng(12), 0
    for seed in range(150):
        law = Empirical(rng.standard_normal(300) + 0.2)
        object.__setattr__(law, "reference_size", None)
        found = score(rng.standard_normal(1000), law, seed=seed, replicates=300)
        misses += not found.distance_low <= 0.2 <= found.distance_high
    assert too_many(misses, 0.05, 150)


def test_debiased_distance_is_unbiased_at_zero_and_far_away():
    for distance in (0.0, 0.3):
        found = np.array([f.distance for f in repeated(distance, "std")])
        # 4.5 standard errors; far away a few per cent of the null mean 0.057 remain
        assert abs(found.mean() - distance) < 4.5 * found.std() / math.sqrt(found.size) + 0.1 * 0.057
    literal = [f.wasserstein - f.null for f in repeated(0.3, "std")]
    assert abs(np.mean(literal) - 0.3) > 4.5 * np.std(literal) / math.sqrt(len(literal)) + 0.1 * 0.057


def test_score_of_a_point_mass_is_the_mean_distance_from_it():
    x = np.random.default_rng(0).standard_normal(2000)
    found = score(x, PointMass(0.5))
    assert found.wasserstein == pytest.approx(np.abs(x - 0.5).mean(), rel=1e-12)
    assert found.distance == pytest.approx(np.abs(x - 0.5).mean() / x.std(ddof=1), rel=1e-12)
    assert found.wasserstein_null == 0
    assert found.distance_low < found.distance < found.distance_high
    assert math.isnan(found.ks)
    assert math.isnan(found.ks_pvalue)
    assert math.isnan(found.n_star)
    assert any("point mass" in note for note in found.notes)
    assert found.verdict == "fails"


def test_verdicts_follow_the_interval():
    assert verdict(-0.01, 0.05, 0.05) == "holds"
    assert verdict(0.04, 0.06, 0.05) == "undecided"
    assert verdict(0.0501, 0.06, 0.05) == "fails"
    assert verdict(math.nan, math.nan, 0.05) == "undecided"
    x = np.random.default_rng(0).standard_normal(20_000)
    assert score(x, Normal(0.0, 1.0)).verdict == "holds"
    assert score(x, Normal(0.2, 1.0)).verdict == "fails"
    assert score(x, Normal(0.2, 1.0), margin=0.5).verdict == "holds"


def test_moment_errors_are_those_of_the_networks_against_the_law():
    x = np.random.default_rng(0).standard_normal(5000)
    found = score(x, Normal(0.25, 1.5))
    assert found.mean_error == pytest.approx(x.mean() - 0.25, rel=1e-12)
    assert found.std_error == pytest.approx(x.std(ddof=1) - 1.5, rel=1e-12)


def test_moments_that_samples_do_not_fix_are_not_reported():
    x = np.exp(3 * np.random.default_rng(0).standard_normal(2000))
    found = score(x, Transformed(Normal(0.0, 3.0), np.exp, np.log))
    assert math.isnan(found.std_error)
    assert any("std not reported" in note for note in found.notes)


def test_law_without_standard_deviation_has_no_distance():
    z = np.linspace(-7, 7, 801)
    heavy = Tabulated(np.sinh(z), stats.norm.cdf(z), mean=math.nan, std=math.nan)
    found = score(np.random.default_rng(0).standard_normal(500), heavy)
    assert math.isnan(found.distance)
    assert found.verdict == "undecided"
    assert any("score its logarithm" in note for note in found.notes)
    assert not math.isnan(found.ks_pvalue)


def test_law_that_is_not_accurate_enough_is_noted():
    x = np.linspace(-7, 7, 801)
    samples = np.random.default_rng(0).standard_normal(10_000)
    rough, fine = (Tabulated(x, stats.norm.cdf(x), cdf_error=e) for e in (1.1e-4, 0.9e-4))
    assert any("0.01/√N" in note for note in score(samples, rough).notes)
    assert not any("0.01/√N" in note for note in score(samples, fine).notes)


def test_networks_with_nan_are_dropped_and_infinite_ones_leave_the_distance_undefined():
    x = np.random.default_rng(0).standard_normal((1000, 2))
    x[3, 0] = math.nan
    found = score_cells(x, {"t": [Normal(0.0, 1.0), Normal(0.0, 1.0)]})["t"]
    assert [f.networks for f in found] == [999, 1000]  # by cell: the network counts where it lives
    assert [f.dropped for f in found] == [1, 0]
    x[3, 0] = -math.inf
    infinite, finite = score_cells(x, {"t": [Normal(0.0, 1.0), Normal(0.0, 1.0)]})["t"]
    assert math.isnan(infinite.distance)
    assert any("infinite" in note for note in infinite.notes)
    assert math.isfinite(finite.distance)


def test_constant_networks_have_no_distance():
    found = score(np.full(100, 0.1), Normal(0.0, 1.0))
    assert math.isnan(found.distance)
    assert found.notes


def test_too_few_networks_without_nan_give_an_undecided_score():
    x = np.full((10, 1), math.nan)
    found = score_cells(x, {"t": [Normal(0.0, 1.0)]})["t"][0]
    assert found.verdict == "undecided"
    assert found.dropped == 10


def test_scores_hold_no_infinite_number():
    x = np.random.default_rng(0).standard_normal(1000)
    for law in (Normal(0.0, 1.0), Normal(100.0, 0.01), PointMass(0.0), Empirical(x)):
        values = [v for v in dataclasses.asdict(score(x, law)).values() if isinstance(v, float)]
        assert not np.isinf(values).any()


def test_column_gives_the_same_scores_as_its_cells_one_by_one():
    x = np.random.default_rng(0).standard_normal((600, 3)).cumsum(axis=1)
    laws = {"a": [Normal(0.0, 1.0), None, Normal(0.0, 1.7)], "b": [PointMass(0.0)] * 3}
    column = score_cells(x, laws, seed=5)
    assert column["a"][1] is None
    for name, row in laws.items():
        for cell, law in enumerate(row):
            if law is not None:
                found = column[name][cell]
                alone = score(x[:, cell].copy(), law, seed=5)
                # it looks at the kurtosis of every law that is close
                assert found == dataclasses.replace(alone, std_relative_error=found.std_relative_error)


def test_scores_are_reproducible_and_depend_on_the_seed_only_in_the_interval():
    x = np.random.default_rng(0).standard_normal(600)
    one, same, other = (score(x, Normal(0.1, 1.0), seed=s) for s in (1, 1, 2))
    assert one == same
    assert (one.distance, one.ks) == (other.distance, other.ks)
    assert one.distance_low != other.distance_low


def test_n_star_is_the_number_of_networks_that_rejects_with_power_80_percent():
    law, rng = Normal(0.15, 1.1), np.random.default_rng(6)
    n_star = score(rng.standard_normal(40_000), law).n_star
    critical = stats.kstwo.isf(0.05, int(n_star))

    def power(size: float) -> float:
        draws = (np.sort(rng.standard_normal(int(size))) for _ in range(400))
        rank = np.arange(int(size) + 1) / int(size)
        limit = stats.kstwo.isf(0.05, int(size))
        return float(np.mean([max((rank[1:] - (f := law.cdf(x))).max(), (f - rank[:-1]).max()) > limit for x in draws]))

    assert critical > 0
    # 400 repetitions: standard error 0.02; power 0.8 is crossed within 25 % of N*
    assert power(0.75 * n_star) < 0.8 < power(1.25 * n_star)
    # companion: a formula off by a factor of two is noticed
    assert power(0.5 * n_star) < 0.8 - 0.09
    assert power(2 * n_star) > 0.8 + 0.09


def test_n_star_is_not_reported_where_theory_and_networks_are_not_told_apart():
    found = score(np.random.default_rng(0).standard_normal(1000), Normal(0.0, 1.0))
    assert math.isnan(found.n_star)
    assert any("not distinguishable" in note for note in found.notes)


@pytest.mark.parametrize(
    "arguments", [{"margin": 0.0}, {"margin": -1.0}, {"level": 1.0}, {"level": 0.0}], ids=lambda a: next(iter(a))
)
def test_settings_outside_their_range_are_refused(arguments):
    with pytest.raises(InputError):
        score(np.zeros(10) + np.arange(10.0), Normal(0.0, 1.0), **arguments)


def test_wrong_number_of_laws_or_too_few_networks_are_refused():
    with pytest.raises(InputError, match="one law or None for each of 2 cells"):
        score_cells(np.random.default_rng(0).standard_normal((10, 2)), {"t": [Normal(0.0, 1.0)]})
    with pytest.raises(InputError, match="at least two networks"):
        score(np.ones(1), Normal(0.0, 1.0))


def test_score_has_the_fields_of_the_result_schema():
    names = [f.name for f in dataclasses.fields(Score)]
    assert names[:11] == [
        *("distance", "distance_low", "distance_high", "wasserstein", "wasserstein_null", "ks", "ks_pvalue"),
        *("mean_error", "std_error", "n_star", "verdict"),
    ]


def test_verdicts_turn_exactly_at_the_margin():
    at, below, above = 0.05, math.nextafter(0.05, 0), math.nextafter(0.05, 1)
    assert [verdict(-0.01, high, at) for high in (0.0, 0.9 * at, below, at)] == ["holds"] * 4
    assert [verdict(-0.01, high, at) for high in (above, 1.1 * at, 1.0)] == ["undecided"] * 3
    assert [verdict(low, 1.0, at) for low in (-0.01, 0.9 * at, 0.95 * at, at)] == ["undecided"] * 4
    assert [verdict(low, 1.0, at) for low in (above, 1.1 * at)] == ["fails"] * 2
    assert verdict(0.01, math.nan, at) == verdict(math.nan, 1.0, at) == "undecided"


def test_scores_turn_exactly_at_the_margin():
    x = np.random.default_rng(0).standard_normal(2000)
    found = score(x, Normal(0.2, 1.0), replicates=300)

    def at(margin: float) -> str:
        return score(x, Normal(0.2, 1.0), margin=margin, replicates=300).verdict

    assert [at(found.distance_high), at(math.nextafter(found.distance_high, 0))] == ["holds", "undecided"]
    assert [at(found.distance_low), at(math.nextafter(found.distance_low, 0))] == ["undecided", "fails"]


def test_n_star_is_where_four_of_five_noise_replicates_exceed_the_critical_value():
    """sup |√N* δ + B| > 1.358 over the replicates of B, δ shrunk by the mean √(π/2) ln 2 of sup |bridge|."""
    resampling = Resampling.build(600, seed=8, replicates=1000)
    x = np.random.default_rng(8).standard_normal(600)
    found = compare_cell(x, {"law": Normal(0.15, 1.1)}, resampling).theories["law"]
    critical = float(stats.kstwobign.isf(0.05))
    ratio = math.sqrt(math.pi / 2) * math.log(2) / (math.sqrt(600) * found.ks)
    n_star = score(x, Normal(0.15, 1.1), seed=8, replicates=1000).n_star

    def exceeding(size: float, shrink: float) -> float:
        return float((np.abs(math.sqrt(size) * shrink * found.gap + found.noise).max(axis=1) > critical).mean())

    right = math.sqrt(1 - ratio**2)
    assert exceeding(n_star, right) == pytest.approx(0.8, abs=0.01)
    assert exceeding(found.n_star(critical, 0.7), right) == pytest.approx(0.7, abs=0.01)
    # companion: without the shrinkage the share is another
    assert abs(exceeding(n_star, 1.0) - 0.8) > 0.03


def test_n_star_of_few_networks_is_near_that_of_many_because_of_its_shrinkage():
    """Median over 200 sets of 600 networks, standard error 3 %, against N* from 200,000 networks."""
    law, rng = Normal(0.15, 1.1), np.random.default_rng(21)
    true = score(rng.standard_normal(200_000), law).n_star
    found = [score(rng.standard_normal(600), law, seed=s, replicates=100) for s in range(200)]
    values = np.array([f.n_star for f in found])
    shrink = np.array([1 - (math.sqrt(math.pi / 2) * math.log(2) / (math.sqrt(600) * f.ks)) ** 2 for f in found])
    assert np.nanmedian(values) == pytest.approx(true, rel=0.15)
    # companion: the same without the shrinkage, a fifth too few
    assert np.nanmedian(values * shrink) < (1 - 0.15) * true


def test_tails_too_heavy_for_a_standard_deviation_give_no_interval_and_no_verdict():
    """A log-normal with sigma = 2: its sd is 54, but 16384 draws see about a third of that, so D is off threefold."""
    law = Transformed(Normal(0.0, 2.0), np.exp, np.log)
    heavy = score(law.sample(16384, seed=1), law)
    assert heavy.verdict == "undecided"
    assert math.isnan(heavy.distance_low)
    assert any("heavy" in note for note in heavy.notes)
    assert math.isfinite(heavy.ks)
    light = Normal(0.0, 2.0)
    assert score(light.sample(16384, seed=1), light).verdict == "holds"


def test_values_that_rounding_made_equal_are_no_evidence_against_their_law():
    """Half of the mass rounds to the last few numbers below 1: a cdf step there is the rounding's."""
    law = Transformed(Normal(18.0, 4.0), np.tanh, np.arctanh)
    found = score(law.sample(20000, seed=1), law)
    assert found.ks_pvalue > 1e-3


def test_an_interval_without_a_lower_end_decides_nothing():
    assert verdict(math.nan, 0.01, 0.05) == "undecided"


def test_networks_that_differ_by_rounding_alone_have_no_distance():
    rounding = 1e-15 * np.random.default_rng(2).standard_normal(1000)
    for values, law in ((rounding, Normal(0.0, 1.0)), (1 + rounding, PointMass(1.0))):
        found = score(values, law)
        assert math.isnan(found.distance)
        assert found.verdict == "undecided"
        assert any("one value" in note for note in found.notes)
    # a narrow law of its own is no rounding noise
    assert score(1e-20 * (1 + rounding * 1e13), Normal(1e-20, 1e-22)).distance == pytest.approx(0, abs=0.1)
