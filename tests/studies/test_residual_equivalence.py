"""`residual-equivalence`: cells are the networks they say, claims can say no, simulated numbers of sheet A section 2.

"Within" means 4.5 standard errors, both combined; every claim that holds has a companion run in which it fails.
"""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.errors import InputError
from limitbench.networks.covariances import CovarianceMLP
from limitbench.networks.resnet import ResNet
from limitbench.studies.evidence import Evidence
from limitbench.studies.residual_equivalence.cells import root_cells

STUDY = studies.get("residual-equivalence")
SYMMETRIC = {"slope_difference": 3.0, "slope_mean": 0.0, "rho0": -0.2, "time": 1.0, "width": 64, "depth": 8}


def network(kind, **changed):
    return STUDY.network(SYMMETRIC | {"network": kind} | changed)


def mean(x):
    return x.mean(), x.std() / math.sqrt(len(x))


# The networks of the cells. -----------------------------------------------------------------------------------------


def test_one_pair_of_constants_is_shaping_of_the_mlp_and_slopes_of_the_residual_network():
    mlp, plain, normalised = (network(kind) for kind in ("shaped-mlp", "resnet", "resnet-normalised"))
    assert isinstance(mlp, CovarianceMLP)
    assert isinstance(plain, ResNet)
    assert (mlp.slope_plus, mlp.slope_minus) == pytest.approx((1 + 1.5 / math.sqrt(8), 1 - 1.5 / math.sqrt(8)))
    assert (plain.slope_plus, plain.slope_minus) == (1.5, -1.5)
    assert (plain.skip, plain.branch) == pytest.approx((1.0, 8**-0.5))
    assert normalised.growth == pytest.approx(1.0, abs=1e-14)
    assert plain.growth == pytest.approx(1 + 2.25 / 8, abs=1e-14)
    assert normalised.gram == plain.gram == mlp.gram


def test_time_is_a_share_of_the_depth_and_names_the_same_networks():
    half, whole = (network("resnet", time=t) for t in (0.5, 1.0))
    assert (half.depth, whole.depth) == (4, 8)
    assert half.parameters == whole.parameters
    along = whole.sample(16, depths=[4, 8])
    np.testing.assert_array_equal(along["correlation"].sel(depth=4), half.sample(16)["correlation"])


@pytest.mark.parametrize("time", [0.3, 0.0])
def test_a_time_between_layers_is_named(time):
    with pytest.raises(InputError, match="time"):
        STUDY.check(SYMMETRIC | {"network": "resnet", "time": time})


def test_slopes_that_are_both_zero_are_named():
    with pytest.raises(InputError, match="slope_mean"):
        STUDY.check(
            SYMMETRIC | {"network": "shaped-mlp", "slope_difference": 0.0, "slope_mean": -2.0, "depth": 4, "time": 1.0}
        )


def test_theories_of_mlps_say_nothing_about_residual_networks():
    skipping = {t.name for t in STUDY.theories if t.skip(SYMMETRIC | {"network": "resnet"})}
    assert skipping == {"gaussian-fluctuation", "finite-width-chain"}


# Simulated numbers of the sheet. ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slopes", "rho0", "n", "d", "rho", "se", "networks"),
    [
        ((3.0, 0.5), -0.2, 64, 8, 0.5502, 0.0018, 4096),
        ((3.0, 0.5), -0.2, 64, 64, 0.5939, 0.0039, 1024),
        ((3.0, 0.5), -0.2, 256, 256, 0.6216, 0.0050, 64),
        ((1.0, 0.5), 0.0, 64, 8, 0.1340, 0.0017, 4096),
        ((1.0, 0.5), 0.0, 64, 64, 0.1386, 0.0036, 1024),
    ],
)
def test_residual_networks_of_the_sheet(slopes, rho0, n, d, rho, se, networks):
    cell = {"slope_difference": slopes[0], "slope_mean": slopes[1], "rho0": rho0, "width": n, "depth": d}
    ours, ours_se = mean(network("resnet", **cell).sample(networks)["correlation"].values)
    assert abs(ours - rho) < 4.5 * math.hypot(ours_se, se)


