"""Whole runs on an S3 server, every tenth request failing: the numbers are those of a run into a folder."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from limitbench.report.html import render
from limitbench.sweep.run import run
from limitbench.sweep.status import status
from limitbench.sweep.storage import open_storage
from limitbench.testing.faults import every
from limitbench.testing.s3 import ACCESS_KEY, SECRET_KEY, faulty
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

GRID, SAMPLES = {"width": [4], "depth": [2], "fault": ["slow"]}, 320
LARGER, MORE = {"width": [4, 8], "depth": [2], "fault": ["slow"]}, 384

#: The command line in a process of its own, with a lease of a few seconds and the toy among the studies.
DRIVER = textwrap.dedent("""
    import sys
    from limitbench import studies
    from limitbench.sweep import lease, object_storage
    lease.RENEW_SECONDS, lease.TTL_SECONDS, lease.LOOK_SECONDS = 0.5, 3.0, 0.2
    object_storage.PATIENCE = float(sys.argv.pop(1))
    studies._MODULES["toy"] = "limitbench.testing.toy"
    from limitbench.cli import main
    sys.exit(main(sys.argv[1:]))
""")


def start(out, patience=90.0):
    command = ["run", "toy", "--samples", str(SAMPLES), "--executor", "serial", "--no-report", "--out", out]
    command += [word for name, (value,) in GRID.items() for word in ("--set", f"{name}={value}")]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(patience), *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_blocks(storage, count, driver):
    deadline = time.monotonic() + 60
    while len(list(storage.entries("toy.run/done"))) < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(STUDY, GRID, samples=SAMPLES, out=out)
    return out / "toy.zarr"


@pytest.fixture
def url(s3, tmp_path):
    return f"{s3.url}/{tmp_path.name}"


def test_a_run_that_is_killed_resumed_damaged_and_extended_is_the_run_made_in_one_go(s3, url, whole, tmp_path):
    storage = open_storage(url)
    s3.inject(every(0.1), seed=1)
    driver = start(url)
    try:
        wait_for_blocks(storage, 2, driver)
    finally:
        driver.kill()
        driver.communicate()
    (state,) = status(url)
    assert 2 <= state.blocks_done < state.blocks_total == 6
    run(STUDY, GRID, samples=SAMPLES, out=url)
    assert_same_numbers(whole, f"{url}/toy.zarr")

    chunks = sorted(entry.name for entry in storage.entries("toy.zarr/samples/walk/c"))
    storage.write(chunks[1], storage.read(chunks[1])[:-3])  # found by its size
    data = bytearray(storage.read(chunks[3]))
    data[20] ^= 255
    storage.write(chunks[3], bytes(data))  # found when its column is scored
    run(STUDY, LARGER, samples=MORE, out=url)
    run(STUDY, LARGER, samples=MORE, out=tmp_path)
    assert_same_numbers(tmp_path / "toy.zarr", f"{url}/toy.zarr")
    (state,) = status(url)
    assert state.blocks_done == state.blocks_total == 14
    counts = s3.counts()
    assert sum(counts.values()) - counts["requests"] > 0.07 * counts["requests"]

    render(url, f"{url}/report.html", studies=(STUDY,))
    assert storage.read("report.html").startswith(b"<!doctype html>")
    s3.inject({})
    everything = b"".join(storage.read(entry.name) for entry in storage.entries(""))
    assert ACCESS_KEY.encode() not in everything
    assert SECRET_KEY.encode() not in everything
    assert not storage.exists(".toy.lock")


def test_of_two_drivers_that_start_together_one_runs_and_the_other_is_refused(s3, url, whole):
    drivers = [start(url), start(url)]
    errors = [driver.communicate(timeout=120)[1] for driver in drivers]
    assert sorted(driver.returncode for driver in drivers) == [0, 2], errors
    refusal = errors[0 if drivers[0].returncode else 1].splitlines()[-1]
    assert refusal.startswith(f"error: out: got '{url}', expected a place where no other run of toy is going on (")
    assert_same_numbers(whole, f"{url}/toy.zarr")


def test_a_server_that_dies_stops_the_run_in_one_line_and_the_same_command_resumes(s3, url, whole, monkeypatch):
    with faulty(s3) as doomed:
        monkeypatch.setenv("AWS_ENDPOINT_URL", doomed.environment["AWS_ENDPOINT_URL"])
        driver = start(url, patience=2.0)
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", s3.environment["AWS_ENDPOINT_URL"])
            wait_for_blocks(open_storage(url), 2, driver)
        finally:
            doomed.proxy.kill()
        error = driver.communicate(timeout=60)[1]
    assert driver.returncode == 3, error
    assert error == (
        f"stopped: {url} cannot be read or written (no answer from 127.0.0.1:{doomed.proxy_port}); "
        "finished blocks are kept, the same command resumes\n"
    )
    run(STUDY, GRID, samples=SAMPLES, out=url)
    assert_same_numbers(whole, f"{url}/toy.zarr")


def test_a_driver_that_was_stopped_writes_no_more_once_another_took_over(s3, url, whole):
    storage = open_storage(url)
    stopped = start(url)
    try:
        wait_for_blocks(storage, 2, stopped)
        os.kill(stopped.pid, signal.SIGSTOP)
        other = start(url)
        error = other.communicate(timeout=120)[1]
        assert other.returncode == 0, error
        assert f"pid {stopped.pid} may be driving toy" in error
        before = {entry.name: entry for entry in storage.entries("toy.zarr")}
        root = json.loads(storage.read("toy.zarr/zarr.json"))
        os.kill(stopped.pid, signal.SIGCONT)
        error = stopped.communicate(timeout=60)[1]
    finally:
        stopped.kill()
        stopped.communicate()
    assert stopped.returncode == 3, error
    assert error.splitlines()[-1].startswith(f"stopped: another run of toy in {url} took over")
    # The block that was under way when it was stopped may have been written again, with the same bytes.
    after = {entry.name: entry for entry in storage.entries("toy.zarr")}
    changed = [name for name in after if after[name] != before.get(name)]
    assert all(name.startswith("toy.zarr/samples/") for name in changed)
    assert json.loads(storage.read("toy.zarr/zarr.json")) == root
    assert_same_numbers(whole, f"{url}/toy.zarr")
