"""`weight-universality`: what holds and what fails with other weights, and that the claims can say no."""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.networks.weights import WEIGHTS

STUDY = studies.get("weight-universality")


@pytest.fixture(scope="module")
def run():
    grid = {"network": ["linear", "relu"], "width": [32], "aspect": [1.0]}
    return limitbench.run("weight-universality", grid, samples=4096)


@pytest.fixture(scope="module")
def claims(run):
    return {claim.name: claim for claim in STUDY.claims(run)}


def test_every_family_takes_every_ensemble():
    for network in STUDY.axis("network").choices:
        for weights in WEIGHTS:
            cell = {"network": network, "weights": weights, "width": 8, "depth": 3, "aspect": 0.375}
            sample = STUDY.network(cell).sample(4, sampler="dense")
            assert np.isfinite(sample["log_norm"]).all()
            assert "correlation" in sample


def test_what_survives_and_what_does_not(claims):
    for name in (
        "mean-relu-uniform",
        "mean-relu-rademacher",
        "variance-relu-rademacher",
        "mean-relu-orthogonal",
        "variance-relu-orthogonal",
        "orthogonal-linear-log-norm",
        "orthogonal-linear-correlation",
        "orthogonal-breaks-the-limit",
        "pytorch-mean-square-linear",
        "pytorch-mean-square-relu",
        "pytorch-floor-linear",
        "pytorch-floor-relu",
        "pytorch-norm-not-preserved",
        "correlation-linear-rademacher",
    ):
        assert claims[name].verdict == "holds", claims[name]
    # effects of .06 to .5 on variances near 2 and 5.6: 4,096 networks do not tell these weights from Gaussian ones
    for name in (
        "mean-linear-uniform",
        "variance-linear-uniform",
        "mean-linear-rademacher",
        "variance-linear-rademacher",
        "variance-relu-uniform",
    ):
        claim = claims[name]
        assert claim.verdict == "undecided", claim
        assert abs(claim.measured - claim.predicted) < 4.5 * claim.se
    for name in ("limit-linear-uniform", "limit-balanced-rademacher", "orthogonal-shaped-relu"):
        assert claims[name].verdict == "undecided"
        assert "needs" in claims[name].text


def test_claims_name_what_they_predict(run, claims):
    assert claims["orthogonal-linear-log-norm"].measured < 1e-12
    equal = {
        "mean-relu-rademacher": -2.3062,
        "variance-relu-rademacher": 5.0098,
        "variance-relu-orthogonal": 3.6161,
        "limit-linear-uniform": 2.0,
        "limit-relu-rademacher": 5.0,
        "limit-relu-orthogonal": 3.0,
        "limit-balanced-uniform": 2.25,
        "orthogonal-linear-log-norm": 0.0,
        "orthogonal-linear-correlation": 0.0,
        "pytorch-mean-square-linear": 1 / 64,
        "pytorch-mean-square-relu": 2 / (5 * 32),
        "correlation-linear-uniform": 0.0,
    }
    least = {
        # d = 32 layers of weights of variance 1/(3n); ReLU halves what all but the last pass on
        "pytorch-floor-linear": -32 * math.log(3),
        "pytorch-floor-relu": -32 * math.log(3) - 31 * math.log(2),
        "pytorch-norm-not-preserved": run["scores"].attrs["margin"],
        "orthogonal-breaks-the-limit": run["scores"].attrs["margin"],
    }
    for relation, predicted in (("equal to", equal), ("at least", least)):
        for name, value in predicted.items():
            assert claims[name].predicted == pytest.approx(value, abs=5e-5), name
            assert claims[name].relation == relation, name
    distance = run["scores"]["distance"].sel(theory="gaussian-limit", observable="log_norm")
    for name, weights in (("pytorch-norm-not-preserved", "pytorch"), ("orthogonal-breaks-the-limit", "orthogonal")):
        assert claims[name].measured == float(distance.sel(weights=weights).min())
    assert not any("{" in claim.text for claim in claims.values())


WEIGHTS_AND_NETWORKS = {"network": ["balanced", "linear", "relu", "shaped-relu"], "weights": list(WEIGHTS)}


def test_limits_are_extrapolated_to_infinite_width(made_up_run):
    """Variances rate + 30/n at n = 32, 64: the limit, not what either width has; then a rate 1 too large."""
    rates = {"linear": 2.0, "relu": 5.0, "balanced": 2.25}

    def verdicts(more):
        def draw(cell, random):
            rate = 3.0 if cell["weights"] == "orthogonal" else rates.get(cell["network"], 1.0)
            return {"log_norm": random.normal(0, math.sqrt(rate + more + 30 / cell["width"]), 20_000)}

        tree = made_up_run(STUDY, WEIGHTS_AND_NETWORKS | {"width": [32, 64], "aspect": [1.0]}, draw)
        return {c.name: c.verdict for c in STUDY.claims(tree) if c.name.startswith("limit-")}

    assert set(verdicts(0.0).values()) == {"holds"}
    assert set(verdicts(1.0).values()) == {"fails"}


@pytest.mark.parametrize(("spread", "verdict"), [(0.02, "holds"), (0.2, "fails")])
def test_orthogonal_shaped_networks_lose_their_fluctuation(made_up_run, spread, verdict):
    def draw(cell, random):
        if cell["network"] == "shaped-relu":
            return {"correlation": random.normal(0.5, spread if cell["weights"] == "orthogonal" else 0.2, 4096)}
        return None

    tree = made_up_run(STUDY, WEIGHTS_AND_NETWORKS | {"width": [32], "aspect": [1.0]}, draw, 4096)
    claim = {c.name: c for c in STUDY.claims(tree)}["orthogonal-shaped-relu"]
    assert (claim.predicted, claim.relation, claim.verdict) == (0.5, "at most", verdict)
    assert claim.measured == pytest.approx(spread / 0.2, rel=0.1)


def test_networks_of_one_unit_have_a_ledger(made_up_run):
    """Correlations are 1 or -1, in shaped ReLU networks 1."""
    tree = made_up_run(STUDY, WEIGHTS_AND_NETWORKS | {"width": [1], "aspect": [1.0]}, networks=64)
    claims = {claim.name: claim for claim in STUDY.claims(tree)}
    for name in ("orthogonal-shaped-relu", "orthogonal-linear-correlation", "variance-linear-rademacher"):
        assert claims[name].verdict == "undecided"
        assert "needs" in claims[name].text


def test_gaussian_networks_in_place_of_others_make_the_claims_fail(run):
    """The companion: every ensemble's networks replaced by those with Gaussian weights."""
    broken = run.copy(deep=True)
    samples = broken["samples"].to_dataset()
    gaussian = samples.sel(weights="gaussian", drop=True)
    broken["samples"] = xr.DataTree(gaussian.broadcast_like(samples).transpose(*samples["log_norm"].dims))
    claims = {claim.name: claim for claim in STUDY.claims(broken)}
    for name in (
        "mean-relu-rademacher",
        "variance-relu-orthogonal",
        "orthogonal-linear-log-norm",
        "orthogonal-linear-correlation",
        "pytorch-mean-square-linear",
    ):
        assert claims[name].verdict == "fails", claims[name]


def test_figures_show_each_ensemble(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {"variance-linear", "variance-relu"}
    for figure in figures.values():
        labels = [series.label for series in figure.series]
        assert {"gaussian", "uniform", "rademacher", "orthogonal"} <= set(labels)
        assert len(labels) <= 8
