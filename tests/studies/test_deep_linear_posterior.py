"""The study `deep-linear-posterior`: its ledger holds on a small run and can say no."""

import functools
import math

import numpy as np
import pytest

import limitbench
from limitbench import studies
from limitbench.errors import InputError
from limitbench.studies.deep_linear_posterior.measures import Weighted

STUDY = studies.get("deep-linear-posterior")
GRID = {"width": [8, 16], "depth": [8]}
#: Claims that a run of one noise and few accepted networks cannot decide.
OPEN = {"less-noise", "finite-mixture-holds", "limit-holds"}


@pytest.fixture(scope="module")
def run():
    return limitbench.run("deep-linear-posterior", GRID, samples=65536)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


@pytest.fixture
def broken(claims_of_changed):
    return functools.partial(claims_of_changed, STUDY)


def test_every_claim_holds_on_a_small_run(claims):
    assert len(claims) >= 25
    assert {name for name, claim in claims.items() if claim.verdict == "fails"} == set()
    assert {name for name, claim in claims.items() if claim.verdict == "undecided"} <= OPEN


def test_claims_measure_what_is_known(claims):
    assert claims["coupling-equal"].predicted == pytest.approx(0.2003, abs=1e-3)
    assert claims["coupling-opposite"].predicted == pytest.approx(-claims["coupling-equal"].predicted)
    assert claims["nngp-mean-fails-one"].predicted == pytest.approx(0.5401, abs=1e-4)
    assert claims["rate-one"].measured == pytest.approx(1, abs=0.02)
    assert claims["effective-sample-size"].measured > 500
    for name, claim in claims.items():
        if name.startswith(("mean-", "variance-", "coupling-")):
            assert "effective sample size" in claim.text
            assert "nan" not in claim.text


def test_weights_that_are_forgotten_are_noticed(run, broken):
    """Prior means in place of posterior means: every network counts alike."""
    found = broken(run, log_weight=lambda samples: 0 * samples["log_weight"])
    for name in ("mean-one", "mean-equal", "variance-equal", "every-cell", "fixed-depth-nngp"):
        assert found[name].verdict == "fails", name


def test_outputs_that_do_not_share_their_network_are_noticed(run, broken):
    """The second output of another network that fits the labels as well: the means stay, the coupling goes."""

    def permuted(samples):
        order = samples["log_weight"].argsort(axis=-1).to_numpy()
        second = samples["output_2"].copy(deep=True)
        ranked = np.take_along_axis(second.to_numpy(), order, -1)
        np.put_along_axis(second.to_numpy(), order, np.roll(ranked, 1, axis=-1), -1)
        return second

    found = broken(run, output_2=permuted)
    for name in ("coupling-equal", "coupling-opposite", "every-cell"):
        assert found[name].verdict == "fails", name
    assert found["mean-equal"].verdict == "holds"


def test_posterior_draws_of_another_law_are_noticed(run, broken):
    found = broken(run, posterior_output_1=lambda samples: 1.15 * samples["posterior_output_1"])
    assert found["posterior-draws"].verdict == "fails"
    assert found["every-cell"].verdict == "holds"


def test_coupling_of_the_wrong_sign_fails(run, broken):
    found = broken(run, output_2=lambda samples: -samples["output_2"])
    assert found["coupling-sign-equal"].verdict == "fails"
    assert found["coupling-sign-opposite"].verdict == "fails"


def test_too_few_networks_decide_nothing():
    grid = {"labels": "equal", "noise": 0.05, "width": 8, "depth": 8}
    tree = limitbench.run("deep-linear-posterior", grid, samples=1024, sampler="dense")
    found = {claim.name: claim for claim in STUDY.claims(tree)}
    for name in ("mean-equal", "coupling-equal", "coupling-sign-equal", "effective-sample-size", "every-cell"):
        assert found[name].verdict == "undecided", name
    assert all("needs" in claim.text for claim in found.values() if math.isnan(claim.measured))
    assert all("nan" not in figure.caption for figure in STUDY.figures(tree))


def test_effective_sample_size_and_standard_errors():
    rng = np.random.default_rng(0)
    few = Weighted(np.array([1.0, 1.0, 0.0, 0.0]), rng.standard_normal((4, 1)))
    assert few.effective == 2
    assert math.isnan(few.mean().se)
    even = Weighted(np.full(4000, 0.3), rng.standard_normal((4000, 2)))
    assert even.effective == pytest.approx(4000)
    assert even.mean().se == pytest.approx(even.outputs[:, 0].std() / math.sqrt(4000))
    assert even.covariance(0, 1).value == pytest.approx(np.cov(even.outputs.T, ddof=0)[0, 1])


def test_standard_errors_are_those_of_repetition():
    """400 groups of 400 weighted draws: deviations over standard errors have unit variance (4.5 of its own errors)."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((400, 1000, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    groups = [Weighted(np.exp(-((part[:, 0] - 1) ** 2) / 2), part) for part in x]
    for measure in (lambda g: g.mean(), lambda g: g.covariance(0, 1)):
        found = np.array([(m.value, m.se) for m in map(measure, groups)])
        scores = (found[:, 0] - found[:, 0].mean()) / found[:, 1]
        assert abs(scores.var() - 1) < 4.5 * math.sqrt(2 / 400) + 0.05


def test_figures_are_small_and_say_what_they_show(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {
        "predictive-mean",
        "predictive-spread",
        "output-coupling",
        "posterior-law",
        "noise",
        "effective-sample-size",
    }
    for figure in figures.values():
        assert 2 <= len(figure.series) <= 8
        assert all(len(series.x) == len(series.y) <= 60 for series in figure.series)
        assert any(character.isdigit() for character in figure.caption)
        assert "nan" not in figure.caption
    coupled = {series.label: series for series in figures["output-coupling"].series}
    equal, opposite = (coupled[f"proportional limit, {labels}"].y for labels in ("equal", "opposite"))
    assert (np.diff(equal) > 0).all()
    np.testing.assert_allclose(equal, -opposite, atol=1e-9)


def test_cells_that_are_no_network_are_refused():
    for grid in ({"width": [2], "depth": [1]}, {"width": [8], "depth": [100]}, {"noise": [0.0], "width": [8]}):
        with pytest.raises(InputError):
            limitbench.run("deep-linear-posterior", grid, samples=1024)
