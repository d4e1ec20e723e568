"""The contract of result stores: inherit `StoreContract`, name a study and two grids, and pytest does the rest.

class TestMyStudy(StoreContract):
    study = MY_STUDY
    small, small_samples = {"width": [16]}, 4096
    large, large_samples = {"width": [16, 32]}, 8192
"""

# ruff: noqa: D102 (the names of tests are statements)

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from limitbench.errors import InputError
from limitbench.studies.base import Study
from limitbench.sweep.executors import Executor
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run, status
from limitbench.sweep.serial import SerialExecutor

#: Groups whose numbers may depend on nothing but the spec.
NUMBERS = ("samples", "laws", "scores")


def numbers(store: str | Path) -> dict[str, bytes]:
    """Bytes of every array of `samples`, `laws` and `scores`, coordinates among them, with shape and type."""
    tree = open_results(store)
    found = {}
    for group in NUMBERS:
        for name, variable in tree[group].to_dataset().variables.items():
            values = variable.to_numpy()
            data = repr(values.tolist()).encode() if values.dtype.kind in "TOU" else values.tobytes()
            found[f"{group}/{name}"] = f"{variable.dims} {values.shape} {values.dtype} ".encode() + data
    return found


def assert_same_numbers(first: str | Path, second: str | Path) -> None:
    """Fails, naming the arrays, where two stores differ in one bit."""
    a, b = numbers(first), numbers(second)
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file under `folder`."""
    stats = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(path.relative_to(folder)): (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


class StoreContract:
    """What every study's store must do. `small` must be a part of `large`, with other axes equal."""

    study: ClassVar[Study]
    small: ClassVar[Mapping[str, object]]
    large: ClassVar[Mapping[str, object]]
    small_samples: ClassVar[int]
    large_samples: ClassVar[int]

    def executor(self) -> Executor:
        """The executor under test."""
        return SerialExecutor()

    def sweep(self, out: Path, *, large: bool = True, **options: object) -> xr.DataTree:
        """One run into `out`."""
        grid, samples = (self.large, self.large_samples) if large else (self.small, self.small_samples)
        return run(
            self.study, grid, samples=samples, out=out, executor=self.executor(), **options  # type: ignore[arg-type]
        )  # fmt: skip

    def store(self, out: Path) -> Path:
        """The store that a run into `out` makes."""
        return out / f"{self.study.name}.zarr"

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A directory with the large store, made in one go; tests copy it before they change it."""
        out = tmp_path_factory.mktemp("whole")
        cls().sweep(out)
        return out

    def test_opens_with_xarray_and_without_warnings(self, whole: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with xr.open_datatree(self.store(whole), engine="zarr") as tree:
                assert {"samples", "laws", "scores", "run", "claims"} <= set(tree.children)
                assert set(self.study.observables) <= set(tree["samples"].data_vars)
                assert tree["laws"].sizes["quantile"] == 513

    def test_every_cell_is_done_and_every_sample_is_there(self, whole: Path) -> None:
        with xr.open_datatree(self.store(whole), engine="zarr") as tree:
            run_group, samples = tree["run"].to_dataset().load(), tree["samples"].to_dataset()
            np.testing.assert_array_equal(run_group["n_samples"], run_group["n_requested"])
            for name in self.study.observables:
                present = samples[name].notnull().sum("sample")
                np.testing.assert_array_equal(present, run_group["n_samples"])
        (state,) = status(whole)
        assert state.blocks_done == state.blocks_total
        assert not state.blocks_failed

    def test_running_again_draws_and_scores_nothing(self, whole: Path, tmp_path: Path) -> None:
        out = shutil.copytree(whole, tmp_path / "again")
        markers = files(out / f"{self.study.name}.run")
        before = {name: data for name, data in files(self.store(out)).items() if name.startswith(NUMBERS)}
        self.sweep(out)
        assert files(out / f"{self.study.name}.run") == markers
        assert {name: data for name, data in files(self.store(out)).items() if name.startswith(NUMBERS)} == before

    def test_extended_store_is_the_store_made_in_one_go(self, whole: Path, tmp_path: Path) -> None:
        self.sweep(tmp_path, large=False)
        self.sweep(tmp_path)
        assert_same_numbers(self.store(whole), self.store(tmp_path))

    def test_a_narrower_run_keeps_the_wider_store(self, whole: Path, tmp_path: Path) -> None:
        out = shutil.copytree(whole, tmp_path / "wide")
        self.sweep(out, large=False)
        assert_same_numbers(self.store(whole), self.store(out))

    def test_lost_and_torn_chunks_are_drawn_again_when_their_column_is_scored(
        self, whole: Path, tmp_path: Path
    ) -> None:
        out = shutil.copytree(whole, tmp_path / "torn")
        name = self.study.observables[0]
        chunks = sorted(path for path in (self.store(out) / "samples" / name / "c").rglob("*") if path.is_file())
        chunks[0].unlink()
        chunks[-1].write_bytes(chunks[-1].read_bytes()[:-3])
        for marker in (out / f"{self.study.name}.run" / "done").glob("*.scores.json"):
            marker.unlink()
        self.sweep(out)
        assert_same_numbers(self.store(whole), self.store(out))

    def test_other_seed_is_refused_and_nothing_changes(self, whole: Path, tmp_path: Path) -> None:
        out = shutil.copytree(whole, tmp_path / "refused")
        before = files(out)
        with pytest.raises(InputError, match=r"^seed: got 12345, expected 0, as in the store"):
            self.sweep(out, seed=12345)
        assert files(out) == before
