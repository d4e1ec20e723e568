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


@pytest.fixture(scope="module")
def narrow():
    grid = {"activation": ["arcsinh", "shifted-tanh"], "scale": [0.6, 1.5], "width": [32], "aspect": [1.0, 2.0]}
    return limitbench.run("shaped-smooth", grid, samples=512)


def test_every_claim_predicts_the_number_of_the_sheet(claims):
    """Name: predicted by sheet A 1.4, 1.5 and 2 (those of simulations within their errors), relation."""
    table = {
        "correlation-mean-tanh": (0.2371, 0.013, "equal to"),
        "correlation-sd-tanh": (0.6606, 0.013, "equal to"),
        "explosion-a1-v1": (0.2222, 0.008, "equal to"),
        "explosion-a0.6-v1": (0.3250, 0.009, "equal to"),
        "explosion-a1-v3": (0.7107, 0.009, "equal to"),
        "explosion-unfinished-a1-v1": (0.2222, 0.008, "at most"),
        "explosion-unfinished-a0.6-v1": (0.3250, 0.009, "at most"),
        "explosion-convergence": (0.5, 0.0, "at most"),
        "stationary-mean": (0.7550, 5e-5, "equal to"),
        "stationary-sd": (0.4301, 5e-5, "equal to"),
        "collapse-t1": (-0.949, 0.03, "equal to"),
        "collapse-t2": (-1.775, 0.04, "equal to"),
        "collapse-t4": (-3.210, 0.06, "equal to"),
        "collapse-slope-not-reached": (0.5556, 5e-5, "equal to"),
        "beta-positive-explodes": (0.01, 0.0, "at least"),
        "beta-negative-never-explodes": (0.0, 0.0, "equal to"),
        "ode-unfinished-v1": (0.3049, 5e-5, "equal to"),
        "ode-unfinished-v2": (0.3379, 5e-5, "equal to"),
    }
    for name, (predicted, tolerance, relation) in table.items():
        assert claims[name].predicted == pytest.approx(predicted, abs=tolerance), name
        assert claims[name].relation == relation, name


def test_measured_moments_are_those_of_the_networks(run, claims, narrow):
    x = run["samples"]["correlation"].sel(activation="tanh", scale=1.0, width=64, aspect=1.0).values.ravel()
    assert claims["correlation-mean-tanh"].measured == pytest.approx(x.mean())
    assert claims["correlation-sd-tanh"].measured == pytest.approx(x.std(ddof=1))
    found = {claim.name: claim for claim in STUDY.claims(narrow)}
    fallen = narrow["samples"]["log_norm"].sel(activation="arcsinh", scale=1.5).mean("sample").squeeze()
    assert found["collapse-t1"].measured == pytest.approx(float(fallen[0]))
    assert found["collapse-slope-not-reached"].measured == pytest.approx(-float(fallen[1]) / 2)
    assert found["collapse-slope-not-reached"].relation == "at least"
    assert found["collapse-slope-not-reached"].verdict == "holds"


@pytest.mark.parametrize(
    ("ks", "p", "verdict"), [(0.2, 1e-9, "holds"), (0.02, 0.4, "fails"), (0.06, 0.02, "undecided")]
)
def test_an_unfinished_law_is_seen_by_its_distance(narrow, ks, p, verdict):
    changed = narrow.copy(deep=True)
    scores = changed["scores"].to_dataset()
    changed["scores"] = xr.DataTree(scores.assign(ks=scores["ks"] * 0 + ks, ks_pvalue=scores["ks_pvalue"] * 0 + p))
    (claim,) = (c for c in STUDY.claims(changed) if c.name == "correlation-unfinished")
    assert (claim.relation, claim.verdict, claim.measured) == ("at least", verdict, ks)
    assert claim.predicted == pytest.approx(0.87 / math.sqrt(512 * 2**15 / (512 + 2**15)))


def test_unfinished_shares_do_not_pass_for_the_limit(run):
    """512 networks of the share at width 128 are too few to say, 8192 refute it; 8192 of the limit's share hold."""
    for networks, exploded, verdict in ((512, 92, "undecided"), (8192, 1475, "fails"), (8192, 1834, "holds")):
        cell = run.isel(activation=[0], scale=[1], width=[1], aspect=[1])
        samples = cell["samples"].to_dataset().isel(sample=np.arange(networks) % 512)
        share = xr.DataArray((np.arange(networks) < exploded).astype(float), dims="sample")
        wide = xr.DataTree.from_dict(
            {
                "samples": samples.assign(exploded=samples["exploded"] * 0 + share).assign_coords(width=[512]),
                "scores": cell["scores"].to_dataset().assign_coords(width=[512]),
                "run": cell["run"].to_dataset().assign(depth=cell["run"]["depth"] * 8).assign_coords(width=[512]),
            }
        )
        (claim,) = (c for c in STUDY.claims(wide) if c.name == "explosion-a1-v1")
        assert (claim.measured, claim.verdict) == (pytest.approx(exploded / networks), verdict)
