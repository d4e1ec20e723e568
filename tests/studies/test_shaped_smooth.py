"""`shaped-smooth`: its theories apply where they say, its ledger answers, says what it lacks, and can say no."""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.errors import InputError

STUDY = studies.get("shaped-smooth")
SETTING = {"scale": 1.0, "rate": 0.5, "norm0": 1.0, "rho0": 0.3}


def cell(activation, width, depth, **other):
    return {**SETTING, "activation": activation, "width": width, "depth": depth, **other}


def applying(at):
    return {t.name for t in STUDY.theories if t.skip(at) is None}


def test_theories_apply_where_they_should():
    assert applying(cell("root", 32, 96)) == {"infinite-width", "covariance-sde", "norm-sde", "explosion-probability"}
    assert applying(cell("root", 32, 8)) == {"infinite-width", "covariance-sde", "norm-sde"}
    assert applying(cell("tanh", 32, 96, scale=0.7)) == {"infinite-width", "covariance-sde", "norm-sde", "stationary"}
    assert applying(cell("tanh", 32, 96)) == {"infinite-width", "covariance-sde", "norm-sde"}
    assert applying(cell("root", 256, 16, rate=0.25)) == {"infinite-width", "smooth-ode"}
    for at in (cell("root", 32, 96), cell("tanh", 32, 96, scale=0.7), cell("root", 256, 16, rate=0.25)):
        for theory in STUDY.theories:
            if theory.skip(at) is None:
                assert set(theory.build(at).observables) <= set(STUDY.observables)


def test_an_unknown_activation_is_named():
    with pytest.raises(InputError, match="activation"):
        STUDY.check(cell("relu", 8, 8))


@pytest.fixture(scope="module")
def run():
    grid = {
        "activation": ["root", "tanh"],
        "scale": [0.6, 1.0],
        "rate": [0.5],
        "norm0": [1.0],
        "rho0": [0.3],
        "width": [16, 64],
        "aspect": [1.0, 3.0],
    }
    return limitbench.run("shaped-smooth", grid, samples=512)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


def test_ledger_answers_what_the_run_can(claims):
    for name in (
        "explosion-unfinished-a0.6-v1",
        "explosion-convergence",
        "beta-positive-explodes",
        "beta-negative-never-explodes",
        "beta-ergodic",
        "odd-activations-feel-no-shaping",
        "infinite-width-fails",
        "stationary-holds",
        "solved-norm-is-simulated-norm",
    ):
        assert claims[name].verdict in ("holds", "undecided"), name
        assert math.isfinite(claims[name].measured), name
    assert claims["explosion-unfinished-a0.6-v1"].verdict == "holds"
    assert claims["infinite-width-fails"].verdict == "holds"


def test_ledger_says_what_it_lacks(claims):
    for name in ("explosion-a1-v1", "explosion-a1-v3", "collapse-t1", "ode-rate-v1", "correlation-shifted-tanh"):
        assert claims[name].verdict == "undecided"
        assert math.isnan(claims[name].measured)
        assert "needs" in claims[name].text


def test_names_of_claims_are_unique(run):
    names = [claim.name for claim in STUDY.claims(run)]
    assert len(names) == len(set(names))


def test_a_broken_run_makes_its_claims_fail(run):
    """Explosions that were swapped with survivors, and norms that are ever further off."""
    broken = run.copy(deep=True)
    samples = broken["samples"].to_dataset()
    samples["exploded"] = 1 - samples["exploded"]
    samples["log_norm"] = samples["log_norm"] * (1 + 0.5 * samples["aspect"])
    broken["samples"] = xr.DataTree(samples)
    found = {claim.name: claim.verdict for claim in STUDY.claims(broken)}
    assert found["explosion-unfinished-a0.6-v1"] == "fails"
    assert found["beta-negative-never-explodes"] == "fails"
    assert found["beta-ergodic"] == "fails"


def test_figures_show_what_the_run_has(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {"explosion-probability", "explosion-against-width", "norm-in-time"}
    for figure in figures.values():
        assert len(figure.series) <= 8
        for series in figure.series:
            assert series.x.shape == series.y.shape
            assert series.x.size <= 60
            assert np.isfinite(series.y).all()
            assert (np.diff(series.x) >= 0).all()


def test_below_the_critical_rate_the_ode_is_drawn_and_claimed():
    grid = {
        "activation": ["shifted-tanh"],
        "scale": [0.5],
        "rate": [0.25],
        "norm0": [1.0],
        "rho0": [0.0],
        "width": [256],
        "aspect": [1 / 64, 1 / 16],
    }
    run = limitbench.run("shaped-smooth", grid, samples=2048)
    (figure,) = STUDY.figures(run)
    assert figure.name == "ode"
    assert "ODE 0.3049" in figure.caption
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    assert claims["ode-unfinished-v1"].verdict == "holds"
    assert claims["ode-error-is-the-stretch-v1"].verdict == "holds"
    assert claims["ode-rate-v1"].verdict == "undecided"
    assert claims["ode-unfinished-v1"].predicted == pytest.approx(0.3049, abs=5e-5)


def test_exploding_norms_below_the_critical_rate_leave_no_claim_and_a_curve_that_ends():
    grid = {"activation": ["root"], "rate": [0.25], "norm0": [3.0], "width": [16], "depth": [1, 2, 8]}
    run = limitbench.run("shaped-smooth", grid, samples=512)
    assert all(claim.verdict == "undecided" for claim in STUDY.claims(run) if "ode" in claim.name)
    (figure,) = (f for f in STUDY.figures(run) if f.name == "ode")
    assert np.isnan(figure.series[0].y[-1])
    assert figure.series[0].y[0] == 0.3
