import dataclasses
import shutil
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from limitbench.errors import InputError
from limitbench.sweep import layout, worker
from limitbench.sweep.blocks import SampleUnit
from limitbench.sweep.executors import Interrupted
from limitbench.sweep.paths import paths_of
from limitbench.sweep.progress import Silent
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run, status
from limitbench.sweep.storage import LocalStorage
from limitbench.sweep.store import read_root
from limitbench.testing.store import StoreContract, assert_same_numbers, files
from limitbench.testing.toy import STUDY, ToyNetwork


class Notes(Silent):
    def __init__(self):
        self.notes, self.failures, self.networks = [], [], 0

    def note(self, text):
        self.notes.append(text)

    def fail(self, name, error):
        self.failures.append((name, error))

    def advance(self, networks, seconds):
        self.networks += networks


class TestToyStore(StoreContract):
    study = STUDY
    small: ClassVar = {"width": [8, 32], "depth": [2, 4]}
    large: ClassVar = {"width": [4, 8, 16, 32], "depth": [2, 4]}
    small_samples = 64
    large_samples = 128


class TestToyStoreWithAddedDepths(StoreContract):
    study = STUDY
    small: ClassVar = {"width": [4, 8], "aspect": [0.5]}
    large: ClassVar = {"width": [4, 8], "aspect": [0.25, 0.5, 1.0]}
    small_samples = 128
    large_samples = 128


def test_results_are_in_memory_where_no_directory_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tree = run(STUDY, {"width": [4]}, samples=64)
    assert list(tmp_path.iterdir()) == []
    assert tree["samples"]["walk"].shape == (1, 1, 2, 64)
    assert tree["run"]["status"].to_numpy().tolist() == [[["done", "done"]]]


def test_samples_are_those_of_the_network_alone():
    tree = run(STUDY, {"width": [8]}, samples=128, seed=5)
    alone = ToyNetwork(4, 8).sample(128, seed=5, depths=(2, 4))
    np.testing.assert_array_equal(tree["samples"]["walk"].sel(width=8, fault="none").T, alone["walk"])


def test_depths_beside_aspect_are_a_coordinate_of_every_group(tmp_path):
    run(STUDY, {"width": [4, 8], "aspect": [0.5, 1.0]}, samples=64, out=tmp_path)
    with xr.open_datatree(tmp_path / "toy.zarr", engine="zarr") as tree:
        for group in ("samples", "laws", "scores", "run"):
            depth = tree[group]["depth"]
            assert depth.dims == ("width", "aspect")
            assert depth.to_numpy().tolist() == [[2, 4], [4, 8]]


def test_theories_that_say_nothing_leave_nan_and_a_reason():
    tree = run(STUDY, {"width": [4]}, samples=64)
    laws, scores = tree["laws"].to_dataset().squeeze(), tree["scores"].to_dataset().squeeze()
    shallow = {"depth": 2, "theory": "wide"}
    walk = {**shallow, "observable": "walk"}
    assert tree["run"]["skipped"].squeeze().sel(shallow).item() == "depth below 3"
    assert np.isnan(laws["walk"].sel(shallow)).all()
    assert laws["point_mass"].sel(walk).item() == ""
    assert laws["point_mass"].sel(depth=4, theory="wide", observable="walk").item() == "no"
    assert scores["verdict"].sel(walk).item() == ""
    assert scores["verdict"].sel(depth=4, theory="wide", observable="walk").item() in {"fails", "undecided"}
    assert np.isnan(scores["distance"].sel(observable="square")).all()
    assert np.isfinite(scores["distance"].sel(observable="walk", theory="normal")).all()


def test_counts_differ_by_width_and_the_rest_is_nan(tmp_path):
    run(STUDY, out=tmp_path)
    tree = open_results(tmp_path)
    assert tree["run"]["n_samples"].sel(width=4).to_numpy().tolist() == [[128, 128]]
    walk = tree["samples"]["walk"]
    assert walk.sizes["sample"] == 192
    assert np.isnan(walk.sel(width=4)[..., 128:]).all()
    assert np.isfinite(walk.sel(width=4)[..., :128]).all()


