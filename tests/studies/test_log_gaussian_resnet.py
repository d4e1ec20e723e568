"""The ledger of `log-gaussian-resnet` can say yes and no, and its figures show what the run holds."""

import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import studies
from limitbench.studies.log_gaussian_resnet import STUDY
from limitbench.theories.log_gaussian import LogGaussianFiniteDepth

GRID = {
    "network": ["balanced", "vanilla"],
    "residual_weight": [0.5],
    "outputs": [10],
    "width": [16, 64],
    "depth": [1, 2, 4, 16, 64],
}


@pytest.fixture(scope="module")
def run():
    return limitbench.run("log-gaussian-resnet", GRID, samples=8192)


def verdicts(tree):
    return {claim.name: claim.verdict for claim in STUDY.claims(tree)}


def broken(tree, **changes):
    """The run with some observables changed by a function."""
    copy = tree.copy(deep=True)
    samples = copy["samples"].to_dataset()
    for name, change in changes.items():
        samples[name] = change(samples[name]).broadcast_like(samples[name]).transpose(*samples[name].dims)
    copy["samples"] = xr.DataTree(samples)
    return copy


def test_ledger_of_a_small_run(run):
    found = verdicts(run)
    for name in (
        "balanced-mean-n64-d64",
        "balanced-variance-n64-d64",
        "vanilla-mean-n64-d16",
        "base-fails-vanilla",
        "finite-depth-fails-when-narrow",
        "finite-depth-gains-on-infinite-width-log_norm",
        "vanilla-lag-0",
        "vanilla-lag-1",
        "balanced-lag-0",
        "balanced-lag-1",
        "balanced-lag-3",
        "vanilla-active-fraction",
        "balanced-active-fraction",
        "balanced-relu-share",
        "vanilla-mean-growth-rate",
        "balanced-mean-growth-rate",
        "balanced-jacobian-has-the-law-of-the-norm",
        "vanilla-jacobian-differs",
        "infinite-width-worse-with-depth",
        "infinite-width-better-with-width",
    ):
        assert found[name] == "holds", name
    # slow convergence shows: the finite-depth variance is 10 % short at n = d = 64
    assert found["vanilla-variance-n64-d64"] == "fails"
    assert found["variance-excess-extrapolates"] == "undecided"


def test_a_claim_carries_the_distance_of_its_theory(run):
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    assert 0.02 < claims["vanilla-variance-n64-d64"].distance < 0.1
    assert math.isfinite(claims["finite-depth-gains-on-infinite-width-log_norm"].measured)
    assert "limitbench run log-gaussian-resnet" in claims["vanilla-lag-1"].command


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"log_norm": lambda x: x * 1.1}, ("balanced-variance-n64-d64",)),
        (
            {"log_norm": lambda x: x + 0.2},
            ("balanced-mean-n64-d64", "vanilla-mean-n64-d16", "balanced-mean-growth-rate"),
        ),
        ({"relu_share": lambda x: x.roll(sample=1).where(x.depth == 2, x)}, ("vanilla-lag-1",)),
        ({"relu_share": lambda x: x.sel(network="vanilla")}, ("balanced-lag-1", "balanced-relu-share")),
        ({"active_fraction": lambda x: x + 0.01}, ("vanilla-active-fraction", "balanced-active-fraction")),
        (
            {"log_jacobian": lambda x: 1.2 * x.sel(network="vanilla")},
            ("balanced-jacobian-has-the-law-of-the-norm",),
        ),
        ({"log_jacobian": lambda x: 2 * x}, ("vanilla-jacobian-differs",)),
        ({"log_output": lambda x: x + 0.3}, ("output-growth",)),
    ],
)
def test_a_broken_observable_fails_its_claims(run, changes, failing):
    """Planted defects: wrong scale, shift, layers that do not belong together, signs that are not balanced."""
    changes = {
        name: (lambda x, change=change: change(x).broadcast_like(x).transpose(*x.dims))
        for name, change in changes.items()
    }
    found = verdicts(broken(run, **changes))
    for name in failing:
        assert found[name] == "fails", name


def squares(excess, last=None, networks=40_000):
    """A run with cells n = d alone, normal log norms of variance v_d + excess/n (`last` at n = 256)."""
    widths, names = [32, 64, 128, 256], ["log_norm"]
    axes = {"network": ["vanilla"], "residual_weight": [0.5], "outputs": [1], "width": widths, "depth": widths}
    dims = tuple(axes)
    samples = np.full((1, 1, 1, 4, 4, networks), np.nan)
    random = np.random.default_rng(5)
    for i, n in enumerate(widths):
        theory = LogGaussianFiniteDepth(n, n)
        more = excess if last is None or n < 256 else last
        samples[0, 0, 0, i, i] = random.normal(theory.mean, math.sqrt(theory.variance + more / n), networks)
    shape = samples.shape[:-1]
    theories = [theory.name for theory in STUDY.theories]
    nan = np.full((*shape, 1, len(theories)), np.nan)
    scores = dict.fromkeys(("distance", "distance_low", "distance_high"), ((*dims, "observable", "theory"), nan))
    scores["verdict"] = ((*dims, "observable", "theory"), nan.astype(str))
    others = [name for name in STUDY.observables if name != "log_norm"]
    empty = dict.fromkeys(others, ((*dims, "sample"), np.full(samples.shape, np.nan)))
    run = {"n_samples": (dims, np.full(shape, networks)), "seconds": (dims, np.ones(shape))}
    return xr.DataTree.from_dict(
        {
            "samples": xr.Dataset({"log_norm": ((*dims, "sample"), samples), **empty}, axes),
            "scores": xr.Dataset(scores, {**axes, "observable": names, "theory": theories}, {"margin": 0.05}),
            "run": xr.Dataset(run, axes),
        }
    )


def excess_claim(tree):
    return next(claim for claim in STUDY.claims(tree) if claim.name == "variance-excess-extrapolates")


def test_the_excess_of_narrow_networks_predicts_wide_ones():
    claim = excess_claim(squares(42.0))
    assert claim.verdict == "holds"
    assert claim.predicted == pytest.approx(5.401 + 42 / 256, abs=0.03)


def test_an_excess_that_vanishes_at_once_is_noticed():
    assert excess_claim(squares(42.0, last=-20.0)).verdict == "fails"


def test_figures_show_the_run(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    assert set(figures) == {
        "log-norm-variance",
        "log-norm-mean",
        "variance-excess",
        "hypoactivation",
        "interlayer-covariance",
        "constants",
        "mean-growth",
    }
    for figure in figures.values():
        assert figure.caption.endswith(".")
        assert len(figure.series) <= 8
        for series in figure.series:
            assert series.x.shape == series.y.shape
            assert len(series.x) <= 60
            assert (np.diff(series.x) >= 0).all()
            assert np.isfinite(series.y).all()


def test_runs_that_lack_cells_still_have_a_ledger_and_figures():
    tree = limitbench.run("log-gaussian-resnet", {"network": ["balanced"], "width": [16], "depth": [3]}, samples=4096)
    found = verdicts(tree)
    assert set(found.values()) == {"undecided"}
    assert found["vanilla-lag-1"] == "undecided"
    assert isinstance(STUDY.figures(tree), list)
    assert studies.get("log-gaussian-resnet") is STUDY
