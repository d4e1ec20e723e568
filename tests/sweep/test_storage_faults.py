"""Real disks that fill up, stores that cannot be written, clocks that go wrong, drivers that meet or are killed."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from limitbench.errors import InputError
from limitbench.sweep import run as run_module
from limitbench.sweep import worker
from limitbench.sweep.lock import locked
from limitbench.sweep.results import open_results
from limitbench.sweep.run import run, status
from limitbench.testing.store import assert_same_numbers, files
from limitbench.testing.toy import STUDY

DRIVERS = Path(__file__).with_name("drivers.py")
GRID = {"width": [4, 8], "fault": ["none"], "depth": [2, 4]}
#: Ways to get a mount namespace of one's own: as root, or where users may have one.
NAMESPACES = (["unshare", "-m"], ["unshare", "-Urm"])


def drive(what, out, *prefix):
    """Lines of JSON from `drivers.py`."""
    ended = subprocess.run(
        [*prefix, sys.executable, "-W", "ignore", str(DRIVERS), what, str(out)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def namespace():
    for prefix in NAMESPACES:
        try:
            if not subprocess.run(
                [*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
            ).returncode:
                return prefix
        except FileNotFoundError:
            break
    pytest.skip("no mount namespace of its own for a small disk: a full one is then only tested on a storage in memory")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(STUDY, GRID, samples=128, out=out)
    return out / "toy.zarr"


def _is_stopped_by_a_full_disk(line):
    return line.startswith("stopped: ") and "No space left on device" in line


@pytest.mark.cluster
def test_a_full_disk_stops_a_run_with_one_line_and_room_completes_it(tmp_path, namespace, whole):
    *rounds, page = drive("full", tmp_path / "disk", *namespace)
    assert len(rounds) >= 6
    for found in rounds:
        *notes, last = found["lines"]
        assert (found["code"], found["again"]) == (3, 0), found
        assert _is_stopped_by_a_full_disk(last)
        assert all(line.startswith(("toy: ", "the log and the heartbeat")) for line in notes)
        assert found["partial"] == []
        assert_same_numbers(whole, Path(found["kept"]) / "toy.zarr")
    assert {found["phase"] for found in rounds} == {"metadata", "units", "finalise"}
    assert (page["code"], len(page["lines"]), page["partial"], page["again"]) == (3, 1, [], 0)
    assert _is_stopped_by_a_full_disk(page["lines"][0])


@pytest.mark.cluster
def test_a_full_disk_stops_a_run_on_ray_and_costs_no_block_an_attempt(tmp_path, namespace, whole):
    (found,) = drive("full-on-ray", tmp_path / "disk", *namespace)
    assert len(found["lines"]) == 1
    assert "No space left on device" in found["lines"][0]
    assert found["failed"] == 0
    assert_same_numbers(whole, Path(found["kept"]) / "toy.zarr")


def test_a_store_that_is_read_only_refuses_runs_and_serves_readers(tmp_path, namespace):
    (found,) = drive("read-only", tmp_path / "store", *namespace)
    *runs, seen, elsewhere, inside = found["answers"]
    for code, lines in runs:
        assert code == 2
        assert len(lines) == 1
        assert "Read-only file system" in lines[0]
    assert (seen[0], elsewhere[0]) == (0, 0)
    assert inside[0] == 2
    assert len(inside[1]) == 1
    assert found["same"]
    assert found["page"]
    assert found["networks"] == 128 * 2 * 2


def test_two_drivers_at_the_same_moment_are_one_and_a_refusal(tmp_path):
    rounds = drive("together", tmp_path)
    assert len(rounds) == 5
    for found in rounds:
        (good, _), (bad, lines) = sorted(found["answers"], key=lambda answer: answer[0])
        assert (good, len(lines)) == (0, 1), found
        assert (bad == 2 and "no other run of toy is going on" in lines[0]) or (bad == 3 and "just now" in lines[0])
        assert set(open_results(found["folder"])["run"]["status"].to_numpy().ravel()) == {"done"}
    folder = Path(rounds[0]["folder"])
    run(STUDY, {"width": [4, 8], "depth": [2]}, samples=64, out=folder)
    run(STUDY, {"width": [4, 8], "depth": [2]}, samples=64, out=tmp_path / "whole")
    assert_same_numbers(folder / "toy.zarr", tmp_path / "whole" / "toy.zarr")


def test_a_store_that_another_driver_changed_after_the_plan_was_made_is_not_cut_down(tmp_path, monkeypatch):
    run(STUDY, {"width": [4]}, samples=64, out=tmp_path)
    plan = run_module.plan

    def overtaken(*arguments, **options):
        monkeypatch.undo()
        run(STUDY, {"width": [4, 8]}, samples=64, out=tmp_path)
        return plan(*arguments, **options)

    monkeypatch.setattr(run_module, "plan", overtaken)
    with pytest.raises(run_module.StoreError, match=r"another run changed .* the same command goes on"):
        run(STUDY, {"width": [4]}, samples=128, out=tmp_path)
    assert status(tmp_path)[0].samples == 128
    assert open_results(tmp_path)["samples"]["width"].to_numpy().tolist() == [4, 8]


@pytest.mark.cluster
def test_drivers_killed_at_random_moments_lose_nothing(tmp_path):
    *kills, last = drive("killed", tmp_path / "store")
    assert len(kills) == 10
    assert any(found["done"] for found in kills)
    assert last == {"partial": 0, "code": 0}
    assert_same_numbers(tmp_path / "store" / "toy.zarr", tmp_path / "store-in-one-go" / "toy.zarr")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_refused_in_one_line(tmp_path, monkeypatch, number):
    def flock(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match=f"that keeps locks \\(flock: {os.strerror(number)}\\)") as caught:
        run(STUDY, {"width": [4]}, samples=64, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*")) or list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_a_lock_survives_a_folder_that_vanishes_while_it_is_taken(tmp_path, monkeypatch):
    opened, calls = os.open, []

    def vanishing(path, *arguments):
        calls.append(path)
        if len(calls) == 1:
            (tmp_path / "out").rmdir()
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", vanishing)
    with locked(tmp_path / "out", "toy"):
        assert (tmp_path / "out" / ".toy.lock").exists()
    assert len(calls) == 2


@pytest.mark.parametrize("days", [-20_000, 20_000])
def test_files_and_markers_of_another_time_change_nothing(tmp_path, days):
    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path / "skewed")
    then = datetime.now(UTC) + timedelta(days=days)
    for path in sorted((tmp_path / "skewed").rglob("*"), reverse=True):
        if path.parent.name == "done":
            path.write_text(json.dumps({**json.loads(path.read_text()), "finished": then.isoformat()}))
        os.utime(path, (then.timestamp(), then.timestamp()))
    before = files(tmp_path / "skewed" / "toy.run" / "done")
    (state,) = status(tmp_path / "skewed")
    assert state.blocks_done == state.blocks_total == 2
    assert abs(state.last_activity - then) < timedelta(minutes=1)
    grid = {"width": [4, 8], "depth": [2]}
    run(STUDY, grid, samples=128, out=tmp_path / "skewed")
    run(STUDY, grid, samples=128, out=tmp_path / "whole")
    assert_same_numbers(tmp_path / "skewed" / "toy.zarr", tmp_path / "whole" / "toy.zarr")
    assert (
        files(tmp_path / "skewed" / "toy.run" / "done").items()
        >= {name: stat for name, stat in before.items() if "scores" not in name}.items()
    )


def test_a_clock_that_goes_back_between_resumes_changes_nothing(tmp_path, monkeypatch):
    class Past(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(1999, 12, 31, tzinfo=tz)

    run(STUDY, {"width": [4], "depth": [2]}, samples=64, out=tmp_path / "store")
    created = open_results(tmp_path / "store").attrs["created"]
    for module in (worker.datetime,):
        monkeypatch.setattr(module, "datetime", Past)
    run(STUDY, {"width": [4], "depth": [2]}, samples=128, out=tmp_path / "store")
    monkeypatch.undo()
    marker = json.loads(next((tmp_path / "store" / "toy.run" / "done").glob("*.b000001.json")).read_text())
    assert marker["finished"].startswith("1999-12-31")
    assert open_results(tmp_path / "store").attrs["created"] == created
    run(STUDY, {"width": [4], "depth": [2]}, samples=128, out=tmp_path / "whole")
    assert_same_numbers(tmp_path / "store" / "toy.zarr", tmp_path / "whole" / "toy.zarr")
    assert status(tmp_path / "store")[0].blocks_done == 3