def test_a_law_that_depends_on_the_final_depth_gets_one_pass_for_every_depth():
    @dataclasses.dataclass(frozen=True)
    class Final(ToyNetwork):
        family = "toy-final"
        depends_on_final_depth = True

    study = dataclasses.replace(STUDY, network=lambda cell: Final(int(cell["depth"]), int(cell["width"])))
    walk = run(study, {"width": [4]}, samples=64)["samples"]["walk"].squeeze()
    for depth in (2, 4):
        np.testing.assert_array_equal(walk.sel(depth=depth), Final(depth, 4).sample(64)["walk"])


def test_another_margin_scores_again_and_draws_nothing(tmp_path):
    run(STUDY, {"width": [4]}, samples=256, out=tmp_path)
    notes = Notes()
    tree = run(STUDY, {"width": [4]}, samples=256, out=tmp_path, margin=10.0, progress=notes)
    assert notes.networks == 0
    assert tree["scores"].attrs["margin"] == 10.0
    assert set(tree["scores"]["verdict"].sel(observable="walk", theory="normal").to_numpy().ravel()) == {"holds"}
    fresh = run(STUDY, {"width": [4]}, samples=256, margin=10.0)
    xr.testing.assert_identical(tree["scores"].to_dataset(), fresh["scores"].to_dataset())


def test_a_block_that_raises_is_set_aside_and_all_others_finish(tmp_path):
    notes = Notes()
    tree = run(STUDY, {"fault": ["none", "raise"]}, samples=128, out=tmp_path, progress=notes)
    states = tree["run"]["status"].isel(depth=0).sel(width=4)
    assert dict(zip(states["fault"].to_numpy().tolist(), states.to_numpy().tolist(), strict=True)) == {
        "none": "done",
        "raise": "failed",
    }
    assert len(notes.failures) == 4
    assert "ArithmeticError: this network always raises" in tree["run"]["error"].sel(fault="raise").to_numpy()[0, 0]
    (state,) = status(tmp_path)
    assert (state.blocks_failed, state.blocks_done, state.blocks_total) == (4, 6, 12)
    clean = run(STUDY, samples=128)
    xr.testing.assert_equal(tree["samples"]["walk"].sel(fault=["none"]), clean["samples"]["walk"])


def test_failed_blocks_are_tried_again_by_the_next_run(tmp_path, monkeypatch):
    draw = worker._draw
    monkeypatch.setattr(worker, "_draw", lambda *_: 1 / 0)
    assert set(run(STUDY, samples=64, out=tmp_path)["run"]["status"].to_numpy().ravel()) == {"failed"}
    monkeypatch.setattr(worker, "_draw", draw)
    assert set(run(STUDY, samples=64, out=tmp_path)["run"]["status"].to_numpy().ravel()) == {"done"}
    assert status(tmp_path)[0].blocks_failed == 0


def test_ctrl_c_keeps_finished_blocks_and_says_how_to_go_on(tmp_path, monkeypatch):
    execute, calls = worker.execute, []

    def stop_at_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return execute(*args)

    monkeypatch.setattr("limitbench.sweep.serial.execute", stop_at_third)
    with pytest.raises(Interrupted, match="the same command resumes"):
        run(STUDY, out=tmp_path)
    (state,) = status(tmp_path)
    assert 0 < state.blocks_done < state.blocks_total
    half = open_results(tmp_path)
    assert half["run"]["n_samples"].sum() == 2 * state.samples
    monkeypatch.undo()
    run(STUDY, out=tmp_path)
    run(STUDY, out=tmp_path / "whole")
    assert_same_numbers(tmp_path / "toy.zarr", tmp_path / "whole" / "toy.zarr")


class Crash(BaseException):
    pass


