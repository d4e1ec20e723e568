"""Every kind of claim can hold, fail and stay undecided; a claim never ends a run."""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.statistics.laws import Normal
from limitbench.studies import ledger
from limitbench.studies.evidence import CellEvidence, Evidence, within_errors

WORDS = {"name": "a-claim", "text": "A claim."}


class Cell(CellEvidence):
    """A cell whose scores, samples and laws the test chooses."""

    level = 0.95

    def __init__(self, scores=None, samples=None, laws=None, width=64):
        object.__setattr__(self, "parameters", {"width": width, "depth": width})
        object.__setattr__(self, "_given", (scores or {}, samples, laws or {}))

    def score(self, field, observable, theory):
        return self._given[0].get(field, math.nan)

    def verdict(self, observable, theory):
        return self._given[0]["verdict"]

    def samples(self, observable):
        return self._given[1]

    def theory(self, name):
        return Fixed(self._given[2][name])

    @property
    def seconds(self):
        return 1.0


class Fixed:
    def __init__(self, law):
        self._law = law

    def law(self, observable):
        return self._law


class Book(Evidence):
    def __init__(self):
        self.tree = xr.DataTree.from_dict({"scores": xr.Dataset(attrs={"margin": 0.05})})

    def command(self, cells):
        return "limitbench run"


def scored(distance, half=0.01, verdict=None):
    low, high = distance - half, distance + half
    verdict = verdict or ("holds" if high <= 0.05 else "fails" if low > 0.05 else "undecided")
    return Cell({"distance": distance, "distance_low": low, "distance_high": high, "verdict": verdict})


@pytest.mark.parametrize(
    ("distances", "expected", "verdict", "measured"),
    [
        ((0.01, 0.03), "holds", "holds", 0.03),
        ((0.01, 0.09), "holds", "fails", 0.09),
        ((0.01, 0.045), "holds", "undecided", 0.045),
        ((0.1, 0.3), "fails", "holds", 0.1),
        ((0.1, 0.01), "fails", "fails", 0.01),
        ((0.1, 0.055), "fails", "undecided", 0.055),
    ],
)
def test_the_worst_cell_decides(distances, expected, verdict, measured):
    cells = [scored(d) for d in distances]
    claim = ledger.worst_score_claim(Book(), cells, "x", "t", expected=expected, **WORDS)
    assert (claim.verdict, claim.measured, claim.predicted) == (verdict, measured, 0.05)
    assert claim.relation == {"holds": "at most", "fails": "at least"}[expected]


def test_cells_without_a_score_are_counted_and_none_at_all_is_undecided():
    blank = scored(math.nan, verdict="undecided")
    claim = ledger.worst_score_claim(Book(), [scored(0.01), blank], "x", "t", expected="holds", **WORDS)
    assert claim.verdict == "holds"
    assert "1 cells without a score" in claim.text
    assert ledger.worst_score_claim(Book(), [blank], "x", "t", expected="holds", **WORDS).verdict == "undecided"
    assert ledger.worst_score_claim(Book(), [], "x", "t", expected="fails", **WORDS).verdict == "undecided"


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        (((0.1, 0.2, 0.4), (0.3, 0.5, 0.6)), "holds"),
        (((0.1, 0.2, 0.4), (0.3, 0.5, 0.4)), "fails"),
        (((0.1, 0.105, 0.11),), "undecided"),
        (((0.1, math.nan, 0.4),), "undecided"),
        ((), "undecided"),
    ],
)
def test_growth_must_be_seen_at_every_step_and_beyond_the_intervals(columns, verdict):
    cells = [[scored(d) for d in column] for column in columns]
    assert ledger.growth_with_depth_claim(Book(), cells, "x", "t", **WORDS).verdict == verdict


def shifted(shift, width=64, n=20000, seed=1):
    samples = np.random.default_rng([seed, width]).normal(shift, 1, n)
    means = {"far": 0.0, "off": 0.8 * shift, "near": 0.95 * shift, "true": shift}
    return Cell(samples=samples, laws={name: Normal(mean, 1) for name, mean in means.items()}, width=width)


def test_a_gain_counts_only_if_its_whole_interval_is_above():
    def gain(at_least):
        return ledger.paired_gain_claim(Book(), shifted(1.0), "x", "far", "near", at_least=at_least, **WORDS)

    assert gain(5.0).verdict == "holds"
    assert gain(20.0).verdict == "undecided"  # about the true ratio, 20
    assert gain(200.0).verdict == "fails"
    assert gain(5.0).measured == pytest.approx(20, rel=0.35)
    none = ledger.paired_gain_claim(Book(), None, "x", "far", "near", at_least=3.0, **WORDS)
    assert none.verdict == "undecided"


