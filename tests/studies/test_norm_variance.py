"""The ledger of `norm-variance` can say yes and no; dead networks are left out; sums of inverse widths are right."""

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench.errors import InputError
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.surviving_norm import SurvivingNorm
from limitbench.studies.norm_variance import STUDY
from limitbench.studies.norm_variance.families import FAMILIES, constant, time
from limitbench.testing.networks import NetworkContract

WIDTHS = [16, 64, 256, 512]


@pytest.fixture(scope="module")
def run():
    return limitbench.run("norm-variance", {"network": list(FAMILIES), "width": WIDTHS, "depth": [16]}, samples=8192)


def verdicts(tree):
    return {claim.name: claim.verdict for claim in STUDY.claims(tree)}


def test_constants_of_the_architectures():
    found = {network: constant(network) for network in FAMILIES}
    assert found == pytest.approx(
        {"linear": 2, "balanced": 2.25, "leaky": 3.08, "relu": 5, "relu-alternating": 5, "resnet": 5.4425}, abs=5e-5
    )


def test_sum_of_inverse_widths():
    cell = {"network": "relu-alternating", "width": 16, "depth": 5}
    assert time(cell) == pytest.approx(3 / 16 + 2 / 48)
    assert STUDY.network(cell).network.widths == (16, 48, 16, 48, 16)
    assert time(cell | {"network": "resnet"}) == 5 / 16


def test_ledger_of_a_small_run(run):
    found = verdicts(run)
    for network in FAMILIES:
        assert found[f"slope-{network}"] == "holds", network
    assert found["unequal-widths-on-one-line"] == "holds"
    assert found["infinite-width-fails-everywhere"] == "holds"
    assert found["finite-depth-fails-narrow-resnet"] == "holds"
    assert "fails" not in found.values()


def test_what_each_claim_predicts_and_of_which_networks(run):
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    slopes = {"linear": 2, "balanced": 2.25, "leaky": 3.08, "relu": 5, "relu-alternating": 5, "resnet": 5.4425}
    predicted = {f"slope-{network}": slope for network, slope in slopes.items()} | {"unequal-widths-on-one-line": 0}
    for name, value in predicted.items():
        assert claims[name].predicted == pytest.approx(value, abs=5e-5)
        assert claims[name].relation == "equal to"
    mlps, others = "leaky,linear,relu,relu-alternating", "balanced,leaky,linear,relu,relu-alternating"
    margin = run["scores"].attrs["margin"]
    distance = run["scores"]["distance"].sel(observable="log_norm", depth=16)
    for name, relation, theory, networks, widths in (
        ("infinite-width-fails-everywhere", "at least", "infinite-width", ",".join(sorted(FAMILIES)), WIDTHS),
        ("exact-law-holds", "at most", "finite-width", mlps, WIDTHS),
        ("log-gaussian-holds-wide", "at most", "log-gaussian", others, [256, 512]),
        ("finite-depth-holds-wide-resnet", "at most", "log-gaussian-finite-depth", "resnet", [256, 512]),
        ("finite-depth-fails-narrow-resnet", "at least", "log-gaussian-finite-depth", "resnet", [16]),
    ):
        claim = claims[name]
        assert (claim.predicted, claim.relation) == (margin, relation), name
        assert f"--set network={networks} --set width={','.join(map(str, widths))} " in claim.command
        scores = distance.sel(theory=theory, network=networks.split(","), width=widths)
        assert claim.measured == float(scores.max() if relation == "at most" else scores.min()), name


def test_networks_that_are_all_dead_are_no_points(made_up_run):
    axes = {"network": ["relu"], "width": [4], "depth": [400]}
    assert STUDY.figures(made_up_run(STUDY, axes, networks=64)) == []
    one, corrections = STUDY.figures(made_up_run(STUDY, axes | {"network": ["linear", "relu"]}, networks=64))
    assert {s.label for s in one.series if s.kind == "network"} == {"linear"}
    assert "linear is highest" in corrections.caption


def test_wrong_constants_and_norms_that_do_not_fluctuate_are_noticed(run):
    """The companion: variances 21 % too large, one family's networks under another's name."""
    copy = run.copy(deep=True)
    samples = copy["samples"].to_dataset()
    copy["samples"] = xr.DataTree(samples * 1.1)
    found = verdicts(copy)
    for network in FAMILIES:
        assert found[f"slope-{network}"] == "fails", network
    swapped = samples["log_norm"].copy(deep=True)
    swapped.loc[{"network": "relu-alternating"}] = swapped.sel(network="linear").to_numpy()
    copy["samples"] = xr.DataTree(xr.Dataset({"log_norm": swapped}))
    found = verdicts(copy)
    assert found["slope-relu-alternating"] == "fails"
    assert found["unequal-widths-on-one-line"] == "fails"
    assert found["slope-relu"] == "holds"


def test_the_one_figure(run):
    one, corrections = STUDY.figures(run)
    assert {s.label for s in one.series if s.kind == "network"} == set(FAMILIES)
    assert sum(s.kind == "reference" for s in one.series) == 5
    assert (one.x_log, one.y_log) == (True, True)
    assert "At width 16 relu is highest, at 1." in corrections.caption
    for figure in (one, corrections):
        assert all((np.diff(s.x) > 0).all() and np.isfinite(s.y).all() for s in figure.series)


def test_a_run_of_one_cell_has_a_ledger():
    tree = limitbench.run("norm-variance", {"network": ["relu"], "width": [16], "depth": [2]}, samples=2048)
    found = verdicts(tree)
    assert found["slope-relu"] == "undecided"
    assert found["infinite-width-fails-everywhere"] == "holds"
    assert len(STUDY.figures(tree)) == 2


class TestSurvivingNorm(NetworkContract):
    @pytest.fixture
    def network(self):
        return SurvivingNorm(ShapedMLP(4, 8, rate=0.0, gram=((1.0,),)))


def test_dead_networks_have_no_norm():
    network = SurvivingNorm(ShapedMLP(3, 3, rate=0.0, gram=((1.0,),)))
    dead = network.sample(16_384, seed=1, depths=[1, 2, 3])["log_norm"].isnull().mean("sample").values
    alive = (1 - 2.0**-3) ** np.arange(1, 4)
    assert np.abs(1 - dead - alive).max() < 5 * 0.5 / 128


def test_networks_without_a_norm_are_refused():
    with pytest.raises(InputError, match="log_norm"):
        SurvivingNorm(DeepLinear(4, 8))
