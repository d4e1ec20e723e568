"""Cells that are drawn until their verdicts are clear: each stops by itself, and whatever happens, at the same look."""

import dataclasses

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.report.results import Results
from limitbench.report.tables import scores_table
from limitbench.report.words import sampling_sentence
from limitbench.statistics.scores import score
from limitbench.statistics.sequential import Looks
from limitbench.sweep import worker
from limitbench.sweep.blocks import SampleUnit
from limitbench.sweep.dry_run import survey
from limitbench.sweep.executors import Interrupted
from limitbench.sweep.markers import DONE, read_markers
from limitbench.sweep.paths import Paths, paths_of
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run, status
from limitbench.sweep.spec import parse_spec, request
from limitbench.sweep.storage import open_storage
from limitbench.sweep.store import read_root
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY, ToyTheory

GRID = {"width": [4, 8], "depth": [1, 2, 3]}
OPTIONS = {"samples": 1024, "tolerance": 0.22, "generator": "torch"}
BLOCK = 64


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(STUDY, GRID, out=out, **OPTIONS)
    return out


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    out = tmp_path_factory.mktemp("fixed")
    run(STUDY, GRID, out=out, samples=1024, margin=0.22, generator="torch")
    return out


def counts(out):
    return open_results(out)["run"]["n_samples"].squeeze("fault").to_numpy()


def test_cells_of_one_column_stop_at_looks_of_their_own(whole):
    found = counts(whole)
    assert set(found.ravel()) <= {64, 128, 256, 512, 1024}
    assert (found.min(axis=1) < found.max(axis=1)).any()
    (state,) = status(whole)
    assert (state.state, state.blocks_done) == ("complete", state.blocks_total)
    assert state.samples == found.max(axis=1).sum()


def test_a_cell_has_the_networks_of_a_fixed_run_and_none_beyond_its_own(whole, fixed):
    drawn, all_drawn = (open_results(out)["samples"]["walk"].squeeze("fault").to_numpy() for out in (whole, fixed))
    found = counts(whole)
    for cell in np.ndindex(*found.shape):
        np.testing.assert_array_equal(drawn[cell][: found[cell]], all_drawn[cell][: found[cell]])
        assert np.isnan(drawn[cell][found[cell] :]).all()


def test_scores_are_those_of_the_look_at_its_level(whole):
    tree, plan = open_results(whole), Looks.plan(64, 1024)
    found, scores = counts(whole), tree["scores"].to_dataset().sel(observable="walk", theory="normal").squeeze("fault")
    spec = read_root(paths_of(whole / "toy.zarr"))[0]
    for _, column in spec.axis_grid().columns():
        at = {"width": dict(column.point)["width"], "fault": "none"}
        seed = worker.stream_seed("scores", 0, column.slug)
        for c, depth in enumerate(column.depths):
            walk = tree["samples"]["walk"].sel(at).sel(depth=depth).to_numpy()
            n = int(found[list(GRID["width"]).index(at["width"]), c])
            level = plan.levels[plan.sizes.index(n)]
            law = ToyTheory(depth / at["width"]).law("walk")
            wanted = score(walk[:n], law, margin=0.22, level=level, seed=seed)
            for name in ("distance", "distance_low", "distance_high"):
                assert float(scores[name].sel(width=at["width"], depth=depth)) == getattr(wanted, name)


def test_a_clear_cell_stops_at_the_first_look_that_clears_it(whole, fixed):
    """Of the verdicts that all networks decide, none is turned round; where a cell goes on, one was open."""
    early, late = (open_results(out)["scores"]["verdict"].to_numpy() for out in (whole, fixed))
    assert not {("holds", "fails"), ("fails", "holds")} & set(zip(early.ravel(), late.ravel(), strict=True))
    assert (early == "holds").any()
    assert (early == "fails").any()


@pytest.mark.parametrize("units", [3, 6])
def test_a_run_that_was_cut_short_ends_where_one_without_a_break_does(tmp_path, monkeypatch, whole, units):
    execute, calls = worker.execute, []

    def cut(*arguments):
        calls.append(arguments)
        if len(calls) > units:
            raise KeyboardInterrupt
        return execute(*arguments)

    monkeypatch.setattr("limitbench.sweep.serial.execute", cut)
    with pytest.raises(Interrupted):
        run(STUDY, GRID, out=tmp_path, **OPTIONS)
    monkeypatch.setattr("limitbench.sweep.serial.execute", execute)
    if units == 6:  # scores that are lost are made again, from the look at which the blocks stand
        for name in (tmp_path / "toy.run" / "done").glob("*.scores.json"):
            name.unlink()
    run(STUDY, GRID, out=tmp_path, **OPTIONS)
    assert_same_numbers(whole / "toy.zarr", tmp_path / "toy.zarr")
    np.testing.assert_array_equal(counts(whole), counts(tmp_path))


def test_a_run_into_a_finished_store_draws_and_scores_nothing(whole, monkeypatch):
    monkeypatch.setattr("limitbench.sweep.serial.execute", None)
    run(STUDY, GRID, out=whole, **OPTIONS)


def test_torn_chunks_are_made_again_for_the_cells_that_they_had(tmp_path, whole):
    run(STUDY, GRID, out=tmp_path, **OPTIONS)
    chunks = sorted(p for p in (tmp_path / "toy.zarr" / "samples" / "walk" / "c").rglob("*") if p.is_file())
    chunks[0].unlink()
    chunks[-1].write_bytes(chunks[-1].read_bytes()[:-3])
    run(STUDY, GRID, out=tmp_path, **OPTIONS)
    assert_same_numbers(whole / "toy.zarr", tmp_path / "toy.zarr")


