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


def test_what_each_claim_predicts(run):
    """Sheet C 2.2 to 2.4, and the variance v_d, mean m_d of finite depth."""
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    equal = {
        "vanilla-mean-n64-d64": -1.9407,
        "vanilla-variance-n64-d64": 5.2756,
        "balanced-mean-n64-d64": -1.125,
        "balanced-variance-n64-d64": 2.25,
        "vanilla-lag-0": 3.0,
        "vanilla-lag-1": 1.9549,
        "vanilla-lag-8": 0.1593,
        "balanced-lag-0": 3.0,
        "balanced-lag-1": 0.0,
        "vanilla-active-fraction": -0.3343,
        "vanilla-relu-share": -0.8574,
        "share-at-layer-1": -0.2842,
        "vanilla-mean-growth-rate": 0.7374,
        "balanced-mean-growth-rate": 0.0,
        "infinite-width-worse-with-depth": 1.0,
    }
    for name, value in equal.items():
        assert claims[name].predicted == pytest.approx(value, abs=5e-5), name
        assert claims[name].relation == "equal to"
    margin, distance = run["scores"].attrs["margin"], run["scores"]["distance"].sel(network="vanilla")
    for name, theory, relation in (
        ("finite-depth-fails-when-narrow", "log-gaussian-finite-depth", "at least"),
        ("base-fails-vanilla", "log-gaussian-base", "at least"),
    ):
        assert (claims[name].predicted, claims[name].relation) == (margin, relation)
        assert claims[name].measured in distance.sel(theory=theory, observable="log_norm").values
    for name, value in (("infinite-width", 10.0), ("log-gaussian-base", 3.0)):
        claim = claims[f"finite-depth-gains-on-{name}-log_norm"]
        assert (claim.predicted, claim.relation) == (value, "at least")


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


@pytest.fixture
def squares(made_up_run):
    """A run with cells n = d alone, normal log norms of variance v_d + excess/n (`last` at n = 256)."""

    def build(excess, last=None, networks=40_000):
        def draw(cell, random):
            n = cell["width"]
            if n != cell["depth"]:
                return None
            theory = LogGaussianFiniteDepth(n, n)
            more = excess if last is None or n < 256 else last
            return {"log_norm": random.normal(theory.mean, math.sqrt(theory.variance + more / n), networks)}

        widths = [32, 64, 128, 256]
        axes = {"network": ["vanilla"], "residual_weight": [0.5], "outputs": [1], "width": widths, "depth": widths}
        return made_up_run(STUDY, axes, draw, networks)

    return build


def excess_claim(tree):
    return next(claim for claim in STUDY.claims(tree) if claim.name == "variance-excess-extrapolates")


def test_the_excess_of_narrow_networks_predicts_wide_ones(squares):
    claim = excess_claim(squares(42.0))
    assert claim.verdict == "holds"
    assert claim.predicted == pytest.approx(5.401 + 42 / 256, abs=0.03)


def test_an_excess_that_vanishes_at_once_is_noticed(squares):
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


@pytest.mark.parametrize(
    ("weight", "width", "depths"), [(0.5, 16, [16]), (0.9, 2, [1]), (0.0, 1, [30]), (0.5, 4, [1, 4])]
)
def test_a_run_of_vanilla_networks_alone_has_figures(made_up_run, weight, width, depths):
    axes = {"network": ["vanilla"], "residual_weight": [weight], "outputs": [1], "width": [width], "depth": depths}
    tree = made_up_run(STUDY, axes, networks=64)
    STUDY.claims(tree)
    for figure in STUDY.figures(tree):
        assert "nan" not in figure.caption
        assert all(len(series.x) for series in figure.series)


def test_runs_that_lack_cells_still_have_a_ledger_and_figures():
    tree = limitbench.run("log-gaussian-resnet", {"network": ["balanced"], "width": [16], "depth": [3]}, samples=4096)
    found = verdicts(tree)
    assert set(found.values()) == {"undecided"}
    assert found["vanilla-lag-1"] == "undecided"
    figures = {figure.name: figure for figure in STUDY.figures(tree)}
    assert "nan" not in figures["mean-growth"].caption
    assert "Vanilla" not in figures["mean-growth"].caption
    assert studies.get("log-gaussian-resnet") is STUDY
