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


def test_captions_say_what_the_scores_and_the_networks_are(tree):
    def captions(found):
        return {f.name: f.caption for f in studies.get("shaped-relu").figures(found)}

    other = tree.copy(deep=True)
    distance = other["scores"]["distance"]
    other["scores"]["distance"] = distance.where(distance["theory"] != "covariance-sde", 7.0)
    other["samples"]["correlation"] = other["samples"]["correlation"] * 0.5
    before, after = captions(tree), captions(other)
    assert "p = 0.5: covariance SDE (" in before["critical-exponent"]
    assert "p = 0.5: covariance SDE, ν = 0 (" in after["critical-exponent"]
    assert before["mean-correlation"] != after["mean-correlation"]


def test_widths_lie_on_one_curve_in_depth_over_width(made_up_run):
    """Means of networks and the SDE at two depths and widths; the caption has the largest distances from the limit."""
    study = studies.get("shaped-relu")
    axes = {"c_plus": [0.0], "c_minus": [-1.0], "rho0": [0.3], "rate": [0.5], "width": [16, 32], "aspect": [0.5, 1.0]}
    run = made_up_run(study, axes, networks=2000)
    figure = {f.name: f for f in study.figures(run)}["collapse-in-depth-over-width"]
    limit, *rows = figure.series
    np.testing.assert_allclose(limit.x[[0, -1]], [0.0, 1.0])
    off = [np.abs(row.y - np.interp(row.x, limit.x, limit.y)).max() for row in rows]
    assert f"at most {off[0]:.3f} from the covariance SDE at n = 16" in figure.caption
    assert f"at most {off[1]:.3f} at n = 32" in figure.caption
    assert max(off) < 0.15


def test_a_run_without_square_networks_has_no_figures():
    tree = limitbench.run("shaped-relu", {"width": [16], "aspect": [0.25]}, samples=4096)
    assert studies.get("shaped-relu").figures(tree) == []