def test_a_block_that_fails_ends_the_looks_of_its_column_until_it_is_tried_again(tmp_path, monkeypatch, whole):
    execute = worker.execute

    def failing(job, unit, attempt):
        if isinstance(unit, SampleUnit) and unit.number == 1 and dict(unit.column.point)["width"] == 4:
            raise ArithmeticError("a bad day")
        return execute(job, unit, attempt)

    monkeypatch.setattr("limitbench.sweep.serial.execute", failing)
    tree = run(STUDY, GRID, out=tmp_path, **OPTIONS)
    np.testing.assert_array_equal(tree["run"]["status"].sel(width=4) == "failed", True)
    np.testing.assert_array_equal(tree["run"]["n_samples"].sel(width=4), 64)
    np.testing.assert_array_equal(tree["run"]["status"].sel(width=8) == "done", True)
    monkeypatch.setattr("limitbench.sweep.serial.execute", execute)
    run(STUDY, out=tmp_path, retry_failed=True)
    assert_same_numbers(whole / "toy.zarr", tmp_path / "toy.zarr")


def test_without_tolerance_the_rest_is_drawn_and_nothing_tells_of_it(tmp_path, fixed):
    run(STUDY, GRID, out=tmp_path, **OPTIONS)
    run(STUDY, GRID, out=tmp_path, samples=1024, margin=0.22, generator="torch")
    assert_same_numbers(fixed / "toy.zarr", tmp_path / "toy.zarr")
    np.testing.assert_array_equal(counts(tmp_path), 1024)


def test_networks_that_a_store_holds_are_looked_at_as_they_are(tmp_path, fixed):
    run(STUDY, GRID, out=tmp_path, samples=128, margin=0.22, generator="torch")
    run(STUDY, GRID, out=tmp_path, **{**OPTIONS, "tolerance": 1.0})
    assert counts(tmp_path).min() == 128


def test_a_stricter_margin_goes_on_from_the_same_networks(tmp_path, whole):
    run(STUDY, GRID, out=tmp_path, **{**OPTIONS, "tolerance": 1.0})
    before = counts(tmp_path)
    run(STUDY, GRID, out=tmp_path, **OPTIONS)
    assert (before < counts(whole)).any()
    assert_same_numbers(whole / "toy.zarr", tmp_path / "toy.zarr")


def test_columns_outside_the_grid_of_a_run_stay_as_they_were_asked_for(tmp_path):
    run(STUDY, {**GRID, "width": [4]}, out=tmp_path, **OPTIONS)
    before = counts(tmp_path)
    run(STUDY, {**GRID, "width": [8]}, out=tmp_path, samples=128, margin=0.22, generator="torch")
    np.testing.assert_array_equal(counts(tmp_path), [*before, [128] * 3])


def test_blocks_name_the_depths_that_they_were_drawn_for(whole):
    spec = read_root(paths_of(whole / "toy.zarr"))[0]
    markers = read_markers(paths_of(whole / "toy.zarr"), DONE).values()
    found = {(m["column"]["width"], m["number"]): m["depths"] for m in markers if m["kind"] == "samples"}
    assert all(depths == [1, 2, 3] for (_, number), depths in found.items() if number == 0)
    assert any(len(depths) < 3 for depths in found.values())
    assert set(spec.first.values()) == {BLOCK}


def test_a_tolerance_is_the_margin_and_stands_alone():
    assert request(tolerance=0.1).margin == 0.1
    assert request(tolerance=0.1, margin=0.1).margin == 0.1
    with pytest.raises(InputError, match=r"^margin: got 0.2, expected 0.1, the tolerance, or nothing beside it"):
        request(tolerance=0.1, margin=0.2)
    with pytest.raises(InputError, match=r"^tolerance: got 0, expected a positive number"):
        request(tolerance=0)


@pytest.mark.parametrize("first", [0, 32, 2048])
def test_a_spec_of_impossible_first_looks_is_damaged(whole, first):
    spec = read_root(paths_of(whole / "toy.zarr"))[0]
    broken = spec.model_copy(update={"first": dict.fromkeys(spec.first, first)})
    with pytest.raises(InputError, match="first looks and samples differ"):
        parse_spec(broken.model_dump_json(), "here")


def test_a_dry_run_gives_both_ends(whole, tmp_path):
    grid = STUDY.presets["quick"].grid, GRID
    options = {"preset": STUDY.presets["quick"], "samples": 1024, "tolerance": 0.22, "generator": "torch"}
    fresh = survey(STUDY, Paths(open_storage(tmp_path), "toy"), *grid, **options)
    assert (fresh.left.networks, fresh.least.networks) == (2048, 128)
    over = survey(STUDY, Paths(open_storage(whole), "toy"), *grid, **options)
    assert over.left.units == 0


def test_the_report_tells_how_many_networks_the_verdicts_took(whole, fixed):
    results, found = Results(open_results(whole), STUDY), counts(whole)
    text = sampling_sentence(results).replace("\N{NARROW NO-BREAK SPACE}", "")
    assert f"{found.sum()} networks" in text
    assert f"of the {1024 * found.size} that" in text
    for look, size in enumerate((64, 128, 256, 512, 1024), start=1):
        cells = int((found == size).sum())
        assert (f"{cells} took {look}" in text) == (cells > 0)
    assert "networks" in scores_table(results, "walk").head
    assert sampling_sentence(Results(open_results(fixed), STUDY)) == ""
    assert "networks" not in scores_table(Results(open_results(fixed), STUDY), "walk").head


def test_a_theory_that_only_checks_another_one_keeps_no_cell_open(tmp_path):
    theories = tuple(dataclasses.replace(theory, role="check") for theory in STUDY.theories)
    tree = run(dataclasses.replace(STUDY, theories=theories), GRID, **OPTIONS)
    np.testing.assert_array_equal(tree["run"]["n_samples"], 64)
