"""A dry run says what a run will do, before it and while it is half done, and leaves no trace."""

import json
import tracemalloc

import pytest

from limitbench import cli, studies
from limitbench.errors import InputError
from limitbench.estimate import Estimate
from limitbench.sweep.blocks import SampleUnit
from limitbench.sweep.dry_run import Survey, survey
from limitbench.sweep.executors import Outcome
from limitbench.sweep.paths import Paths
from limitbench.sweep.run import run
from limitbench.sweep.serial import SerialExecutor
from limitbench.sweep.storage import open_storage
from limitbench.testing.toy import STUDY

GRID = {"width": [4, 8], "depth": [2, 4]}


def surveyed(out, grid=GRID, **options) -> Survey:
    preset = STUDY.presets["quick"]
    return survey(STUDY, Paths(open_storage(out), STUDY.name), preset.grid, grid, preset=preset, **options)


class Counting(SerialExecutor):
    """Remembers what it was given, and stops after `most` units."""

    def __init__(self, most: int = 10**9) -> None:
        self.units, self._most = [], most

    def run(self, job, units, handle, events=None):
        def until(outcome: Outcome):
            self.units.append(outcome.unit)
            if len(self.units) >= self._most:
                raise KeyboardInterrupt
            return handle(outcome)

        super().run(job, units, until, events)

    def work(self) -> tuple[int, int, int]:
        blocks = [unit for unit in self.units if isinstance(unit, SampleUnit)]
        return len(blocks), len(self.units) - len(blocks), sum(unit.samples for unit in blocks)


def left(found: Survey) -> tuple[int, int, int]:
    return found.left.blocks, found.left.scores, found.left.networks


def test_what_is_left_is_what_a_run_then_does_also_after_an_interruption_and_for_a_larger_grid(tmp_path):
    assert not list(tmp_path.iterdir())
    first = surveyed(tmp_path)
    assert not list(tmp_path.iterdir()), "a survey writes nothing"
    assert (first.cells, first.columns) == (4, 2)
    interrupted = Counting(most=3)
    with pytest.raises(KeyboardInterrupt):
        run(STUDY, GRID, out=tmp_path, executor=interrupted)
    grown = {**GRID, "width": [4, 8, 16]}
    for grid, options in ((GRID, {}), (grown, {"margin": 0.1})):
        expected = surveyed(tmp_path, grid, **options)
        counted = Counting()
        run(STUDY, grid, out=tmp_path, executor=counted, **options)
        assert left(expected) == counted.work() != (0, 0, 0)
        assert left(surveyed(tmp_path, grid, **options)) == (0, 0, 0)
    assert left(first) == (first.whole.blocks, 2, 128 + 192)


def test_cells_that_only_the_joined_grid_has_are_counted(tmp_path):
    run(STUDY, {"width": [4], "fault": ["none"], "depth": [2]}, samples=64, out=tmp_path)
    grid = {"width": [8], "fault": ["slow"], "depth": [2]}
    expected, counted = surveyed(tmp_path, grid, samples=128), Counting()
    run(STUDY, grid, samples=128, out=tmp_path, executor=counted)
    assert left(expected) == counted.work() == (6, 3, 384)


def test_other_depths_mean_that_all_is_drawn_anew(tmp_path):
    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path)
    grid = {"width": [4], "depth": [2, 4]}
    expected, counted = surveyed(tmp_path, grid, samples=64), Counting()
    run(STUDY, grid, samples=64, out=tmp_path, executor=counted)
    assert left(expected) == counted.work() == (1, 1, 64)


def test_a_retry_of_failed_blocks_counts_these_alone(tmp_path):
    run(STUDY, {"width": [4], "fault": ["none", "raise"], "depth": [2]}, samples=128, out=tmp_path)
    found = surveyed(tmp_path, retry_failed=True)
    assert left(found) == (2, 1, 128)
    assert found.whole.blocks == 4


def test_objects_and_bytes_are_those_of_the_store(tmp_path):
    found = surveyed(tmp_path, samples=640)
    tree = run(STUDY, GRID, samples=640, out=tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == pytest.approx(found.objects, abs=3)  # a log may lie beside
    arrays = [array for group in ("samples", "laws", "scores") for array in tree[group].data_vars.values()]
    stored = sum(array.size * (1 if array.dtype.kind in "U" else array.dtype.itemsize) for array in arrays)
    assert found.array_bytes == stored


def test_seconds_are_calibrated_by_the_markers_of_a_store(tmp_path):
    run(STUDY, GRID, out=tmp_path)
    before = surveyed(tmp_path)
    assert before.calibration.units == before.whole.units
    for marker in (tmp_path / "toy.run" / "done").glob("*.json"):
        content = json.loads(marker.read_text())
        marker.write_text(json.dumps({**content, "seconds": 10 * content["seconds"]}))
    after = surveyed(tmp_path)
    assert after.calibration.blocks == pytest.approx(10 * before.calibration.blocks)
    assert after.whole.seconds == pytest.approx(10 * before.whole.seconds)


def test_a_cell_or_a_seed_that_the_run_refuses_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"aspect: got 0\.3"):
        surveyed(tmp_path, {"width": [4], "aspect": [0.3]})
    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path)
    with pytest.raises(InputError, match="seed"):
        surveyed(tmp_path, {"width": [4], "depth": [2]}, samples=64, seed=1)


class TestEstimate:
    def found(self, tmp_path, **options):
        study = studies.get("deep-linear")
        preset = study.presets["quick"]
        return survey(study, Paths(open_storage(tmp_path), study.name), preset.grid, preset=preset, **options)

    def test_wall_clock_is_the_largest_of_workers_driver_and_longest_unit(self, tmp_path):
        found = self.found(tmp_path, samples=2**20)
        one, many = (Estimate([found], workers, 1e9).seconds(found.left) for workers in (1, 10**6))
        assert one == pytest.approx(found.left.seconds)
        assert many == found.left.longest

    def test_warnings_name_what_is_passed(self, tmp_path):
        found = self.found(tmp_path, samples=2**20)
        notes = "\n".join(Estimate([found], 10**6, found.left.longest / 2).notes())
        assert "above --block-seconds" in notes
        assert "waiting for the driver" in notes
        assert "workers would wait for the longest unit" in notes
        assert "units in one store" not in notes
        huge = "\n".join(Estimate([self.found(tmp_path, samples=2**31 - 1)], 1, 1e9).notes())
        assert "scoring a column reads 412 GB" in huge
        assert "units in one store, above 1,000,000" in huge
        assert "objects in one store, above 5,000,000" in huge
        assert "columns in one store" not in huge
        assert "warning" not in "\n".join(Estimate([found], 2, 1e9).notes())


def test_the_command_prints_totals_and_a_price_and_makes_no_directory(tmp_path, capsys):
    out = tmp_path / "results"
    options = ["--workers", "7", "--core-hour-price", "3", "--out", str(out)]
    code = cli.main(["run", "deep-linear", "shaped-relu", "--dry-run", *options])
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "in all" in shown
    assert "on 7 workers" in shown
    assert "price" in shown
    assert not out.exists()
    assert cli.main(["run", "shaped-relu", "--dry-run", "--set", "width=0", "--out", str(out)]) == 2


def test_memory_is_that_of_one_column_however_many_blocks_there_are(tmp_path):
    peaks = []
    for values in (10, 40):
        axes = {"width": list(range(1, values + 1)), "depth": [2]}
        tracemalloc.start()
        found = surveyed(tmp_path, axes, samples=2**31 - 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.columns == values
        assert found.whole.blocks == values * 2**25
    assert peaks[1] < 2 * peaks[0] < 2e6
