"""The study `deep-linear`: what it says of outputs and unequal widths, and that it can say no."""

import functools
import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import limitbench
from limitbench import studies
from limitbench.networks.deep_linear import DeepLinear
from limitbench.statistics.laws import Normal
from limitbench.studies.deep_linear import outputs
from limitbench.studies.deep_linear.cells import inverse_widths, layer_widths, mean_width
from limitbench.studies.deep_linear.measures import (
    NNGP_ERROR,
    energy_distance,
    literal_outputs,
    predicted_energy_distance,
    predicted_excess,
    whitened_outputs,
)
from limitbench.theories.deep_linear import FiniteWidth

STUDY = studies.get("deep-linear")
GRID = {"widths": ["equal", "alternating"], "width": [16, 64], "aspect": [0.25, 1.0]}


@pytest.fixture(scope="module")
def run():
    return limitbench.run("deep-linear", GRID, samples=8192)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


@pytest.fixture
def broken(claims_of_changed):
    return functools.partial(claims_of_changed, STUDY)


def test_every_claim_of_the_paper_holds_on_a_small_run(claims):
    assert len(claims) >= 30
    undecided = {name for name, claim in claims.items() if claim.verdict == "undecided"}
    assert undecided == {"rate-constant-alpha4"}  # which has no cell here
    assert all(claim.verdict == "holds" for name, claim in claims.items() if name not in undecided)


def test_claims_measure_what_is_known(claims):
    assert claims["nngp-rate-constant"].predicted == pytest.approx(0.13765, abs=1e-5)
    assert claims["unequal-widths-variance"].predicted == pytest.approx(4 / 3, rel=0.02)
    assert claims["nngp-rate-log-q11"].predicted == pytest.approx(0.5, abs=0.03)
    covariance = ((1 + 2 / 16) ** 4 + (1 + 2 / 64) ** 16) / 2 - 1
    assert claims["squared-outputs-covariance"].predicted == pytest.approx(covariance)
    assert claims["outputs-given-q-energy"].predicted == 0
    assert claims["outputs-unconditional-energy"].predicted > 0.04


def test_outputs_of_independent_variance_make_the_claims_fail(run, broken):
    """Outputs that are N(0, 1) whatever Q is (NNGP) contradict the mixture in every way that it is measured."""
    noise = np.random.default_rng(3)

    def normals(samples):
        return samples["output_1"] * 0 + noise.standard_normal(samples["output_1"].shape)

    found = broken(run, output_1=normals, output_2=normals)
    for name in (
        "outputs-unconditional-projections",
        "outputs-unconditional-energy",
        "squared-outputs-covariance",
    ):
        assert found[name].verdict == "fails", name


def test_outputs_that_another_q_whitens_are_not_gaussian(run, monkeypatch):
    """The companion: outputs of real weights, each whitened by the Q of the network before it."""

    def mismatched(width, networks):
        drawn, q = literal_outputs(width, networks)
        return np.linalg.solve(np.linalg.cholesky(np.roll(q, 1, axis=0)), drawn[:, :, None])[:, :, 0]

    monkeypatch.setattr(outputs, "whitened_outputs", mismatched)
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    assert claims["outputs-given-q-energy"].verdict == "fails"
    assert claims["outputs-given-q-projections"].verdict == "fails"


def test_outputs_of_real_weights_are_gaussian_given_q_only():
    """The claims about S given Q draw networks with real weights; a dense run has them for the rest too."""
    grid = {"widths": "equal", "width": [8], "aspect": [1.0]}
    tree = limitbench.run("deep-linear", grid, samples=4096, sampler="dense")
    found = {claim.name: claim for claim in STUDY.claims(tree)}
    for which in ("given-q", "unconditional"):
        assert found[f"outputs-{which}-projections"].verdict == "holds"
        assert found[f"outputs-{which}-energy"].verdict == "holds"
    assert found["outputs-unconditional-projections"].measured > 5
    few = STUDY.claims(limitbench.run("deep-linear", grid, samples=256, sampler="dense"))
    verdicts = {claim.name: claim.verdict for claim in few}
    assert verdicts["outputs-unconditional-projections"] != "fails"


def test_outputs_of_separate_networks_make_the_coupling_fail(run, broken):
    found = broken(run, output_2=lambda samples: samples["output_2"].roll(sample=1))
    assert found["squared-outputs-covariance"].verdict == "fails"
    assert found["nngp-rate-output"].verdict == "holds"


def test_a_wrong_scale_makes_the_variances_fail(run, broken):
    found = broken(run, log_q11=lambda samples: 1.1 * samples["log_q11"])
    assert found["unequal-widths-variance"].verdict == "fails"
    assert found["finite-size-variance-log_q11-n16-d16"].verdict == "fails"


