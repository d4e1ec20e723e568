"""Who comes late or is told to stop changes nothing: drivers that lost the store, workers whose driver is gone."""

import dataclasses
import fcntl
import signal

import pytest

from limitbench.errors import InputError, StoreError
from limitbench.sweep import worker
from limitbench.sweep.blocks import ScoreUnit, block_id
from limitbench.sweep.chunks import Chunks
from limitbench.sweep.executors import Interrupted
from limitbench.sweep.finalise import finalise
from limitbench.sweep.markers import DONE, read_markers
from limitbench.sweep.paths import paths_of
from limitbench.sweep.progress import Silent
from limitbench.sweep.run import run, status
from limitbench.sweep.signals import terminable
from limitbench.sweep.storage import LocalStorage
from limitbench.sweep.store import read_root
from limitbench.testing.store import assert_same_numbers, files
from limitbench.testing.toy import STUDY

GRID = {"width": [4], "depth": [2]}


class Losable:
    """A right to drive that ends when `lost` is set."""

    lost = False

    def check(self, *, ask=False):
        if self.lost and ask:
            raise StoreError("another run took over")


def test_a_driver_that_loses_the_store_while_claims_are_computed_writes_nothing(tmp_path):
    run(STUDY, GRID, samples=64, out=tmp_path)
    paths, held, before = paths_of(tmp_path / "toy.zarr"), Losable(), files(tmp_path)

    def claims(tree):
        held.lost = True
        return []

    with pytest.raises(StoreError, match="took over"):
        finalise(dataclasses.replace(STUDY, claims=claims), paths, read_root(paths)[0], held)
    assert files(tmp_path) == before


def test_scores_that_come_late_leave_no_marker_over_their_chunks(tmp_path, monkeypatch):
    run(STUDY, GRID, samples=64, out=tmp_path)
    paths = paths_of(tmp_path / "toy.zarr")
    (position, column), *_ = (spec := read_root(paths)[0]).axis_grid().columns()
    sums = read_markers(paths, DONE)[block_id(column, 0)]["checksums"]
    late, write = ScoreUnit(column, position, (0,), (sums,), 1.0), Chunks.write

    def overtaken(self, *arguments):
        monkeypatch.undo()
        run(STUDY, GRID, samples=128, out=tmp_path)  # while this worker was about to write
        return write(self, *arguments)

    monkeypatch.setattr(Chunks, "write", overtaken)
    with pytest.raises(RuntimeError, match="scored by another run meanwhile"):
        worker.execute(worker.Job(STUDY, spec, paths), late)
    (state,) = status(tmp_path)
    assert state.blocks_done == state.blocks_total - 1
    run(STUDY, GRID, samples=128, out=tmp_path)
    run(STUDY, GRID, samples=128, out=tmp_path / "whole")
    assert_same_numbers(tmp_path / "toy.zarr", tmp_path / "whole" / "toy.zarr")


@pytest.mark.parametrize("array", ["samples/walk", "laws/point_mass"])
def test_a_byte_that_turned_is_found_at_the_end_of_a_run_and_made_again(tmp_path, array):
    for out in ("a", "b"):
        run(STUDY, GRID, samples=64, out=tmp_path / out)
    chunk = next(p for p in sorted((tmp_path / "b" / "toy.zarr" / array / "c").rglob("*")) if p.is_file())
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)
    run(STUDY, GRID, samples=64, out=tmp_path / "b")
    assert_same_numbers(tmp_path / "a" / "toy.zarr", tmp_path / "b" / "toy.zarr")


def test_a_lock_that_fails_once_leaves_the_holders_file_alone(tmp_path, monkeypatch):
    storage, flock = LocalStorage(tmp_path), fcntl.flock

    def failing(handle, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        raise OSError(37, "No locks available")

    with storage.exclusive("toy"):
        monkeypatch.setattr(fcntl, "flock", failing)
        for _ in range(2):
            with pytest.raises(InputError), storage.exclusive("toy"):
                pass


@pytest.mark.parametrize("field", ["study_version", "families"])
def test_a_worker_with_another_version_of_the_study_or_its_networks_refuses(tmp_path, field):
    run(STUDY, GRID, samples=64, out=tmp_path)
    paths = paths_of(tmp_path / "toy.zarr")
    spec = read_root(paths)[0]
    worker.check_worker(worker.Job(STUDY, spec, paths))
    other = spec.meaning.model_copy(update={field: 2 if field == "study_version" else {"toy": 2}})
    with pytest.raises(InputError, match="as on the driver"):
        worker.check_worker(worker.Job(STUDY, spec.model_copy(update={"meaning": other}), paths))


def test_sigterm_stops_a_run_like_ctrl_c(tmp_path):
    class Stop(Silent):
        def advance(self, networks, seconds):
            signal.raise_signal(signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="the same command resumes"):
        run(STUDY, GRID, samples=256, out=tmp_path, progress=Stop())
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(KeyboardInterrupt), terminable():
        signal.raise_signal(signal.SIGTERM)
