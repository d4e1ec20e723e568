"""Workers, raylets and drivers of one sweep killed at random: the numbers are those of a sweep that nothing disturbed.

`make chaos` runs the long version; `make test` a short one.
"""

import os
import random
import subprocess
import sys
import textwrap
import time

import pytest

from limitbench.sweep.run import status
from limitbench.testing.ray_cluster import LocalCluster, kill, wait_until
from limitbench.testing.store import assert_same_numbers

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds processes through /proc"),
    # Ray leaves the pipes of its processes and its log files to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SERIAL = """
    import sys
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    run(STUDY, {"fault": ["slow"], "width": [4, 8]}, samples=int(sys.argv[2]), out=sys.argv[1])
"""
ON_RAY = """
    import sys
    import ray
    from limitbench.sweep.ray_executor import RayExecutor
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    ray.init(address=sys.argv[3], log_to_driver=False, logging_level="ERROR")
    grid = {"fault": ["slow"], "width": [4, 8]}
    run(STUDY, grid, samples=int(sys.argv[2]), out=sys.argv[1], executor=RayExecutor())
"""


def start(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def gets_on(driver, cluster, done, victim):
    """Wait until two more blocks are there."""
    before = len(list(done.glob("*.b*.json")))

    def got_on():
        if driver.poll() is not None:
            pytest.fail(f"the run ended before the next kill, of a {victim}: {driver.communicate()[0]}")
        return cluster.workers() and len(list(done.glob("*.b*.json"))) >= before + 2

    wait_until(got_on, 240)
    print(f"killing a {victim} after {before} blocks", flush=True)


def chaos(folder, blocks, workers, raylets, drivers, seed):
    """One sweep of `blocks` blocks on three nodes, during which so many processes of each kind are killed.

    Each kill comes at a random moment soon after the sweep has got on by two blocks.
    """
    out, whole, samples = folder / "out", folder / "whole", blocks // 2 * 64
    undisturbed = start(SERIAL, whole, samples)
    chance = random.Random(seed)
    victims = ["worker"] * workers + ["raylet"] * raylets + ["driver"] * drivers
    chance.shuffle(victims)
    done = out / "toy.run" / "done"
    with LocalCluster(3) as cluster:
        driver = start(ON_RAY, out, samples, cluster.address)
        try:
            for victim in victims:
                gets_on(driver, cluster, done, victim)
                time.sleep(chance.uniform(0.0, 0.2))
                match victim:
                    case "worker":
                        wait_until(lambda: any(map(kill, chance.sample(pids := cluster.workers(), min(1, len(pids))))))
                    case "raylet":
                        cluster.kill_raylet(chance.choice(cluster.nodes))
                        cluster.add_node()
                    case "driver":
                        driver.kill()
                        driver.communicate()
                        driver = start(ON_RAY, out, samples, cluster.address)
            said, _ = driver.communicate(timeout=600)
            assert driver.returncode == 0, said
        finally:
            driver.kill()
            driver.wait()
    assert undisturbed.wait(600) == 0, undisturbed.communicate()
    undisturbed.communicate()
    (state,) = status(out)
    assert state.blocks_done == state.blocks_total
    assert state.blocks_failed == 0
    assert_same_numbers(out / "toy.zarr", whole / "toy.zarr")
    assert not list(out.rglob("*.partial"))


@pytest.mark.chaos
def test_six_processes_and_two_drivers_killed_in_one_sweep_leave_no_trace(tmp_path):
    chaos(tmp_path, blocks=160, workers=4, raylets=2, drivers=2, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [int(os.environ.get("CHAOS_SEED", "1"))])
def test_thirty_two_processes_and_ten_drivers_killed_in_one_sweep_leave_no_trace(tmp_path, seed):
    chaos(tmp_path, blocks=2400, workers=20, raylets=12, drivers=10, seed=seed)
