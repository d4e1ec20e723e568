"""Whole runs on an S3 server, every tenth request failing: the numbers are those of a run into a folder."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from limitbench import studies
from limitbench.cli import main
from limitbench.report.html import render
from limitbench.sweep import lease, object_storage
from limitbench.sweep.run import run
from limitbench.sweep.status import status
from limitbench.sweep.storage import open_storage
from limitbench.testing.faults import every
from limitbench.testing.s3 import ACCESS_KEY, SECRET_KEY, faulty
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

GRID, SAMPLES = {"width": [4], "depth": [2], "fault": ["slow"]}, 320
LARGER, MORE = {"width": [4, 8], "depth": [2], "fault": ["slow"]}, 384

pytestmark = pytest.mark.cluster

COMMAND = ["run", "toy", "--samples", str(SAMPLES), "--executor", "serial", "--no-report"]
COMMAND += [word for name, (value,) in GRID.items() for word in ("--set", f"{name}={value}")]
#: The command line in a process of its own, with a lease of a few seconds and the toy among the studies; it starts
#: when it is told to.
DRIVER = textwrap.dedent("""
    import sys
    from limitbench import commands, studies
    from limitbench.sweep import lease, object_storage, run
    lease.RENEW_SECONDS, lease.TTL_SECONDS, lease.LOOK_SECONDS = 0.5, 3.0, 0.2
    studies._MODULES["toy"] = "limitbench.testing.toy"
    from limitbench.cli import main
    print("ready", flush=True)
    sys.stdin.readline()
    sys.exit(main(sys.argv[1:]))
""")


def start(out):
    """A driver that waits for a line."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *COMMAND, "--out", out],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout.readline() == "ready\n"
    return driver


def go(driver):
    driver.stdin.write("\n")
    driver.stdin.flush()


def wait_for_blocks(storage, count, driver=None):
    deadline = time.monotonic() + 60
    while len(list(storage.entries("toy.run/done"))) < count:
        assert driver is None or driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(STUDY, GRID, samples=SAMPLES, out=out)
    return out / "toy.zarr"


@pytest.fixture
def url(s3, tmp_path, monkeypatch):
    """An empty place; drivers in this process have the same lease and studies as the others."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.5)
    monkeypatch.setattr(lease, "TTL_SECONDS", 3.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.2)
    monkeypatch.setitem(studies._MODULES, "toy", "limitbench.testing.toy")
    return f"{s3.url}/{tmp_path.name}"


def test_a_run_that_is_killed_damaged_and_extended_is_the_run_made_in_one_go(s3, url, tmp_path):
    storage = open_storage(url)
    faultless = replace(storage, settings=(("endpoint", f"http://127.0.0.1:{s3.port}"),))
    s3.inject(every(0.1), seed=1)
    driver = start(url)
    try:
        go(driver)
        wait_for_blocks(faultless, 2, driver)
    finally:
        driver.kill()
        driver.communicate()
    (state,) = status(url)
    assert 2 <= state.blocks_done < state.blocks_total == 6
    chunks = sorted(entry.name for entry in storage.entries("toy.zarr/samples/walk/c"))
    storage.write(chunks[0], storage.read(chunks[0])[:-3])  # found by its size
    data = bytearray(storage.read(chunks[1]))
    data[20] ^= 255
    storage.write(chunks[1], bytes(data))  # found when its column is scored
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


def test_of_two_drivers_that_start_together_one_runs_and_the_other_is_refused(url, whole, capsys):
    driver = start(url)
    go(driver)
    ours = main([*COMMAND, "--out", url])
    errors = [capsys.readouterr().err, driver.communicate(timeout=120)[1]]
    assert sorted([ours, driver.returncode]) == [0, 2], errors
    refusal = errors[0 if ours else 1].splitlines()[-1]
    assert refusal.startswith(f"error: out: got '{url}', expected a place where no other run of toy is going on (")
    assert_same_numbers(whole, f"{url}/toy.zarr")


def test_a_server_that_dies_stops_the_run_in_one_line_and_the_same_command_resumes(s3, url, whole, monkeypatch, capsys):
    storage = open_storage(url)
    monkeypatch.setattr(object_storage, "PATIENCE", 2.0)
    with faulty(s3) as doomed, ThreadPoolExecutor(1) as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL", doomed.environment["AWS_ENDPOINT_URL"])

        def kill():
            wait_for_blocks(storage, 2)
            doomed.proxy.kill()

        killed = other.submit(kill)
        assert main([*COMMAND, "--out", url]) == 3
        killed.result()
    *_, line = capsys.readouterr().err.splitlines()
    assert line == (
        f"stopped: {url} cannot be read or written (no answer from 127.0.0.1:{doomed.proxy_port}); "
        "finished blocks are kept, the same command resumes"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.environment["AWS_ENDPOINT_URL"])
    assert main([*COMMAND, "--out", url]) == 0
    assert_same_numbers(whole, f"{url}/toy.zarr")


def test_a_driver_that_was_stopped_writes_no_more_once_another_took_over(url, whole, caplog):
    storage = open_storage(url)
    driver = start(url)
    try:
        go(driver)
        wait_for_blocks(storage, 2, driver)
        os.kill(driver.pid, signal.SIGSTOP)
        assert main([*COMMAND, "--out", url]) == 0
        assert any(f"pid {driver.pid} may be driving toy" in record.getMessage() for record in caplog.records)
        before = {entry.name: entry for entry in storage.entries("toy.zarr")}
        os.kill(driver.pid, signal.SIGCONT)
        error = driver.communicate(timeout=60)[1]
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == 3, error
    assert error.splitlines()[-1].startswith(f"stopped: another run of toy in {url} took over")
    # The block that was under way when it was stopped may have been written again, with the same bytes.
    after = {entry.name: entry for entry in storage.entries("toy.zarr")}
    assert all(name.startswith("toy.zarr/samples/") for name in after if after[name] != before.get(name))
    assert_same_numbers(whole, f"{url}/toy.zarr")
