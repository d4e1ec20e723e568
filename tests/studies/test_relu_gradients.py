"""The ledger of `relu-gradients` can say yes and no; layers of one network are paired; figures show what there is."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.relu_gradients_residual import ResidualGradients
from limitbench.studies.relu_gradients import STUDY
from limitbench.studies.relu_gradients.families import MLPS, layers_of

MLP_AXES = {
    "network": ["relu", "relu-unequal", "linear"],
    "width": [8, 32, 48, 64],
    "depth": [8],
    "layer": [1, 4, 8],
}
RESNET_AXES = {"network": ["resnet", "balanced"], "width": [32, 64], "depth": [16], "layer": [1, 16]}


def layered(build, axes, networks):
    """A run of the study's networks without scores: one draw for all layers of a column."""
    drawn = {}

    def draw(cell, random):
        key = cell["network"], cell["width"], cell["depth"]
        if key not in drawn:
            drawn[key] = STUDY.network(cell).sample(networks, depths=axes["layer"])
        at = axes["layer"].index(cell["layer"])
        return {name: values.values[:, at] for name, values in drawn[key].items()}

    return build(STUDY, axes, draw, networks)


@pytest.fixture(scope="module")
def mlps(made_up_run):
    return layered(made_up_run, MLP_AXES, 8192)


@pytest.fixture(scope="module")
def resnets(made_up_run):
    return layered(made_up_run, RESNET_AXES, 2048)


def claims(tree):
    return {claim.name: claim for claim in STUDY.claims(tree)}


def changed(tree, **changes):
    """A copy in which some observables are other values."""
    copy = tree.copy(deep=True)
    copy["samples"] = xr.DataTree(copy["samples"].to_dataset().assign(changes))
    return {name: claim.verdict for name, claim in claims(copy).items()}


ANSWERED = (
    "variance-slope-relu",
    "variance-slope-relu-unequal",
    "variance-slope-linear",
    "mean-slope-relu",
    "unequal-widths-on-one-line",
    "forward-and-backward-mean",
    "forward-and-backward-variance",
    "weight-gradients-of-all-layers-mean",
    "weight-gradients-of-all-layers-variance",
    "norm-below-and-gradient-above-independent",
    "forward-and-backward-coupled",
    "spread-within-a-network",
    "death-is-a-product-over-layers",
    "death-is-about-depth-over-two-to-the-width",
)


def test_ledger_of_mlps(mlps):
    found = claims(mlps)
    assert {name: found[name].verdict for name in ANSWERED} == dict.fromkeys(ANSWERED, "holds")
    predicted = {name: claim.predicted for name, claim in found.items()}
    rates = {"relu": 5, "relu-unequal": 5, "relu-dropout": 6.5, "linear": 2, "linear-dropout": 5}
    assert {network: predicted[f"variance-slope-{network}"] for network in rates} == pytest.approx(rates)
    assert predicted["mean-slope-relu"] == -2.5
    assert "fails" not in {claim.verdict for claim in found.values()}
    # what the run has no networks for
    for name in ("variance-slope-relu-dropout", "vanilla-gradient-spreads-less", "exact-law-log-norm"):
        assert found[name].verdict == "undecided"
        assert math.isnan(found[name].measured)


def test_wrong_moments_are_noticed(mlps):
    """The companion: variances 32 % too large; means of other layers; gradients that spread more than norms."""
    samples = mlps["samples"].to_dataset()
    gradient, back = samples["log_weight_gradient"], samples["log_gradient"]
    wide = changed(mlps, log_weight_gradient=1.15 * gradient)
    for name in ("variance-slope-relu", "variance-slope-relu-unequal", "variance-slope-linear"):
        assert wide[name] == "fails", name
    assert changed(mlps, log_weight_gradient=gradient + 0.01 * gradient["layer"])[ANSWERED[7]] == "fails"
    stretched = changed(mlps, log_weight_gradient=gradient.where(gradient["layer"] < 8, 1.1 * gradient))
    assert stretched["weight-gradients-of-all-layers-variance"] == "fails"
    shifted = changed(mlps, log_gradient=1.1 * back + 0.02)
    assert shifted["forward-and-backward-mean"] == "fails"
    assert shifted["forward-and-backward-variance"] == "fails"
    swapped = gradient.copy(deep=True)
    swapped.loc[{"network": "relu-unequal"}] = swapped.sel(network="linear").to_numpy()
    swapped_found = changed(mlps, log_weight_gradient=swapped)
    assert swapped_found["variance-slope-relu-unequal"] == "fails"
    assert swapped_found["unequal-widths-on-one-line"] == "fails"
    assert swapped_found["variance-slope-relu"] == "holds"


def test_wrong_joint_laws_and_deaths_are_noticed(mlps):
    """The companion: gradients of other networks, norms that are not independent, twice as many dead."""
    samples = mlps["samples"].to_dataset()
    alien = samples["log_gradient"].roll(sample=1)
    assert changed(mlps, log_gradient=alien)["forward-and-backward-coupled"] != "holds"
    mixed = samples["log_weight_gradient"] + 0.2 * (samples["log_gradient"] - samples["log_gradient"].mean("sample"))
    assert changed(mlps, log_weight_gradient=mixed)["norm-below-and-gradient-above-independent"] == "fails"
    last = samples["layer"] == 8
    other = samples["log_weight_gradient"].roll(sample=1).where(last, samples["log_weight_gradient"])
    assert changed(mlps, log_weight_gradient=other)["spread-within-a-network"] == "fails"
    dead = np.maximum(samples["dead"], samples["dead"].roll(sample=1))
    twice = changed(mlps, dead=dead)
    assert twice["death-is-a-product-over-layers"] == "fails"
    assert twice["death-is-about-depth-over-two-to-the-width"] == "fails"