def test_growing_a_store_survives_a_crash_between_any_two_writes(tmp_path, monkeypatch):
    small, large = {"width": [8]}, {"width": [4, 8], "fault": ["none", "slow"]}
    run(STUDY, small, samples=64, out=tmp_path / "small")
    run(STUDY, large, samples=64, out=tmp_path / "large")
    present, _ = read_root(paths_of(tmp_path / "small" / "toy.zarr"))
    wanted, _ = read_root(paths_of(tmp_path / "large" / "toy.zarr"))
    spec = wanted.model_copy(update={"grid": {**wanted.grid, "width": [8, 4]}})
    before, original = open_results(tmp_path / "small").load(), LocalStorage.write
    steps, crashed = 0, True
    while crashed:
        paths = paths_of(shutil.copytree(tmp_path / "small", tmp_path / f"crash-{steps}") / "toy.zarr")
        left, steps = steps, steps + 7

        def crashing(storage, name, data):
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            original(storage, name, data)

        with monkeypatch.context() as patch:
            patch.setattr(LocalStorage, "write", crashing)
            try:
                layout.lay_out(paths, spec)
                crashed = False
            except Crash:
                crashed = True
                assert read_root(paths)[0] == present
                xr.testing.assert_identical(open_results(paths.label)["samples"].load(), before["samples"])
        assert len(layout.lay_out(paths, spec)) == 2
        grown = open_results(paths.label)["samples"].to_dataset().load()
        whole = open_results(tmp_path / "large")["samples"].to_dataset().load()
        xr.testing.assert_identical(grown.sel(width=[8], fault=["none"]), whole.sel(width=[8], fault=["none"]))
        assert np.isnan(grown["walk"].sel(width=4)).all()
    assert steps >= 7 * 8


def test_a_store_removed_by_hand_is_not_believed_to_be_done(tmp_path):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    shutil.rmtree(tmp_path / "toy.zarr")
    notes = Notes()
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path, progress=notes)
    assert notes.networks == 64


def _late_unit(out, samples=64):
    """A unit of the first column, from a driver that has gone since."""
    paths = paths_of(out / "toy.zarr")
    spec, _ = read_root(paths)
    position, column = next(spec.axis_grid().columns())
    return worker.Job(STUDY, spec, paths), SampleUnit(column, position, 0, samples, 1.0)


def test_a_late_worker_changes_no_number_of_a_store_that_grew_meanwhile(tmp_path):
    run(STUDY, {"width": [8]}, samples=64, out=tmp_path)
    job, unit = _late_unit(tmp_path)
    run(STUDY, {"width": [4, 8]}, samples=128, out=tmp_path)
    run(STUDY, {"width": [4, 8]}, samples=128, out=tmp_path / "whole")
    markers = files(tmp_path / "toy.run")
    worker.execute(job, unit)
    assert_same_numbers(tmp_path / "toy.zarr", tmp_path / "whole" / "toy.zarr")
    assert files(tmp_path / "toy.run") == markers


def test_a_worker_of_other_depths_refuses_to_write(tmp_path):
    run(STUDY, {"width": [8]}, samples=64, out=tmp_path)
    job, unit = _late_unit(tmp_path)
    run(STUDY, {"width": [8], "depth": [2, 3, 4]}, samples=64, out=tmp_path)
    before = files(tmp_path)
    with pytest.raises(RuntimeError, match="laid out anew"):
        worker.execute(job, unit)
    assert files(tmp_path) == before


def test_partial_files_of_killed_writers_are_swept(tmp_path):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    stale = [tmp_path / "toy.run" / "done" / "x.partial", tmp_path / "toy.zarr" / "samples" / "walk" / "c.0.partial"]
    for path in stale:
        path.write_text("half")
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    assert not any(path.exists() for path in stale)


def test_blocks_of_another_torch_are_refused_unless_mixing_is_allowed(tmp_path, monkeypatch):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    before = files(tmp_path)
    monkeypatch.setattr("torch.__version__", "1.0.0")
    with pytest.raises(InputError, match=r"^torch: got '1\.0\.0', expected .*, which drew the blocks"):
        run(STUDY, {"width": [4]}, samples=128, out=tmp_path)
    assert files(tmp_path) == before
    run(STUDY, {"width": [4]}, samples=128, out=tmp_path, mix_versions=True)


def _corrupt(out, what):
    meta = out / "toy.zarr" / "zarr.json"
    match what:
        case "truncated":
            meta.write_text(meta.read_text()[:50])
        case "garbage":
            meta.write_bytes(b"\x00\xff garbage")
        case "missing":
            meta.unlink()
        case "no spec":
            meta.write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
        case "foreign":
            meta.write_text(meta.read_text().replace('\\"study\\":\\"toy\\"', '\\"study\\":\\"other\\"'))


