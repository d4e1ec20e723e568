"""Real Ray on this machine: same numbers from any number of workers, and misbehaving blocks set aside."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from limitbench.errors import InputError
from limitbench.sweep import ray_session
from limitbench.sweep.dispatch_cost import Idler, idle_job, measure_dispatch
from limitbench.sweep.executors import Interrupted, Limits
from limitbench.sweep.pool import Lost, Ready
from limitbench.sweep.progress import Silent
from limitbench.sweep.ray_executor import RayExecutor
from limitbench.sweep.ray_pool import RayPool
from limitbench.sweep.run import run, status
from limitbench.testing.own_cost import measure_own_cost
from limitbench.testing.ray_cluster import is_worker, kill, processes_under, title
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

pytestmark = [
    pytest.mark.ray,
    # Ray leaves the pipes of its processes and its log files to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _news(pool, seconds=20.0):
    """What the pool tells next; nothing if that takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if news := pool.wait(0.2):
            return news
    return []


SLOW = {"fault": ["slow"], "width": [4, 8]}
SLOW_SAMPLES = 64 * 24


@pytest.fixture(scope="module")
def session():
    with ray_session.ray_session(workers=2):
        yield


@pytest.mark.usefixtures("session")
class TestInOneSession:
    def test_stores_of_one_worker_two_workers_and_serial_are_bit_identical(self, tmp_path):
        grid = {"width": [4, 8, 16]}
        run(STUDY, grid, out=tmp_path / "serial")
        for workers in (1, 2):
            run(STUDY, grid, out=tmp_path / f"{workers}", executor="ray", workers=workers)
            assert_same_numbers(tmp_path / "serial" / "toy.zarr", tmp_path / f"{workers}" / "toy.zarr")

    def test_cells_drawn_until_their_verdicts_are_clear_stop_at_the_same_look_on_two_workers(self, tmp_path):
        grid, options = {"width": [4, 8], "depth": [1, 2, 3]}, {"samples": 1024, "tolerance": 0.25}
        run(STUDY, grid, out=tmp_path / "serial", **options)
        run(STUDY, grid, out=tmp_path / "ray", executor="ray", workers=2, **options)
        assert_same_numbers(tmp_path / "serial" / "toy.zarr", tmp_path / "ray" / "toy.zarr")

    def test_blocks_that_raise_crash_hang_or_take_too_much_memory_are_set_aside_while_all_others_finish(self, tmp_path):
        grid = {"width": [4], "fault": ["none", "raise", "segfault", "hang", "memory"]}
        executor = RayExecutor(workers=2, limits=Limits(unit_seconds=8.0, unit_memory=0.5, attempts=2, deaths=2))
        tree = run(STUDY, grid, samples=64, out=tmp_path, executor=executor)
        states = tree["run"].to_dataset().isel(width=0, depth=0).load()
        assert {str(f): str(s) for f, s in zip(states["fault"].values, states["status"].values, strict=True)} == {
            "none": "done",
            "raise": "failed",
            "segfault": "failed",
            "hang": "failed",
            "memory": "failed",
        }
        attempts = {str(f): int(a) for f, a in zip(states["fault"].values, states["attempts"].values, strict=True)}
        assert attempts == {"none": 2, "raise": 2, "segfault": 2, "hang": 2, "memory": 2}
        errors = states["error"]
        assert "ArithmeticError: this network always raises" in errors.sel(fault="raise").item()
        assert "its worker process died every time" in errors.sel(fault="segfault").item()
        assert "not finished within 8 s" in errors.sel(fault="hang").item()
        assert (
            errors.sel(fault="memory").item()
            == "MemoryError: the block takes more than 0.5 GiB of memory (--block-memory)"
        )

    def test_ctrl_c_keeps_finished_blocks_and_ends_the_workers(self, tmp_path):
        class StopAtThird(Silent):
            left = 3

            def advance(self, networks, seconds):
                self.left -= 1
                if not self.left:
                    signal.raise_signal(signal.SIGINT)

        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(Interrupted, match="finished blocks are kept, the same command resumes"):
                run(STUDY, SLOW, samples=640, out=tmp_path, executor="ray", workers=2, progress=StopAtThird())
        finally:
            signal.signal(signal.SIGINT, handler)
        (state,) = status(tmp_path)
        assert 3 <= state.blocks_done < state.blocks_total
        run(STUDY, SLOW, samples=640, out=tmp_path)
        assert status(tmp_path)[0].blocks_done == state.blocks_total

    def test_an_idle_actor_that_dies_is_noticed_and_named_like_its_run(self):
        import ray
        from ray.util import list_named_actors

        pool = RayPool(idle_job(1)[0], "limitbench-test-idle", worker=Idler)
        try:
            pool.start(0)
            (ready,) = _news(pool)
            assert ready == Ready(0, ray.nodes()[0]["NodeID"])
            assert {"namespace": "limitbench", "name": "limitbench-test-idle-0"} in list_named_actors(True)
            (pid,) = [pid for pid in processes_under({os.getpid()}) if title(pid).startswith("ray::Idler")]
            kill(pid)
            assert _news(pool) == [Lost(0, "process", "a crash, or killed for its memory")]
        finally:
            pool.close()

    def test_the_cost_of_dispatching_is_measured_step_by_step(self):
        cost = measure_dispatch(units=100, workers=2, rounds=1)
        assert min(cost.submit, cost.wait, cost.get, cost.books) > 0.0
        assert cost.unit < cost.wall

    def test_the_cost_of_a_sweep_beside_drawing_is_measured_over_blocks_that_are_all_done(self):
        cost = measure_own_cost(blocks=40, workers=2, columns=2)
        assert cost.block > 0.0
        assert cost.driver_bytes < 200 * 2**20

    def test_ray_listens_on_the_loopback_interface_only(self):
        import ray

        addresses = {node["NodeManagerAddress"] for node in ray.nodes()}
        assert addresses == {"127.0.0.1"}