def test_claims_and_figures_of_a_run_without_their_cells_say_so():
    tree = limitbench.run("deep-linear", {"outputs": 1, "widths": "equal", "width": [4], "depth": [1]}, samples=4096)
    claims = STUDY.claims(tree)
    assert {claim.name for claim in claims if math.isfinite(claim.measured)} <= {"nngp-rate-constant"}
    assert all("needs" in claim.text for claim in claims if math.isnan(claim.measured))
    assert [figure.name for figure in STUDY.figures(tree)] == ["rate-to-limit", "rate-to-nngp"]


def test_figures_are_small_and_say_what_they_show(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {"squared-outputs", "unequal-widths", "rate-to-limit", "rate-to-nngp"}
    for figure in figures.values():
        assert 2 <= len(figure.series) <= 8
        assert all(len(series.x) == len(series.y) <= 60 for series in figure.series)
        assert any(character.isdigit() for character in figure.caption)
        assert "nan" not in figure.caption
    constants = {series.label: series for series in figures["rate-to-limit"].series}
    np.testing.assert_allclose(constants["α = 1, exact law"].y, [0.1782, 0.1816, 0.1824, 0.1826], atol=5.1e-5)
    coupled = {series.label: series for series in figures["squared-outputs"].series}
    limit = coupled["proportional limit e^{2α} − 1"]
    np.testing.assert_allclose(limit.y, np.expm1(2 * limit.x))
    variances = [series for series in figures["unequal-widths"].series if series.kind == "network"]
    assert [len(series.x) for series in variances] == [4, 4, 4]
    np.testing.assert_allclose(variances[1].x, [1 / 6, 1 / 6, 2 / 3, 2 / 3])
    np.testing.assert_allclose(variances[2].x, [1 / 8, 1 / 8, 1 / 2, 1 / 2])


def test_unequal_widths_are_the_networks_that_the_axis_says():
    cell = {"outputs": 2, "widths": "alternating", "width": 8, "aspect": 0.625, "depth": 5}
    assert layer_widths(cell) == (8, 24, 8, 24, 8)
    assert inverse_widths(cell) == pytest.approx(3 / 8 + 2 / 24)
    assert mean_width(cell) == pytest.approx(14.4)
    assert STUDY.network(cell) == DeepLinear(5, widths=(8, 24, 8, 24, 8))
    assert STUDY.network(cell | {"widths": "equal"}) == DeepLinear(5, 8)
    laws = {theory.name: theory.build(cell) for theory in STUDY.theories}
    assert laws["finite-width"] == FiniteWidth(width=(8, 24, 8, 24, 8))
    assert laws["proportional-limit"].alpha == inverse_widths(cell)


def test_energy_distance_is_that_of_all_pairs_and_has_no_bias():
    """Brute force in the plane with a large normal sample; groups of 128 average to the law's own distance."""
    rng = np.random.default_rng(4)
    scale = np.exp(rng.standard_normal((2000, 1)) * 0.7 - 0.5)
    pairs, normal = scale * rng.standard_normal((2000, 2)), rng.standard_normal((2000, 2))
    n = len(pairs)
    brute = 2 * cdist(pairs, normal).mean() - cdist(pairs, pairs).sum() / (n * (n - 1))
    brute -= cdist(normal, normal).sum() / (n * (n - 1))
    assert energy_distance(pairs) == pytest.approx(brute, abs=0.015)
    assert brute > 0.05
    for drawn, expected in (
        (rng.standard_normal((1000, 128, 2)), 0.0),
        (1.3 * rng.standard_normal((1000, 128, 2)), predicted_energy_distance(Normal(0.0, 1.3))),
    ):
        values = np.array([energy_distance(group) for group in drawn])
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - expected) < 4.5 * error
        assert abs(values.mean() - expected - 0.003) > 4.5 * error


def test_whitening_uses_the_whole_of_q_of_real_weights():
    white = whitened_outputs(16, 4096)
    np.testing.assert_allclose(np.cov(white.T), np.eye(2), atol=4.5 * math.sqrt(2 / len(white)))
    drawn, mixing = literal_outputs(16, 4096)
    q = np.sqrt(np.linalg.det(mixing))
    log_det = 2 * np.log(q)
    exact = FiniteWidth(width=16, depth=16, outputs=2).cumulant("log_det", 1)
    assert abs(log_det.mean() - exact) < 4.5 * log_det.std() / math.sqrt(len(q)), "the networks are those of the study"
    assert abs(np.corrcoef(np.log(q), np.log((drawn**2).sum(1)))[0, 1]) > 0.3, "raw outputs follow their Q"
    assert abs(np.corrcoef(q, (white**2).sum(1))[0, 1]) < 4.5 / math.sqrt(len(white))


def test_excess_constant_is_half_of_twice_the_error():
    law = FiniteWidth(width=4096, depth=1, outputs=1).law("output_1")
    assert 4096 * predicted_excess(law) / 2 == pytest.approx(NNGP_ERROR, rel=1e-3)
