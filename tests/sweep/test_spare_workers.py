"""Workers that one run leaves to the next in the same Ray session."""

import pytest

from limitbench.sweep import ray_session
from limitbench.sweep.markers import DONE, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.run import run
from limitbench.sweep.storage import open_storage
from limitbench.testing.ray_cluster import kill
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

pytestmark = [
    pytest.mark.ray,
    # Ray leaves the pipes of its processes and its log files to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

GRIDS = {"first": {"width": [4]}, "second": {"width": [8, 16]}}


def _run(folder, name):
    """Run one of the grids with one worker; the processes that did it."""
    run(STUDY, GRIDS[name], out=folder / name, executor="ray", workers=1)
    return {marker["pid"] for marker in read_markers(Paths(open_storage(folder / name), STUDY.name), DONE).values()}


def test_a_worker_goes_on_with_the_next_run_and_one_that_died_is_replaced(tmp_path):
    with ray_session.ray_session(workers=1, keep_workers=True):
        used = _run(tmp_path / "kept", "first")
        assert len(used) == 1
        assert _run(tmp_path / "kept", "second") == used
        kill(*used)
        assert not _run(tmp_path / "died", "second") & used
    for name, grid in GRIDS.items():
        run(STUDY, grid, out=tmp_path / "serial" / name)
        assert_same_numbers(tmp_path / "kept" / name, tmp_path / "serial" / name)
    assert_same_numbers(tmp_path / "died" / "second", tmp_path / "serial" / "second")
