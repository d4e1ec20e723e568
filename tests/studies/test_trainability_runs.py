"""Networks of `trainability` that are really trained: cells resume, fail and mix no data."""

import json

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import commands
from limitbench.cli import main
from limitbench.errors import InputError
from limitbench.networks import training_data
from limitbench.networks.trained_stack import Stack
from limitbench.studies import get
from limitbench.sweep.executors import Interrupted
from limitbench.sweep.run import status

STUDY = get("trainability")
#: A real run of a few seconds: narrow networks, two designs, three cells each.
SMALL = {"design": ["tanh-adam", "tanh-sgd"], "sigma_w2": [1.0], "width": [6], "depth": [1, 2, 3]}


# -- real runs ----------------------------------------------------------------------------------------------------


def samples(tree, name="test_accuracy"):
    return tree["samples"][name].load()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return limitbench.run("trainability", SMALL, samples=4, out=out).load()


def test_a_run_is_complete_and_scored(finished):
    assert (finished["run"]["status"] == "done").all()
    assert samples(finished).notnull().all()
    predicted = finished["laws"].to_dataset()
    known = predicted["log_gradient_ratio"]
    assert known.notnull().all()
    assert (known.max("quantile") == known.min("quantile")).all()
    assert predicted["test_accuracy"].isnull().all()


def test_a_cell_that_raises_is_set_aside_and_the_next_run_completes(finished, tmp_path, monkeypatch):
    step = Stack.sgd_step

    def broken(self, rate):
        raise ArithmeticError("a defect of one optimiser")

    monkeypatch.setattr(Stack, "sgd_step", broken)
    tree = limitbench.run("trainability", SMALL, samples=4, out=tmp_path)
    assert (tree["run"]["status"].sel(design="tanh-adam") == "done").all()
    assert "a defect of one optimiser" in str(tree["run"]["error"].sel(design="tanh-sgd").to_numpy())
    xr.testing.assert_identical(
        samples(tree).sel(design="tanh-adam").drop_vars("design"),
        samples(finished).sel(design="tanh-adam").drop_vars("design"),
    )
    (state,) = status(tmp_path)
    assert (state.blocks_done, state.blocks_failed) == (2 + 1, 2)  # and the scores of the column that is whole
    monkeypatch.setattr(Stack, "sgd_step", step)
    xr.testing.assert_identical(
        samples(limitbench.run("trainability", SMALL, samples=4, out=tmp_path)), samples(finished)
    )


def test_ctrl_c_keeps_finished_blocks_and_the_same_run_resumes(finished, tmp_path, monkeypatch):
    forward, calls = Stack.forward, []

    def interrupted(self, start):
        calls.append(1)
        if len(calls) == 700:
            raise KeyboardInterrupt
        return forward(self, start)

    monkeypatch.setattr(Stack, "forward", interrupted)
    with pytest.raises(Interrupted):
        limitbench.run("trainability", SMALL, samples=4, out=tmp_path)
    (state,) = status(tmp_path)
    assert 0 < state.blocks_done < state.blocks_total
    monkeypatch.setattr(Stack, "forward", forward)
    xr.testing.assert_identical(
        samples(limitbench.run("trainability", SMALL, samples=4, out=tmp_path)), samples(finished)
    )


@pytest.fixture
def started(monkeypatch):
    """What `limitbench run` starts, without running it: samples by study."""
    found = {}

    def run(name, grid, *, samples, **rest):
        found[getattr(name, "name", name)] = samples
        return xr.DataTree()

    monkeypatch.setattr("limitbench.sweep.run.run", run)
    monkeypatch.setattr(commands, "_tally", lambda trees: "")
    monkeypatch.setattr(commands, "_claims", lambda *a, **k: [])
    monkeypatch.setattr(commands, "_set_aside", lambda *a: {})
    return found


