"""Every built-in study is complete: its grids are networks, its theories answer, its ledger can say no."""

import dataclasses
import math
from contextlib import suppress

import numpy as np
import pytest

import limitbench
from limitbench import studies
from limitbench.errors import InputError
from limitbench.statistics.observables import OBSERVABLES
from limitbench.studies.evidence import Evidence
from limitbench.sweep.grid import resolve_grid

NAMES = studies.names()
#: Observables that are stored for claims and figures alone: no theory has a law for them.
UNSCORED = {"active_fraction", "test_accuracy", "train_loss", "diverged", "log_weight"}


def test_an_unknown_study_is_named_with_the_known_ones():
    with pytest.raises(InputError, match="one of deep-linear, "):
        studies.get("shaped-tanh")


@pytest.mark.parametrize("name", NAMES)
def test_words_and_observables_are_complete(name):
    study = studies.get(name)
    assert study.name == name
    assert "arXiv" in study.reference
    assert study.question.endswith("?")
    assert set(study.observables) <= OBSERVABLES.keys()
    assert len({theory.name for theory in study.theories}) == len(study.theories)
    assert {"quick", "standard", "full"} <= study.presets.keys()


@pytest.mark.parametrize("name", NAMES)
def test_quick_grid_has_at_least_twelve_cells_of_valid_networks(name):
    study = studies.get(name)
    grid = resolve_grid(study, study.presets["quick"].grid, {})
    cells = [cell for _, column in grid.columns() for cell in column.cells]
    assert len(cells) >= 12
    for cell in cells:
        network = study.network(cell)
        assert network.depth <= cell["depth"]  # less where `depth` is the number of layers at a later time
        assert set(network.observables) <= set(study.observables)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["quick", "standard", "full"])
def test_every_column_of_a_preset_is_a_network(name, preset):
    study = studies.get(name)
    grid = resolve_grid(study, study.presets[preset].grid, {})
    for _, column in grid.columns():
        assert study.network(column.cells[-1]).depth <= column.depths[-1]


@pytest.mark.parametrize("name", NAMES)
def test_every_observable_has_a_competing_theory(name):
    study = studies.get(name)
    grid = resolve_grid(study, study.presets["quick"].grid, {})
    said = set()
    for _, column in grid.columns():
        for theory in study.theories:
            with suppress(InputError):  # outside its domain, which the sweep notes as a reason
                said |= (
                    set(theory.build(column.cells[0]).observables) if theory.skip(column.cells[0]) is None else set()
                )
    assert set(study.observables) - said <= UNSCORED


@pytest.fixture(scope="module")
def small_run():
    grid = {"widths": "equal", "width": [16, 64], "aspect": [0.25, 1.0]}
    return limitbench.run("deep-linear", grid, samples=4096)


def test_a_ledger_answers_what_the_run_can_and_says_what_it_lacks(small_run):
    claims = {claim.name: claim for claim in studies.get("deep-linear").claims(small_run)}
    assert claims["nngp-fails"].verdict == "holds"
    assert claims["finite-size-mean-log_det-n64-d64"].verdict == "holds"
    missing = claims["rate-constant-alpha4"]
    assert missing.verdict == "undecided"
    assert math.isnan(missing.measured)
    assert "needs" in missing.text


def test_a_claim_repeats_from_its_own_command(small_run):
    claims = {claim.name: claim for claim in studies.get("deep-linear").claims(small_run)}
    command = claims["finite-size-mean-log_q11-n16-d16"].command
    where = "--set outputs=2 --set widths=equal --set width=16 --set aspect=1"
    assert command == f"limitbench run deep-linear {where} --samples 4096"


def test_a_shifted_observable_makes_its_claims_fail(small_run):
    """The companion: a log determinant that is off by 0.5 (a quarter of its sd, 16 standard errors) is noticed."""
    broken = small_run.copy(deep=True)
    shifted = broken["samples"].to_dataset()
    shifted["log_det"] = shifted["log_det"] + 0.5
    broken["samples"] = limitbench_tree(shifted)
    claims = {claim.name: claim for claim in studies.get("deep-linear").claims(broken)}
    assert claims["finite-size-mean-log_det-n64-d64"].verdict == "fails"
    assert claims["finite-size-mean-log_q11-n64-d64"].verdict == "holds"


def limitbench_tree(dataset):
    import xarray as xr

    return xr.DataTree(dataset)


def test_cells_are_found_by_parameters_whatever_the_depth_axis(small_run):
    study = studies.get("deep-linear")
    evidence = Evidence(study, small_run)
    assert len(evidence.cells) == 4
    assert evidence.one(width=64, depth=16) is evidence.one(width=64, alpha=0.25)
    assert evidence.one(width=32) is None
    by_depth = limitbench.run("deep-linear", {"widths": "equal", "width": [16], "depth": [4, 16]}, samples=4096)
    same = Evidence(study, by_depth).one(width=16, alpha=1.0)
    ours = evidence.one(width=16, alpha=1.0)
    assert same is not None
    assert ours is not None
    np.testing.assert_array_equal(same.samples("log_q11"), ours.samples("log_q11"))


def test_studies_are_values(small_run):
    study = studies.get("deep-linear")
    assert dataclasses.is_dataclass(study)
    assert study is studies.get("deep-linear")


def test_one_output_has_no_coupling_and_still_completes():
    tree = limitbench.run(
        "deep-linear", {"outputs": [1, 2], "widths": "equal", "width": [16], "aspect": [1.0]}, samples=4096
    )
    assert (tree["run"]["status"] == "done").all()
    coupling = tree["samples"]["q12"].squeeze()
    assert coupling.sel(outputs=1).isnull().all()
    assert coupling.sel(outputs=2).notnull().all()
    assert tree["scores"]["distance"].sel(observable="q12", outputs=1).isnull().all()
