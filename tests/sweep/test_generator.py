"""The generator of normals is part of what a store means: resolved once, recorded, and the same on every worker."""

import json

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.numerics import vsl
from limitbench.sweep import run as sweep_run
from limitbench.sweep.executors import Executor
from limitbench.sweep.paths import paths_of
from limitbench.sweep.run import run
from limitbench.sweep.serial import SerialExecutor
from limitbench.sweep.store import read_root
from limitbench.sweep.worker import check_worker
from limitbench.testing.toy import STUDY

needs_vsl = pytest.mark.skipif(vsl.version() is None, reason="needs limitbench[fast]")
GRID = {"width": [4], "depth": [1, 2]}


def walks(out, **options):
    return run(STUDY, GRID, samples=64, out=out, **options)["samples/walk"].to_numpy()


def recorded(out):
    paths = paths_of(out / f"{STUDY.name}.zarr")
    markers = (out / f"{STUDY.name}.run" / "done").rglob("*.json")
    versions = [json.loads(file.read_text())["versions"] for file in markers]
    return read_root(paths)[0].meaning.generator, versions


def test_torch_is_recorded(tmp_path):
    walks(tmp_path, generator="torch")
    generator, versions = recorded(tmp_path)
    assert generator == "torch-cpu"
    assert versions
    assert not any("mkl" in version for version in versions)


@pytest.mark.vsl
@needs_vsl
def test_vsl_is_taken_where_it_is_installed_and_recorded_with_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_run, "best_generator", lambda device: "vsl")
    first = walks(tmp_path / "auto")
    generator, versions = recorded(tmp_path / "auto")
    assert generator == "vsl-cpu"
    assert {version["mkl"] for version in versions} == {vsl.version()}
    assert np.array_equal(first, walks(tmp_path / "again", generator="vsl"))
    assert not (first == walks(tmp_path / "torch", generator="torch")).any()


@pytest.mark.vsl
@needs_vsl
def test_a_store_keeps_its_generator(tmp_path):
    first = walks(tmp_path, generator="vsl")
    longer = run(STUDY, GRID, samples=128, out=tmp_path)["samples/walk"].to_numpy()  # auto: torch under test
    assert np.array_equal(longer[..., :64], first)
    with pytest.raises(InputError, match=r"^generator: got 'torch-cpu', expected 'vsl-cpu', as in the store"):
        walks(tmp_path, generator="torch")


class Elsewhere(SerialExecutor):
    """A worker on a machine without the library."""

    def run(self, job, units, handle, events=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vsl, "_library", lambda: None)
            check_worker(job)


@pytest.mark.vsl
@needs_vsl
def test_a_worker_without_the_library_refuses(tmp_path):
    executor: Executor = Elsewhere()
    with pytest.raises(InputError, match=r"^generator of worker .*: got 'torch', expected a worker with limitbench"):
        walks(tmp_path, generator="vsl", executor=executor)


def test_what_the_driver_lacks_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(vsl, "_library", lambda: None)
    with pytest.raises(InputError, match=r"^generator: got 'vsl', expected torch; vsl needs"):
        walks(tmp_path / "out", generator="vsl")
    assert not (tmp_path / "out").exists()


def test_an_unknown_generator_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^generator: got 'numpy', expected auto, torch or vsl"):
        walks(tmp_path / "out", generator="numpy")
