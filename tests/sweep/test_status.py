"""Watching a run from outside: alive or dead, how far, how fast, and what went wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from limitbench import watch
from limitbench.cli import COMPLETE, QUARANTINED, main
from limitbench.sweep import heartbeat, process
from limitbench.sweep import status as module
from limitbench.sweep.heartbeat import Heartbeat, Listener
from limitbench.sweep.run import run
from limitbench.sweep.status import StudyStatus, Watcher, status
from limitbench.sweep.storage import LocalStorage
from limitbench.testing.store import files
from limitbench.testing.toy import STUDY

BEAT = 0.2
DRIVER = f"""
    import sys
    from limitbench.sweep import heartbeat
    from limitbench.sweep.run import run
    from limitbench.testing.toy import STUDY
    heartbeat.BEAT_SECONDS = {BEAT}
    run(STUDY, {{"width": [4], "depth": [2], "fault": ["slow"]}}, samples=int(sys.argv[2]), out=sys.argv[1])
"""


def drive(out, samples):
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(out), str(samples)]
    return subprocess.Popen(command, start_new_session=True)


def wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def state_of(out) -> StudyStatus:
    (state,) = status(out)
    return state


def copy(store, folder):
    return shutil.copytree(store, folder / "copy")


def a_beat(**changes):
    now = datetime.now(UTC)
    fields = {
        "run": "r", "state": "running", "beat": 1, "beat_seconds": BEAT, "host": "far-away", "pid": 7,
        "machine": "another", "process": "1", "executor": "ray", "started": now, "written": now, "seconds": 1.0,
        "workers": 2, "blocks_done": 0, "networks": 0, "blocks_failed": 0, "blocks_retried": 0, "workers_lost": 0,
        "in_flight": 0, "rate_seconds": 1.0, "networks_per_second": 0.0, "blocks_per_minute": 0.0,
    }  # fmt: skip
    return Heartbeat(**(fields | changes))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    out = tmp_path_factory.mktemp("failed")
    run(STUDY, {"width": [4], "depth": [2], "fault": ["none", "raise"]}, samples=128, out=out)
    return out


def test_a_live_run_is_seen_by_its_process_and_from_afar_and_so_is_its_death(tmp_path, monkeypatch, capsys):
    driver = drive(tmp_path, 64 * 400)
    try:
        wait_until(lambda: (tmp_path / "toy.run" / "done").exists())
        wait_until(lambda: len(list((tmp_path / "toy.run" / "done").iterdir())) > 4)
        before = files(tmp_path / "toy.zarr").keys()
        time.sleep(2 * BEAT)
        state = state_of(tmp_path)
        assert (state.state, state.driver.pid, state.driver.executor) == ("running", driver.pid, "serial")
        assert state.told_by == "its process on this machine"
        assert state.networks_per_second > 0 < state.blocks_per_minute
        assert 0 < state.blocks_done < state.blocks_total == 401
        assert state.seconds_left > 0
        assert [unit.attempt for unit in state.in_flight] == [1]
        (host,) = state.hosts
        assert (host.workers, host.in_flight, host.blocks) == (1, 1, state.blocks_done)
        assert before <= files(tmp_path / "toy.zarr").keys()

        assert main(["status", str(tmp_path)]) == COMPLETE
        shown = capsys.readouterr().out
        for words in ("running", f"pid {driver.pid}", "networks/s", "left", "longest in flight"):
            assert words in shown

        with monkeypatch.context() as afar:
            afar.setattr(process, "machine", lambda: "one that sees no process here")
            assert state_of(tmp_path).state == "running"
            assert state_of(tmp_path).told_by == "its heartbeat, which changed while watched"

        driver.send_signal(signal.SIGKILL)
        driver.wait()
        state = state_of(tmp_path)
        done = [path for path in (tmp_path / "toy.run" / "done").iterdir() if path.suffix == ".json"]
        assert (state.state, state.blocks_done) == ("stopped", len(done))
        assert state.samples == 64 * len(done)
        assert "without a word" in state.reason
        assert (state.networks_per_second, state.seconds_left, state.in_flight) == (None, None, ())

        for skew in (-10, 10):  # hours by which the storage's clock is wrong
            stamp = time.time() + 3600 * skew
            os.utime(tmp_path / "toy.run" / "driver.json", (stamp, stamp))
            with monkeypatch.context() as afar:
                afar.setattr(process, "machine", lambda: "one that sees no process here")
                assert state_of(tmp_path).state == "stopped"
                assert "of watching" in state_of(tmp_path).told_by
    finally:
        driver.kill()
        driver.wait()


def test_watching_ends_with_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", BEAT)
    slow = {"width": [4], "depth": [2], "fault": ["slow"]}
    with ThreadPoolExecutor(1) as pool:
        driver = pool.submit(run, STUDY, slow, samples=64 * 12, out=tmp_path)
        wait_until(lambda: (tmp_path / "toy.run" / "driver.json").exists())
        assert main(["status", str(tmp_path), "--watch", "--every", "0.2"]) == COMPLETE
        lines = capsys.readouterr().out.splitlines()
        driver.result(30)
    assert " toy: waiting, 0 of 13 blocks" in lines[0] or " toy: running" in lines[0]
    assert any("toy: running" in line and "left" in line for line in lines)
    assert lines[-1].endswith("toy: complete, 13 of 13 blocks, 768 of 768 networks")


def test_a_finished_run_with_failures_says_why_and_how_to_try_again(failed, capsys):
    state = state_of(failed)
    assert (state.state, state.blocks_done, state.blocks_failed, state.blocks_total) == ("failed", 3, 2, 6)
    (failure,) = state.failures
    assert failure.reason == "ArithmeticError: this network always raises"
    assert (len(failure.blocks), failure.attempts) == (2, 6)
    assert main(["status", str(failed)]) == COMPLETE
    shown = capsys.readouterr().out
    assert failure.reason in shown
    assert f"limitbench run toy --out {failed} --retry-failed" in " ".join(shown.split())


def test_reasons_that_differ_in_numbers_are_one(failed, tmp_path):
    out = copy(failed, tmp_path)
    for number, marker in enumerate(sorted((out / "toy.run" / "failed").iterdir())):
        content = json.loads(marker.read_text())
        marker.write_text(json.dumps({**content, "error": f"TimeoutError: not finished within {number} s"}))
    (failure,) = state_of(out).failures
    assert (failure.reason, len(failure.blocks)) == ("TimeoutError: not finished within 0 s", 2)


def test_text_of_a_store_is_shown_as_it_is_and_steers_no_terminal(failed, tmp_path, capsys):
    out = copy(failed, tmp_path)
    marker = next((out / "toy.run" / "failed").iterdir())
    hostile = "Error: [red]x[/red] \x1b[2J\x07 [link=file:///etc]y"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "error": hostile}))
    assert main(["status", str(out)]) == COMPLETE
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_complete_where_all_is_there_and_check_says_so_by_its_exit_code(failed, tmp_path, capsys):
    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path)
    state = state_of(tmp_path)
    assert (state.state, state.reason, state.blocks_done) == ("complete", "", state.blocks_total)
    assert main(["status", str(tmp_path), "--check"]) == COMPLETE
    assert main(["status", str(failed), "--check"]) == QUARANTINED
    assert main(["status", str(failed)]) == COMPLETE


def test_blocks_that_are_missing_after_a_finished_run_mean_damage(tmp_path):
    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path)
    next((tmp_path / "toy.run" / "done").glob("*.b*.json")).unlink()
    assert (state_of(tmp_path).state, state_of(tmp_path).reason) == (
        "stopped",
        "its driver ended with units left to do, or damaged",
    )


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"state": "running"}', "\x00", "[" * 100_000])
def test_a_heartbeat_that_is_none_counts_as_absent(failed, tmp_path, content):
    out = copy(failed, tmp_path)
    place = out / "toy.run" / "driver.json"
    place.unlink() if content is None else place.write_text(content)
    state = state_of(out)
    assert (state.state, state.driver, state.blocks_failed) == ("stopped", None, 2)


def test_json_has_the_documented_fields_and_no_number_that_is_none(failed, capsys):
    assert main(["status", str(failed), "--json"]) == COMPLETE

    def refuse(text):
        raise ValueError(text)

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found.keys() == {"time", "studies"}
    (study,) = found["studies"]
    assert study.keys() == set(StudyStatus.__dataclass_fields__)
    assert all(f"{name}" in StudyStatus.__doc__ for name in study)
    assert datetime.fromisoformat(study["last_activity"]).tzinfo is not None
    assert datetime.fromisoformat(study["driver"]["started"]).utcoffset() == timedelta(0)
    assert study["networks_per_second"] is None
    assert study["failures"][0]["blocks"] == list(state_of(failed).failures[0].blocks)


def test_json_of_a_watch_is_a_line_a_look(failed, capsys):
    assert main(["status", str(failed), "--json", "--watch", "--every", "0.1"]) == COMPLETE
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["studies"][0]["state"] for line in lines] == ["failed"] * len(lines)


def test_numbers_by_host_come_from_the_markers(tmp_path):
    run(STUDY, {"width": [4], "depth": [2]}, samples=64 * 4, out=tmp_path)
    markers = sorted((tmp_path / "toy.run" / "done").glob("*.b*.json"))
    for number, marker in enumerate(markers):
        changed = {
            "host": f"host-{number % 2}",
            "seconds": 1.0 + number,
            "finished": f"2026-01-0{number + 1}T00:00:00Z",
        }
        marker.write_text(json.dumps(json.loads(marker.read_text()) | changed))
    hosts = {host.host: host for host in state_of(tmp_path).hosts if host.networks}
    assert {name: (h.blocks, h.networks, h.busy_seconds) for name, h in hosts.items()} == {
        "host-0": (2, 128, 1.0 + 3.0),
        "host-1": (2, 128, 2.0 + 4.0),
    }
    assert hosts["host-0"].networks_per_second == 128 / 4.0
    assert hosts["host-1"].last_block == datetime(2026, 1, 4, tzinfo=UTC)


def test_a_large_store_is_counted_from_its_listing_with_the_same_numbers(failed, monkeypatch):
    exact = state_of(failed)
    monkeypatch.setattr(module, "MOST_READ", 1)
    counted = state_of(failed)
    assert (exact.exact, counted.exact) == (True, False)
    for name in ("state", "blocks_done", "blocks_failed", "samples", "failures", "last_activity"):
        assert getattr(counted, name) == getattr(exact, name)
    assert [(h.host, h.blocks, h.networks) for h in counted.hosts] == [
        (h.host, h.blocks, h.networks) for h in exact.hosts
    ]


def test_a_watcher_reads_no_marker_twice_and_sees_what_changes(failed, tmp_path, monkeypatch):
    out, reads, read = copy(failed, tmp_path), [], LocalStorage.read
    monkeypatch.setattr(LocalStorage, "read", lambda self, name: reads.append(name) or read(self, name))
    watcher = Watcher(out)
    before = watcher.look()
    assert sum("/done/" in name for name in reads) == 3
    reads.clear()
    assert watcher.look() == before
    assert not any("/done/" in name or "/failed/" in name for name in reads)
    marker = next((out / "toy.run" / "done").glob("*.b000001.json"))
    content = marker.read_text()
    marker.unlink()
    assert watcher.look()[0].blocks_done == before[0].blocks_done - 1
    marker.write_text("garbage")
    assert watcher.look()[0].blocks_done == before[0].blocks_done - 1
    marker.write_text(content)
    assert watcher.look()[0].blocks_done == before[0].blocks_done
    assert sum("/done/" in name for name in reads) == 2


def test_damage_that_the_first_look_found_stays_found(failed, tmp_path):
    out = copy(failed, tmp_path)
    next(path for path in (out / "toy.zarr" / "samples" / "walk" / "c").rglob("*") if path.is_file()).unlink()
    watcher = Watcher(out)
    assert [watcher.look()[0].blocks_done for _ in range(3)] == [2, 2, 2]


class TestListening:
    def test_a_driver_that_said_how_it_ended_is_believed(self):
        for state in ("finished", "interrupted", "stopped", "crashed"):
            assert Listener().hear(a_beat(state=state), None).life == "ended"

    def test_one_look_from_afar_tells_nothing_whatever_the_clock_says(self):
        for hours in (-20, 0, 20):
            assert Listener().hear(a_beat(), datetime.now(UTC) + timedelta(hours=hours)).life == "unknown"

    def test_a_heartbeat_of_days_ago_needs_no_second_look(self):
        assert Listener().hear(a_beat(), datetime.now(UTC) - timedelta(days=2)).life == "gone"

    def test_alive_when_the_beat_changes_and_gone_when_it_stays(self, monkeypatch):
        now, listener = [0.0], Listener()
        monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
        beats = [(0.0, 1, "unknown"), (0.5, 1, "unknown"), (0.6, 2, "alive"), (1.1, 2, "alive"), (1.3, 2, "gone")]
        for at, number, life in [*beats, (1.4, 3, "alive")]:
            now[0] = at
            assert listener.hear(a_beat(beat=number), None).life == life

    def test_a_process_number_that_is_used_again_is_not_the_driver(self):
        mine = process.this_process()
        assert Listener().hear(a_beat(**mine), None).life == "alive"
        assert Listener().hear(a_beat(**{**mine, "process": "1"}), None).life == "gone"


def test_a_run_without_a_worker_is_waiting(failed, tmp_path):
    out = copy(failed, tmp_path)
    beat = a_beat(workers=0, **process.this_process())
    (out / "toy.run" / "driver.json").write_text(beat.model_dump_json())
    state = state_of(out)
    assert (state.state, state.reason) == ("waiting", "no worker is ready")
    assert "0 workers" in watch.line(state)


@pytest.mark.parametrize(
    "arguments",
    [("--every", "5"), ("--watch", "--every", "0"), ("--watch", "--every", "x"), ("--watch", "--every", "nan")],
)
def test_seconds_between_looks_are_checked(failed, capsys, arguments):
    assert main(["status", str(failed), *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: --every: got ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (59, "59 s"), (130, "2.17 min"), (7200, "2 h"), (2e5, "2.31 days"), (1e12, "11,574,074 days")],
)
def test_durations_are_in_the_largest_unit_of_which_there_are_two(seconds, words):
    assert watch.duration(seconds) == words