def test_ledger_of_residual_networks(resnets):
    found = claims(resnets)
    for name in (
        "balanced-one-variance-log-jacobian",
        "balanced-one-variance-log-gradient",
        "vanilla-gradient-spreads-less",
    ):
        assert found[name].verdict == "holds", name
    assert "no theory" in found["vanilla-gradient-spreads-less"].text
    copy = resnets["samples"].to_dataset().copy(deep=True)
    for name in ("log_norm", "log_gradient"):
        copy[name].loc[{"network": "balanced"}] = copy[name].sel(network="resnet").to_numpy()
    assert changed(resnets, **copy)["balanced-one-variance-log-gradient"] == "fails"
    equal = changed(resnets, log_gradient=resnets["samples"]["log_norm"].to_dataset(name="x")["x"] * 1.2)
    assert equal["vanilla-gradient-spreads-less"] == "fails"


def test_simulated_variances_of_the_sheet_are_claims_where_their_cells_are(made_up_run):
    axes = {"network": ["resnet"], "width": [64], "depth": [64], "layer": [64]}

    def run(variance):
        def draw(cell, random):
            noise = random.standard_normal((2, 2048))
            return {"log_norm": 2.4 * noise[0], "log_gradient": math.sqrt(variance) * noise[1]}

        return claims(made_up_run(STUDY, axes, draw, 2048))["vanilla-gradient-variance-n64-d64"]

    assert (run(4.32).predicted, run(4.32).verdict) == (4.32, "holds")
    assert run(5.88).verdict == "fails"  # that of the norm
    assert "no theory" in run(4.32).text


# Scores. ------------------------------------------------------------------------------------------------------------


def test_exact_laws_hold_where_limits_fail():
    grid = {"network": ["relu", "linear"], "width": [4], "depth": [16], "layer": [16]}
    tree = limitbench.run(STUDY, grid, samples=16384)
    found = claims(tree)
    names = ("exact-law-log-norm", "exact-law-log-jacobian", "exact-law-log-gradient", "exact-law-log-weight-gradient")
    for name in (*names, "log-normal-fails-narrow"):
        assert found[name].verdict == "holds", name
    death = tree["scores"]["distance"].sel(observable="dead", theory="chi-square-products", network="relu")
    assert (np.abs(death) < 0.05).all()


def test_networks_of_another_law_are_noticed():
    """The companion: ReLU networks that drop units out, under the name of those that do not."""
    wrong = dataclasses.replace(
        STUDY,
        name="wrong",
        network=lambda cell: ReLUGradients(int(cell["depth"]), int(cell["width"]), keep=0.8),
    )
    grid = {"network": ["relu"], "width": [16], "depth": [8], "layer": [8]}
    right, found = (claims(limitbench.run(study, grid, samples=8200)) for study in (STUDY, wrong))
    for name in ("exact-law-log-norm", "exact-law-log-gradient"):
        assert right[name].verdict != "fails"
        assert right[name].measured < 0.03 < found[name].measured
        assert found[name].verdict == "fails", name


# Networks and figures. ----------------------------------------------------------------------------------------------


def test_cells_are_the_networks_that_they_say():
    cell = {"network": "relu-unequal", "width": 4, "depth": 5, "layer": 3}
    assert STUDY.network(cell).widths == layers_of(cell).widths == (4, 4, 4, 12, 12)
    assert layers_of(cell).layer == 3
    for name, family in MLPS.items():
        network = STUDY.network(cell | {"network": name})
        assert network.layers.passing == family.passing == layers_of(cell | {"network": name}).passing
    for name, balanced in (("resnet", False), ("balanced", True)):
        network = STUDY.network(cell | {"network": name})
        assert isinstance(network, ResidualGradients)
        assert (network.network.balanced, network.network.growth) == (balanced, pytest.approx(1.0))


def test_figures_of_mlps_and_residual_networks(mlps, resnets):
    found = {figure.name: figure for figure in itertools.chain(STUDY.figures(mlps), STUDY.figures(resnets))}
    assert set(found) == {
        "variance-against-inverse-widths",
        "gradients-by-layer",
        "law-of-the-jacobian",
        "death",
        "residual-networks",
    }
    seen, exact, normal = found["law-of-the-jacobian"].series
    # the exact law is that of the histogram, the log-normal one is not, at n = d = 8
    assert (np.abs(seen.y - exact.y) < 4.5 * np.maximum(seen.se, 1e-3)).all()
    assert (np.abs(seen.y - normal.y) > 9 * np.maximum(seen.se, 1e-3)).any()
    for figure in found.values():
        assert len(figure.series) <= 8
        for series in figure.series:
            assert 0 < len(series.x) <= 60
            assert (np.diff(series.x) > 0).all()
            assert np.isfinite(series.y).all()
            if figure.y_log:
                assert (series.y > 0).all()
    assert "relu 0.0" in found["death"].caption
    assert found["residual-networks"].series[-1].y[0] == 2.25


def test_empty_runs_have_a_ledger_and_no_figures(made_up_run):
    axes = {"network": ["relu"], "width": [1], "depth": [40], "layer": [1, 40]}
    tree = layered(made_up_run, axes, 64)  # all dead
    assert {claim.verdict for claim in STUDY.claims(tree)} <= {"undecided", "holds"}
    assert all(np.isfinite(s.y).all() for figure in STUDY.figures(tree) for s in figure.series)