@pytest.mark.parametrize("what", ["truncated", "garbage", "missing", "no spec", "foreign"])
def test_damaged_and_foreign_stores_are_refused_and_nothing_changes(tmp_path, what):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    _corrupt(tmp_path, what)
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"^store: got .*toy\.zarr.*, expected a (result )?store") as caught:
        run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"study": "no-such-study"}, "study"),
        ({"study": dataclasses.replace(STUDY, name="../toy")}, "name of a study"),
        ({"preset": "huge"}, "preset"),
        ({"grid": {"width": []}}, "width"),
        ({"samples": -5}, "samples"),
        ({"sampler": "sparse"}, "sampler"),
        ({"executor": "dask"}, "executor"),
        ({"device": "cuda"}, "device"),
        ({"out": "/proc/nowhere/results"}, "out"),
        ({"out": "/dev/null"}, "out"),
        ({"out": "/dev/null/results"}, "out"),
    ],
)
def test_bad_input_leaves_no_file_behind(tmp_path, monkeypatch, options, field):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        run(**{"study": STUDY, "out": tmp_path / "a" / "b", **options})
    assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_status_and_open_results_name_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="directory that holds a result store"):
        status(tmp_path)
    with pytest.raises(InputError, match="an existing directory"):
        status(tmp_path / "nowhere")
    with pytest.raises(InputError, match="a result store, or a directory with exactly one"):
        open_results(tmp_path)
    with pytest.raises(InputError, match="an existing result store"):
        open_results(tmp_path / "toy.zarr")


@pytest.mark.parametrize("damage", ["truncate", "delete"])
@pytest.mark.parametrize("array", ["samples/walk", "scores/distance", "laws/walk"])
def test_a_damaged_chunk_is_found_and_made_again(tmp_path, array, damage):
    grid = {"width": [4, 8]}
    run(STUDY, grid, samples=64, out=tmp_path / "a")
    run(STUDY, grid, samples=64, out=tmp_path / "b")
    chunk = next(p for p in sorted((tmp_path / "b" / "toy.zarr" / array / "c").rglob("*")) if p.is_file())
    chunk.unlink() if damage == "delete" else chunk.write_bytes(chunk.read_bytes()[:-3])
    state = status(tmp_path / "b")[0]
    assert state.blocks_done == state.blocks_total - 1
    run(STUDY, grid, samples=64, out=tmp_path / "b")
    assert_same_numbers(tmp_path / "a" / "toy.zarr", tmp_path / "b" / "toy.zarr")


def test_aspects_that_mean_the_same_depth_are_refused_and_the_store_stays(tmp_path):
    run(STUDY, {"width": [8], "aspect": [0.5, 1.0]}, samples=64, out=tmp_path)
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"aspect: .* different depths"):
        run(STUDY, {"width": [8], "aspect": [1.0 + 1e-12]}, samples=64, out=tmp_path)
    assert files(tmp_path) == before


def test_a_second_driver_on_the_same_store_is_refused(tmp_path):
    with LocalStorage(tmp_path).exclusive("toy"), pytest.raises(InputError, match="no other run of toy is going on"):
        run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("content", ["{}", '{"samples": "x"}', "[]", "null", "\x00"])
def test_a_marker_that_is_none_counts_as_absent(tmp_path, content):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    marker = next((tmp_path / "toy.run" / "done").glob("*.b000000.json"))
    marker.write_text(content)
    assert status(tmp_path)[0].blocks_done == 1
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    assert status(tmp_path)[0].blocks_done == 2


@pytest.mark.parametrize("array", ["samples/walk", "scores/distance", "laws", "run/status"])
def test_damaged_array_metadata_are_one_clear_error_everywhere(tmp_path, array):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    (tmp_path / "toy.zarr" / array / "zarr.json").write_text("garbage")
    before = files(tmp_path)
    for use in (status, open_results, lambda out: run(STUDY, {"width": [4]}, samples=64, out=out)):
        with pytest.raises(InputError, match="intact metadata"):
            use(tmp_path)
    assert files(tmp_path) == before


def test_a_ledger_that_raises_costs_neither_the_run_nor_its_reason(tmp_path):
    def broken(tree):
        raise ZeroDivisionError("a / b")

    tree = run(dataclasses.replace(STUDY, claims=broken), out=tmp_path)
    claims = tree["claims"].to_dataset()
    assert claims["claim"].to_numpy().tolist() == ["ledger"]
    assert "ZeroDivisionError: a / b" in str(claims["text"].item())
    assert str(claims["verdict"].item()) == "undecided"
    assert run(STUDY, out=tmp_path)["claims"]["claim"].to_numpy().tolist() == ["mean"]