@pytest.mark.parametrize(("slope_mean", "rho", "se"), [(0.0, 0.5626, 0.0013), (-0.5, 0.6657, 0.0011)])
def test_mlps_of_the_sheet(slope_mean, rho, se):
    x = network("shaped-mlp", slope_mean=slope_mean).sample(8192)["correlation"].values
    ours, ours_se = mean(x)
    assert abs(ours - rho) < 4.5 * math.hypot(ours_se, se)
    assert abs(ours - 0.6163) > 4.5 * ours_se  # the companion: the ODE, to which d = 8 is not close


# Claims and figures. ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    grid = {"width": [64], "depth": [8], "time": [0.5, 1.0], "slope_mean": [-0.5, 0.0]}
    return limitbench.run("residual-equivalence", grid, samples=4096)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


def test_what_holds_and_what_fails_at_one_size(claims):
    for name in (
        "same-recursion",
        "mean-correlation-resnet",
        "covariances-plain-differ",
        "ode-fluctuation-not-yet",
        "scaled-sd-mlp-n64-d8",
        "fluctuation-resnet",
        "fluctuation-resnet-normalised",
        "mlp-fluctuates-more",
        "norm-growth-plain",
        "asymmetric-mean",
        "asymmetric-bias",
    ):
        assert claims[name].verdict == "holds", claims[name]
    for name in ("scaled-sd-mlp-n4096-d64", "ode-rate-resnet", "relu-resnet"):
        assert claims[name].verdict == "undecided"
        assert "needs" in claims[name].text
    assert claims["scaled-sd-mlp-n4096-d64"].predicted == pytest.approx(0.4245, abs=5e-5)


def test_what_each_claim_predicts(run, claims):
    equal = {
        "same-recursion": 0.0,
        "ode-rate-shaped-mlp": 0.5,
        "ode-rate-resnet": 0.5,
        "ode-rate-resnet-normalised": 0.5,
        "mean-correlation-resnet": 0.0,
        "mean-correlation-resnet-normalised": 0.0,
        "mean-correlation-every-size": 0.0,
        "scaled-sd-mlp-n64-d8": 0.515,
        "covariances-normalised": 0.0,
        "asymmetric-mean": 0.6657,
        "relu-resnet": 0.1413,
    }
    for name, value in equal.items():
        assert claims[name].predicted == pytest.approx(value, abs=2e-3), name
        assert claims[name].relation == "equal to", name
    assert (claims["scaled-sd-approaches-limit"].predicted, claims["asymmetric-bias"].predicted) == (1.0, 0.02)
    assert claims["asymmetric-bias"].relation == claims["covariances-plain-differ"].relation == "at least"
    scores = run["scores"]["distance"].sel(observable="correlation", network="shaped-mlp", time=1.0, slope_mean=0.0)
    for name, theory, relation in (
        ("chain-holds-mlp", "finite-width-chain", "at most"),
        ("ode-fluctuation-not-yet", "gaussian-fluctuation", "at least"),
    ):
        assert claims[name].measured == float(scores.sel(theory=theory).item())
        assert (claims[name].predicted, claims[name].relation) == (run["scores"].attrs["margin"], relation)


def one_setting(**changed):
    return {"network": ["shaped-mlp"]} | {name: [value] for name, value in SYMMETRIC.items()} | changed


@pytest.mark.parametrize(("power", "spread", "verdict"), [(1, 1, "holds"), (0.5, -1, "fails")])
def test_errors_and_fluctuations_of_mlps_that_approach_their_limit(made_up_run, power, spread, verdict):
    """Errors d^-power and spreads .4245 (1 + 2 (8/d)^spread) at d = n^1/2; the claims are of power 1 and a decrease."""

    def draw(cell, random):
        n, d = cell["width"], cell["depth"]
        if d * d != n:
            return None
        std = 0.42451 * (1 + 2 * (8 / d) ** spread) * math.sqrt(d / n)
        return {"correlation": random.normal(0.61631 - 0.25 * (8 / d) ** power, std, 20_000)}

    tree = made_up_run(STUDY, one_setting(width=[64, 256, 1024], depth=[8, 16, 32]), draw)
    claims = {claim.name: claim for claim in STUDY.claims(tree)}
    rate, approach = claims["ode-rate-shaped-mlp"], claims["scaled-sd-approaches-limit"]
    assert (rate.verdict, approach.verdict) == (verdict, verdict), (rate, approach)
    assert rate.predicted == 0.5
    assert rate.measured == pytest.approx(power / 2, abs=0.1)
    assert approach.measured == pytest.approx(4.0**-spread, rel=0.1)
    assert approach.relation == "at most"


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (4, 2)])
def test_networks_of_few_units_have_a_ledger(made_up_run, width, depth):
    """One unit: a correlation of 1 in every symmetric MLP; fewer than 8: no finite-width chain."""
    networks = {"network": ["resnet", "resnet-normalised", "shaped-mlp"], "slope_mean": [-0.5, 0.0]}
    tree = made_up_run(STUDY, one_setting(width=[width], depth=[depth], **networks), networks=64)
    claims = {claim.name: claim for claim in STUDY.claims(tree)}
    for name in ("asymmetric-mean", "mlp-fluctuates-more"):
        assert claims[name].verdict == "undecided"
        assert "needs" in claims[name].text
    assert {"correlation-along-time", "norm-along-time"} <= {figure.name for figure in STUDY.figures(tree)}