def test_more_samples_than_can_be_trained_are_refused_or_left_to_the_other_studies(tmp_path, capsys, started):
    end = ("--executor", "serial", "--no-report", "--out", str(tmp_path / "r"))
    assert main(["run", "trainability", "--samples", "65", *end]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--samples: got 65, expected at most 64 per cell of trainability" in error
    assert started == {}
    assert main(["run", "trainability", "--samples", "64", *end]) == 0
    assert main(["run", "deep-linear", "trainability", "--samples", "65", *end]) == 0
    assert started == {"trainability": None, "deep-linear": 65}
    out = capsys.readouterr()
    assert "trainability: samples of the preset, as 65 are above 64" in " ".join((out.out + out.err).split())
    assert not (tmp_path / "r").exists()


def test_more_samples_than_can_be_trained_are_refused_in_python(tmp_path):
    with pytest.raises(InputError, match="at most 64 per cell of trainability"):
        limitbench.run("trainability", samples=65, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


# -- data of the user ---------------------------------------------------------------------------------------------

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TINY = ("--executor", "serial", "--set", "width=4", "--set", "depth=1,2", "--set", "sigma_w2=1", "--samples", "2")


def write_images(folder, seed=0):
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    for name, count in zip(FILES, (100, 100, 40, 40), strict=True):
        images = "images" in name
        sizes = (count, 3, 3) if images else (count,)
        header = bytes((0, 0, 8, len(sizes))) + b"".join(n.to_bytes(4, "big") for n in sizes)
        entries = random.integers(1, 256, sizes) if images else np.arange(count) % 2
        (folder / name).write_bytes(header + entries.astype(np.uint8).tobytes())
    return folder


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(training_data.ENVIRONMENT, raising=False)
    write_images(tmp_path / "images")
    return tmp_path


def refused(capsys, *arguments):
    assert main(["run", "trainability", *TINY, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_data_of_the_user_are_trained_on_and_resumed(workplace, capsys):
    assert main(["run", "trainability", *TINY, "--data", "images", "--out", "r", "--no-report"]) == 0
    name = training_data.read_directory(str(workplace / "images")).name
    tree = limitbench.open_results(workplace / "r" / "trainability.zarr").load()
    assert tree["run"]["data"].to_numpy().tolist() == [name]
    assert (tree["run"]["status"] == "done").all()
    assert f"tanh-adam-edge-slope-{name}" in tree["claims"]["claim"].to_numpy()
    capsys.readouterr()
    assert main(["run", "trainability", *TINY, "--data", "images", "--set", f"data=digits,{name}", "--out", "r"]) == 0
    both = limitbench.open_results(workplace / "r" / "trainability.zarr")
    xr.testing.assert_equal(samples(both).sel(data=name), samples(tree).sel(data=name))
    assert samples(both, "log_image_distance").notnull().all()
    assert "report" in capsys.readouterr().out


def test_a_store_with_data_that_are_not_given_or_have_changed_is_refused(workplace, capsys):
    assert main(["run", "trainability", *TINY, "--data", "images", "--out", "r", "--no-report"]) == 0
    marker = next((workplace / "r" / "trainability.run" / "done").glob("*.json"))
    assert json.loads(marker.read_text())["kind"] in ("samples", "scores")
    capsys.readouterr()
    assert "data: got 'idx-" in refused(capsys, "--out", "r")
    write_images(workplace / "images", seed=1)
    assert "data: got 'idx-" in refused(capsys, "--data", "images", "--out", "r")


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_used_end_before_anything_is_written(name, workplace, capsys):
    (workplace / "images" / name).write_bytes(b"\0\0\x0b\3")
    assert name in refused(capsys, "--data", "images", "--out", "r")
    (workplace / "images" / name).unlink()
    assert name in refused(capsys, "--data", "images", "--out", "r")
    assert not (workplace / "r").exists()


def test_data_for_studies_that_train_nothing_are_refused(workplace, capsys):
    assert main(["run", "deep-linear", "--data", "images", "--out", "r"]) == 2
    assert "--data: got 'images', expected nothing for deep-linear" in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing for deep-linear"):
        limitbench.run("deep-linear", data=workplace / "images")
    assert not (workplace / "r").exists()


def test_a_worker_whose_files_are_missing_or_differ_refuses(workplace):
    from limitbench.sweep.paths import paths_of
    from limitbench.sweep.spec import Spec
    from limitbench.sweep.worker import Job, check_worker

    limitbench.run("trainability", {**SMALL, "depth": [1]}, samples=2, data=workplace / "images", out=workplace / "r")
    spec = Spec.model_validate_json(limitbench.open_results(workplace / "r" / "trainability.zarr").attrs["spec"])
    folder, paths = str(workplace / "images"), paths_of(workplace / "r" / "trainability.zarr")
    digest = training_data.read_directory(folder).digest
    check_worker(Job("trainability", spec, paths, data=(folder, digest)))
    for job_data in ((folder, "0" * 32), (str(workplace / "elsewhere"), digest)):
        with pytest.raises(InputError, match="--data"):
            check_worker(Job("trainability", spec, paths, data=job_data))


def test_the_environment_names_a_directory_for_python(workplace, monkeypatch):
    monkeypatch.setenv(training_data.ENVIRONMENT, str(workplace / "images"))
    name = training_data.read_directory(str(workplace / "images")).name
    tree = limitbench.run("trainability", {**SMALL, "depth": [1], "data": [name]}, samples=2)
    assert (tree["run"]["status"] == "done").all()
    assert tree["run"]["data"].to_numpy().tolist() == [name]


@pytest.mark.parametrize("arguments", [("trainability",), ("--all",)])
def test_without_scikit_learn_nothing_is_written(arguments, workplace, capsys, monkeypatch):
    monkeypatch.setattr(training_data.importlib.util, "find_spec", lambda name: None)
    assert main(["run", *arguments, "--executor", "serial", "--out", "r"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'limitbench[digits]'" in error
    assert error.count("\n") == 1
    assert not (workplace / "r").exists()
