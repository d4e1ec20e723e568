"""A sweep over three hosts with addresses of their own, one of which is cut off while it works and brought back.

A cut host notices nothing at first: its workers go on writing while the dispatcher gives their blocks to others.
"""

import os
import secrets
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from limitbench.sweep.run import run, status
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

sys.path.insert(0, str(Path(__file__).parent))
from hosts import PORT, Hosts, hosts, why_not

BIN = Path(sys.executable).parent
GRID = {"fault": ["slow"], "width": [4, 8]}
SAMPLES = 64 * 200
DRIVER = f"""
    import sys
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY

    run(STUDY, {GRID!r}, samples={SAMPLES}, out=sys.argv[1], executor="ray", address=sys.argv[2])
"""
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    # The head finds out in some seconds, not half a minute, that a host does not answer.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.skipif(bool(why_not()), reason=why_not())]


def join(net: Hosts, host: int) -> subprocess.Popen[str]:
    """Start a node with one CPU on a host."""
    own, head = f"--node-ip-address={net.address(host)}", f"--address={net.address(1)}:{PORT}"
    return net.start(host, f"{BIN}/ray", "start", head, own, "--num-cpus=1", "--block", env=ENVIRONMENT)


def alive(net: Hosts) -> set[str]:
    """Addresses of the nodes that the head holds to be alive."""
    code = f"""
        import ray
        ray.init(address="{net.address(1)}:{PORT}", logging_level="ERROR", log_to_driver=False)
        print(*(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]))
    """
    assignments = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    return set(net.inside(1, "env", *assignments, sys.executable, "-c", textwrap.dedent(code)).split())


def wait_for(condition, what, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def blocks(out: Path) -> int:
    return len(list((out / "toy.run" / "done").glob("*.b*.json")))


@contextmanager
def _removed(folder: str):
    """Removes `folder` in the end; it is short because Ray's sockets lie in it."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_host_that_is_cut_off_and_brought_back_costs_no_block_and_no_bit(tmp_path):
    out = tmp_path / "hosts"
    with hosts(3) as net, _removed(f"/tmp/{net.tag}"):
        first = (f"{BIN}/ray", "start", "--head", f"--node-ip-address={net.address(1)}", f"--port={PORT}")
        rest = ("--num-cpus=0", "--include-dashboard=false", f"--temp-dir=/tmp/{net.tag}", "--block")
        net.start(1, *first, *rest, env=ENVIRONMENT)
        wait_for(lambda: os.path.exists(f"/tmp/{net.tag}/session_latest/sockets/raylet"), "the head does not start")
        for host in (2, 3):
            join(net, host)
            wait_for(lambda host=host: net.address(host) in alive(net), f"host {host} does not join")
        address = f"{net.address(1)}:{PORT}"
        driver = net.start(1, sys.executable, "-c", textwrap.dedent(DRIVER), str(out), address, env=ENVIRONMENT)
        wait_for(lambda: blocks(out) > 20 or driver.poll() is not None, "no blocks")
        net.cut(3)
        wait_for(lambda: net.address(3) not in alive(net), "the head does not miss the host that was cut off")
        during = blocks(out)
        wait_for(lambda: blocks(out) > during + 10 or driver.poll() is not None, "the other host does not go on")
        net.mend(3)
        join(net, 3)
        wait_for(lambda: net.address(3) in alive(net), "the host does not come back")
        (state,) = status(out)
        assert state.blocks_done < state.blocks_total, "the run was over before the host came back"
        output, _ = driver.communicate(timeout=200)
        assert driver.returncode == 0, output
    (state,) = status(out)
    assert (state.blocks_done, state.blocks_failed) == (state.blocks_total, 0)
    assert not list(out.rglob("*.partial"))
    run(STUDY, GRID, samples=SAMPLES, out=tmp_path / "whole")
    assert_same_numbers(out / "toy.zarr", tmp_path / "whole" / "toy.zarr")