def test_norms_stay_inside_the_range_of_floats():
    """(1 + h/d)^d with h = 200 at the largest slopes; larger ones are refused by name."""
    largest = {"slope_difference": 20.0, "slope_mean": 10.0, "width": 16, "depth": 64}
    norms = network("resnet", **largest).sample(16)["covariance_11"]
    assert np.isfinite(norms).all()
    assert float(norms.max()) > 1e35
    cell = SYMMETRIC | {"network": "resnet"} | largest
    assert next(t for t in STUDY.theories if t.name == "ode").build(cell).law("covariance_11").mean == pytest.approx(
        math.exp(200)
    )
    for name in ("slope_mean", "slope_difference"):
        with pytest.raises(InputError, match=f"{name}.*in \\["):
            limitbench.run("residual-equivalence", {name: [100.0], "width": [64], "depth": [8], "time": [1.0]})


def test_covariances_of_the_plain_network_are_larger_by_its_growth(claims):
    assert claims["norm-growth-plain"].predicted == pytest.approx((1 + 2.25 / 8) ** 8)
    assert claims["covariances-plain-differ"].measured > 100 * claims["covariances-plain-differ"].se


def test_broken_networks_make_their_claims_fail(run):
    """The companion: correlations of the MLP pulled 15 % towards 1, two covariances 15 % too large."""
    broken = run.copy(deep=True)
    samples = broken["samples"].to_dataset()
    mlp = samples["network"] == "shaped-mlp"
    samples["correlation"] = samples["correlation"] + xr.where(mlp, 0.15 * (1 - samples["correlation"]), 0.0)
    for name in ("covariance_11", "covariance_22"):
        samples[name] = samples[name] * xr.where(mlp, 1.15, 1.0)
    broken["samples"] = xr.DataTree(samples)
    claims = {claim.name: claim for claim in STUDY.claims(broken)}
    for name in (
        "mean-correlation-resnet",
        "mean-correlation-resnet-normalised",
        "covariances-normalised",
        "scaled-sd-mlp-n64-d8",
        "asymmetric-mean",
    ):
        assert claims[name].verdict == "fails", claims[name]


def test_a_run_without_the_cells_of_a_claim_says_what_it_needs(run):
    early = run.isel(time=[0], missing_dims="ignore")
    for claim in STUDY.claims(early):
        if claim.name != "same-recursion":
            assert claim.verdict == "undecided"
    assert STUDY.figures(early) == []


def test_figures_show_one_curve_and_two_norms(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {
        "correlation-along-time",
        "norm-along-time",
        "scaled-fluctuation",
        "difference-against-aspect",
    }
    curve, *points = figures["correlation-along-time"].series
    assert curve.y[-1] == pytest.approx(0.6163, abs=5e-5)
    assert [len(p.x) for p in points] == [2, 2, 2]
    for figure in figures.values():
        assert len(figure.series) <= 8
        for series in figure.series:
            assert np.isfinite(series.y).all()


def test_cells_with_d_equal_to_the_root_of_n_are_ordered_by_width(run):
    cells = root_cells(Evidence(STUDY, run), "resnet")
    assert [(c.parameters["width"], c.parameters["depth"]) for c in cells] == [(64, 8)]