def test_the_best_theory_must_be_best_in_every_cell():
    cells = [shifted(0.5), shifted(0.8)]
    for theory, verdict in (("true", "holds"), ("far", "fails")):
        claim = ledger.best_theory_claim(Book(), cells, "x", theory, ("far", "true"), **WORDS)
        assert claim.verdict == verdict


def errors_like(exponent, amplitude=2.0, k=0.0, n=40000):
    widths = (16, 32, 64, 128, 256)
    return [shifted(amplitude * w**-exponent * (1 + k * w**-0.5), w, n) for w in widths]


def test_a_rate_holds_near_its_exponent_and_fails_far_from_it():
    def rate(exponent, predicted):
        return ledger.rate_claim(
            Book(), errors_like(exponent), "x", "far", predicted=predicted, tolerance=0.15, **WORDS
        )

    assert rate(0.5, 0.5).verdict == "holds"
    assert rate(0.5, 1.0).verdict == "fails"
    assert rate(0.5, 1.0).measured == pytest.approx(0.5, abs=0.1)


def test_errors_of_two_populations_are_no_power_law():
    mixed = [*errors_like(0.5), *errors_like(0.5, amplitude=6.0)]
    claim = ledger.rate_claim(Book(), mixed, "x", "far", predicted=0.5, tolerance=0.15, **WORDS)
    assert claim.verdict == "undecided"
    assert "no such power law" in claim.text


def test_the_amplitude_and_the_curve_are_those_of_the_reference():
    cells = errors_like(0.5, k=-1.0)
    for reference, verdict in (("true", "holds"), ("off", "fails")):
        amplitude = ledger.amplitude_claim(Book(), cells, "x", "far", reference, exponent=0.5, **WORDS)
        curve = ledger.predicted_curve_claim(Book(), cells, "x", "far", reference, **WORDS)
        assert curve.verdict == verdict
        assert amplitude.verdict == verdict
        if reference == "true":
            assert amplitude.measured == pytest.approx(2.0, rel=0.1)


def test_within_errors_is_undecided_where_it_cannot_tell():
    assert within_errors(1.0, 1.1, 0.05) == "holds"
    assert within_errors(1.0, 1.3, 0.05) == "fails"
    assert within_errors(1.0, 1.1, 0.05, resolution=0.1) == "undecided"
    assert within_errors(1.0, math.nan, 0.05) == "undecided"


def test_a_law_solved_twice_fails_where_the_paths_are_others():
    from limitbench.statistics.laws import Empirical

    draws = np.random.default_rng(3).normal(0, 1, 4000)
    for law, verdict in ((Normal(0, 1), "holds"), (Normal(0.2, 1), "fails")):
        cell = Cell(laws={"solved": law, "paths": Empirical(draws)})
        claim = ledger.solutions_agree_claim(Book(), [cell], "x", "solved", "paths", **WORDS)
        assert claim.verdict == verdict
    assert ledger.solutions_agree_claim(Book(), [], "x", "solved", "paths", **WORDS).verdict == "undecided"


@pytest.fixture(scope="module")
def narrow_run():
    grid = {"width": [4, 16, 32], "aspect": [1.0], "rate": [0.5], "c_plus": [0], "c_minus": [-2], "rho0": [0.3]}
    return limitbench.run("shaped-relu", grid, samples=4096)


def test_a_theory_outside_its_range_does_not_end_the_run(narrow_run):
    """At width 4 the finite-width chain is not defined; the claims that need it say so."""
    claims = narrow_run["claims"].to_dataset()
    curve = claims.sel(claim="error-curve-finite-width")
    assert curve["verdict"].item() == "undecided"
    assert "width: got 4" in curve["text"].item()


def test_a_missing_block_is_not_taken_for_networks(narrow_run):
    study = studies.get("shaped-relu")
    samples = narrow_run["samples"].to_dataset()
    gone = xr.full_like(samples, np.nan).isel(sample=slice(0, 1000))
    holed = narrow_run.copy(deep=True)
    holed["samples"] = xr.DataTree(xr.concat([gone, samples], "sample"))
    cells = Evidence(study, holed).cells, Evidence(study, narrow_run).cells
    for with_hole, without in zip(*cells, strict=True):
        np.testing.assert_array_equal(with_hole.samples("log_norm"), without.samples("log_norm"))