DRIVER = """
    import sys
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    run(STUDY, {grid!r}, samples={samples}, out=sys.argv[1], executor=sys.argv[2], workers=2)
"""


def _start_driver(out, executor="ray"):
    code = textwrap.dedent(DRIVER.format(grid=SLOW, samples=SLOW_SAMPLES))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out), executor],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_for_blocks(out, count, driver):
    done = out / "toy.run" / "done"
    deadline = time.monotonic() + 120
    while len(list(done.glob("*.b*.json"))) < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.cluster
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds workers through /proc")
def test_a_run_killed_at_any_moment_resumes_to_the_same_numbers(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for executor, count, delay in (("serial", 3, 0.031), ("ray", 14, 0.077), ("serial", 30, 0.003)):
        driver = _start_driver(killed, executor)
        try:
            _wait_for_blocks(killed, count, driver)
            if executor == "ray":
                workers = [pid for pid in processes_under({driver.pid}) if is_worker(pid)]
                os.kill(workers[0], signal.SIGKILL)
                _wait_for_blocks(killed, count + 2, driver)
            time.sleep(delay)
        finally:
            driver.kill()
            driver.communicate()
        (state,) = status(killed)
        assert count <= state.blocks_done < state.blocks_total
    run(STUDY, SLOW, samples=SLOW_SAMPLES, out=killed)
    run(STUDY, SLOW, samples=SLOW_SAMPLES, out=whole)
    assert_same_numbers(killed / "toy.zarr", whole / "toy.zarr")
    assert not list(killed.rglob("*.partial"))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "6379", "ray://127.0.0.1:1", "host:port"])
def test_an_unreachable_cluster_is_one_line_and_no_file(tmp_path, address, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(InputError, match=r"^address: got .*, expected the address of a running Ray cluster"):
        run(STUDY, out=tmp_path / "out", executor="ray", address=address)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_ray_is_refused_soon(monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(ray_session, "JOIN_SECONDS", 2.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(InputError, match="none that this machine can join"),
    ):
        ray_session._check_answers(f"127.0.0.1:{server.getsockname()[1]}")
