"""Real Ray clusters of several nodes on this machine, of which parts are killed while a sweep runs on them."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from limitbench.sweep import ray_pool
from limitbench.sweep.ray_executor import RayExecutor
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run, status
from limitbench.testing.ray_cluster import QUICK, LocalCluster, kill, processes_under, wait_until
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds processes through /proc"),
    # Ray leaves the pipes of its processes and its log files to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

GRID = {"fault": ["slow"], "width": [4, 8]}


class Watched(RayExecutor):
    """Keeps all events, and calls `at[n]` when `n` units have ended."""

    def __init__(self, at, **options):
        super().__init__(**options)
        self.at, self.seen, self.ended = dict(at), [], 0

    def run(self, job, units, handle, events=None):
        super().run(job, units, handle, self.note)

    def note(self, event):
        self.seen.append(event)
        self.ended += event.kind == "unit-ended"
        action = self.at.pop(self.ended, None)
        if action is not None:
            action()

    def of(self, kind):
        return [event for event in self.seen if event.kind == kind]


@pytest.fixture(scope="module")
def cluster():
    import ray

    with LocalCluster(2) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
        ray.shutdown()


SERIAL = """
    import sys
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    run(STUDY, {"fault": ["slow"], "width": [4, 8]}, samples=64 * 60, out=sys.argv[1])
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Waits for a serial run of the same sweep, which goes on beside the tests, and returns its directory."""
    out = tmp_path_factory.mktemp("undisturbed")
    serial = subprocess.Popen([sys.executable, "-c", textwrap.dedent(SERIAL), str(out)])

    def finished():
        assert serial.wait(120) == 0
        return out

    yield finished
    serial.kill()
    serial.wait()


def test_a_node_that_joins_gets_work_and_nodes_that_are_lost_count_for_nothing(undisturbed, cluster, tmp_path):
    added = []
    executor = Watched(
        {
            4: lambda: added.append(cluster.add_node()),
            30: lambda: cluster.kill_node(cluster.nodes[0]),
            50: lambda: cluster.kill_raylet(cluster.nodes[0]),
        }
    )
    run(STUDY, GRID, samples=64 * 60, out=tmp_path, executor=executor)
    assert_same_numbers(tmp_path / "toy.zarr", undisturbed() / "toy.zarr")
    assert added[0].node_id in {event.node for event in executor.of("worker-started")}
    lost = executor.of("worker-lost")
    assert {event.reason for event in lost} <= {"its node was lost", "it can no longer be reached"}
    assert len(lost) >= 2
    assert {event.attempt for event in executor.of("unit-ended")} == {1}


DRIVER = """
    import sys
    from limitbench.sweep import ray_pool
    from limitbench.cli import main

    ray_pool.SILENCE_SECONDS = float(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
"""


def start_command(out, *options, silence=8.0):
    """`limitbench run` of a sweep that takes minutes, which gives up a silent cluster after `silence` seconds."""
    arguments = ["run", "deep-linear", "--set", "width=16", "--set", "aspect=1", "--samples", str(2**24)]
    code = [sys.executable, "-c", textwrap.dedent(DRIVER), str(silence)]
    return subprocess.Popen(
        [*code, *arguments, "--no-report", "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_blocks(out, count, driver):
    def enough():
        assert driver.poll() is None, driver.communicate()
        return len(list(out.rglob("done/*.b*.json"))) >= count

    wait_until(enough, 120)


def assert_lost(driver, out, within):
    """The command ends in time, with one line and exit code 3, and what was done is kept."""
    began = time.monotonic()
    _, said = driver.communicate(timeout=within + 60)
    assert driver.returncode == 3
    assert time.monotonic() - began < within
    assert said.splitlines()[-1].startswith("stopped: the Ray cluster was lost (")
    assert "finished blocks are kept, the same command resumes" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert status(out)[0].blocks_done > 0


OWN_RAY = """
    import sys
    from limitbench.sweep import ray_pool
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    ray_pool.SILENCE_SECONDS = 4.0
    run(STUDY, {"fault": ["slow"], "width": [4, 8]}, samples=64 * 60, out=sys.argv[1], executor="ray", workers=2)
"""


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_a_ray_of_our_own_that_is_lost_is_started_anew(undisturbed, tmp_path, part):
    code = [sys.executable, "-c", textwrap.dedent(OWN_RAY), str(tmp_path)]
    environment = {**os.environ, **QUICK}
    driver = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    wait_for_blocks(tmp_path, 5, driver)
    (pid,) = [pid for pid in processes_under({driver.pid}) if os.path.basename(_program(pid)) == part]
    kill(pid)
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    assert_same_numbers(tmp_path / "toy.zarr", undisturbed() / "toy.zarr")


def _program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


@pytest.mark.chaos
def test_a_head_that_is_lost_ends_the_run_in_time_with_one_line(cluster, tmp_path):
    driver = start_command(tmp_path, "--address", cluster.address)
    wait_for_blocks(tmp_path, 3, driver)
    cluster.kill_head()
    assert_lost(driver, tmp_path, within=40)


@pytest.mark.chaos
def test_a_node_of_the_driver_that_is_lost_ends_the_run_in_time_with_one_line(tmp_path):
    with LocalCluster(1) as cluster:
        driver = start_command(tmp_path, "--address", cluster.address)
        wait_for_blocks(tmp_path, 3, driver)
        cluster.kill_raylet(cluster.head)
        assert_lost(driver, tmp_path, within=60)


@pytest.mark.chaos
def test_a_head_that_is_lost_ends_the_run_within_a_minute_and_a_half(tmp_path):
    with LocalCluster(1) as cluster:
        driver = start_command(tmp_path, "--address", cluster.address, silence=ray_pool.SILENCE_SECONDS)
        wait_for_blocks(tmp_path, 3, driver)
        cluster.kill_head()
        assert_lost(driver, tmp_path, within=90)


GREEDY = """
    import os, sys
    from ray._private.utils import get_system_memory, get_used_memory

    # Room for two workers and their imports, but not for the 2 GiB of a greedy block.
    os.environ["RAY_memory_usage_threshold"] = str((get_used_memory() + 2.2 * 2**30) / get_system_memory())
    os.environ["RAY_memory_monitor_refresh_ms"] = "50"
    from limitbench.sweep.executors import Limits
    from limitbench.sweep.ray_executor import RayExecutor
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    executor = RayExecutor(workers=2, limits=Limits(deaths=4))
    run(STUDY, {"fault": ["slow", "memory"], "width": [4]}, samples=64 * 20, out=sys.argv[1], executor=executor)
"""


@pytest.mark.chaos  # it needs a machine on which nobody else takes or frees gigabytes meanwhile
def test_blocks_that_ray_kills_as_the_node_runs_low_on_memory_are_set_aside_and_the_others_finish(tmp_path):
    code = [sys.executable, "-c", textwrap.dedent(GREEDY), str(tmp_path)]
    driver = subprocess.run(code, capture_output=True, text=True, timeout=280, check=False)
    assert driver.returncode == 0, driver.stderr
    tree = open_results(tmp_path / "toy.zarr")
    states = tree["run"].to_dataset().isel(width=0, depth=0).load()
    assert states["status"].sel(fault="slow").item() == "done"
    assert states["n_samples"].sel(fault="memory").item() == 0
    assert "killed by Ray, as its node ran low on memory" in states["error"].sel(fault="memory").item()
