"""`weight-universality`: what holds and what fails with other weights, and that the claims can say no."""

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.networks.weights import WEIGHTS

STUDY = studies.get("weight-universality")


@pytest.fixture(scope="module")
def run():
    return limitbench.run("weight-universality", {"network": ["linear", "relu"], "width": [32]}, samples=2048)


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
    for moment in ("mean", "variance"):
        for name in ("linear-uniform", "linear-rademacher", "relu-uniform", "relu-rademacher", "relu-orthogonal"):
            assert claims[f"{moment}-{name}"].verdict == "holds", name
    for name in (
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
    for name in ("limit-linear-uniform", "limit-balanced-rademacher", "orthogonal-shaped-relu"):
        assert claims[name].verdict == "undecided"
        assert "needs" in claims[name].text


def test_claims_name_what_they_predict(claims):
    assert claims["orthogonal-linear-log-norm"].measured < 1e-12
    assert claims["variance-relu-orthogonal"].predicted == pytest.approx(3.616, abs=1e-3)
    assert claims["pytorch-mean-square-relu"].predicted == pytest.approx(2 / (5 * 32), rel=1e-6)


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
