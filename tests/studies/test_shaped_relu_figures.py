"""The figures of `shaped-relu` show the networks' own numbers and leave out what a run lacks."""

import numpy as np
import pytest

import limitbench
from limitbench import studies


@pytest.fixture(scope="module")
def tree():
    return limitbench.run("shaped-relu", {"width": [4, 16, 32], "aspect": [1.0]}, samples=4096)


def test_critical_exponent_is_where_the_covariance_sde_has_the_smallest_distance(tree):
    figure = {f.name: f for f in studies.get("shaped-relu").figures(tree)}["critical-exponent"]
    curves = {s.theory: s for s in figure.series}
    np.testing.assert_array_equal(curves["covariance-sde"].x, [0.25, 0.5, 1.0])
    best = np.nanargmin(np.stack([np.nan_to_num(s.y, nan=0.0) for s in figure.series]), axis=0)
    names = [figure.series[k].theory for k in best]
    assert names == ["infinite-width-clt", "covariance-sde", "covariance-sde-driftless"]
    assert "p = 0.5: covariance SDE (" in figure.caption


def test_mean_correlation_holds_the_means_of_the_samples(tree):
    figure = {f.name: f for f in studies.get("shaped-relu").figures(tree)}["mean-correlation"]
    drawn = next(s for s in figure.series if s.label == "networks, p = 0.5")
    samples = tree["samples"]["correlation"].sel(rate=0.5, aspect=1.0).squeeze()
    np.testing.assert_allclose(drawn.y, samples.mean("sample"))
    chain = next(s for s in figure.series if s.label == "finite-width chain, p = 0.5")
    assert np.isnan(chain.y[0])  # four units are too few for the chain
    assert (np.abs(chain.y - drawn.y)[1:] < 4.5 * drawn.se[1:]).all()


def test_a_run_without_square_networks_has_no_figures():
    tree = limitbench.run("shaped-relu", {"width": [16], "aspect": [0.25]}, samples=4096)
    assert studies.get("shaped-relu").figures(tree) == []
