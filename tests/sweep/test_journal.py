"""The driver's log and heartbeat: they tell what happened, cost next to nothing and never end a run."""

import errno
import json
import logging
import shutil
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from limitbench.errors import StoreError
from limitbench.sweep import event_log, heartbeat, tally, worker
from limitbench.sweep.blocks import SampleUnit
from limitbench.sweep.executors import Event, Interrupted, Outcome
from limitbench.sweep.grid import Column
from limitbench.sweep.heartbeat import read_heartbeat
from limitbench.sweep.journal import Journal
from limitbench.sweep.lock import FileLock
from limitbench.sweep.paths import Paths
from limitbench.sweep.progress import Silent
from limitbench.sweep.run import run
from limitbench.sweep.storage import LocalStorage
from limitbench.sweep.store import read_root
from limitbench.sweep.tally import Tally
from limitbench.sweep.worker import Job
from limitbench.testing.memory import MemoryStorage
from limitbench.testing.toy import STUDY

SMALL = {"width": [4], "depth": [2]}
FAULTS = {**SMALL, "fault": ["none", "raise"]}
SECRET = "c8d1f0secret77"
ABOUT = {"run": "r", "beat_seconds": 5.0, "host": "h", "pid": 1, "machine": "", "process": "", "executor": "serial"}


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Lost(FileLock):
    def check(self, *, ask=False):
        raise StoreError("another run took over")


def log_of(out):
    (log,) = sorted((out / "toy.run" / "log").iterdir())
    return [json.loads(line) for line in log.read_text().splitlines()]


def beat_of(out):
    return read_heartbeat(Paths(LocalStorage(out), "toy"))


def unit(number=0):
    return SampleUnit(Column((("width", 4),), "depth", (2,)), (0,), number, 64, 1.0)


def new_tally(work=10.0):
    started = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return Tally(work, {**ABOUT, "started": started})


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("ran")
    run(STUDY, FAULTS, samples=128, out=out)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete store, made where the environment holds a secret."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        run(STUDY, SMALL, samples=64, out=out)
    return out


def test_the_log_tells_every_attempt_and_how_the_run_began_and_ended(ran):
    lines = log_of(ran)
    assert Counter(line["event"] for line in lines) == {
        "run-started": 1,
        "unit-started": 9,
        "unit-ended": 3,
        "unit-retried": 4,
        "unit-failed": 2,
        "run-ended": 1,
    }
    first, last = lines[0], lines[-1]
    assert (first["units"], first["networks"], first["executor"]) == (4, 256, "serial")
    assert first["spec_hash"] == read_root(Paths(LocalStorage(ran), "toy"))[0].meaning.hash
    assert {"torch", "limitbench", "python"} <= first["versions"].keys()
    assert (last["state"], last["blocks_done"], last["blocks_failed"], last["networks"]) == ("finished", 3, 2, 128)
    failed = next(line for line in lines if line["event"] == "unit-failed")
    assert (failed["attempt"], failed["reason"]) == (3, "ArithmeticError: this network always raises")
    assert failed["node"] == first["host"]
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert times == sorted(times)
    assert {t.utcoffset() for t in times} == {timedelta(0)}


def test_a_run_with_nothing_to_do_writes_no_journal(whole):
    before = (beat_of(whole), log_of(whole))
    run(STUDY, SMALL, samples=64, out=whole)
    assert (beat_of(whole), log_of(whole)) == before


def test_the_last_heartbeat_sums_the_run_up(ran):
    beat = beat_of(ran)
    assert (beat.state, beat.in_flight, beat.units, beat.seconds_left) == ("finished", 0, (), None)
    assert (beat.blocks_done, beat.blocks_failed, beat.blocks_retried, beat.networks) == (3, 2, 4, 128)
    (node,) = beat.nodes
    assert (node.blocks, node.networks, node.workers) == (3, 128, 1)
    assert 0 < node.seconds <= beat.seconds


def _stopped(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def _interrupted(*_):
    raise KeyboardInterrupt


def _defect(*_):
    raise SystemError("a defect")


@pytest.mark.parametrize(
    ("raised", "seen", "state", "reason"),
    [
        (_stopped, StoreError, "stopped", "No space left on device"),
        (_interrupted, Interrupted, "interrupted", "Ctrl-C"),
        (_defect, SystemError, "crashed", "SystemError: a defect"),
    ],
)
def test_heartbeat_and_log_say_why_a_run_ended_early(tmp_path, monkeypatch, raised, seen, state, reason):
    monkeypatch.setattr("limitbench.sweep.run.finalise", raised)
    with pytest.raises(seen):
        run(STUDY, SMALL, samples=64, out=tmp_path)
    beat, last = beat_of(tmp_path), log_of(tmp_path)[-1]
    assert (beat.state, beat.reason) == (last["state"], last["reason"]) == (state, reason)


@pytest.mark.parametrize("place", ["log", "driver.json"])
def test_a_journal_that_cannot_be_written_costs_a_note_and_nothing_else(tmp_path, whole, place):
    out, notes = shutil.copytree(whole, tmp_path / "copy"), Notes()
    blocked = out / "toy.run" / place
    if place == "log":
        shutil.rmtree(blocked)
        blocked.touch()
    else:
        blocked.unlink()
        (blocked / "in the way").mkdir(parents=True)
    tree = run(STUDY, SMALL, samples=128, out=out, progress=notes)
    assert [note.partition(":")[0] for note in notes.notes] == ["the log and the heartbeat of this run have gaps"]
    assert set(tree["run"]["status"].to_numpy().ravel()) == {"done"}
    assert tree["samples"]["walk"].notnull().all()


def test_a_log_that_failed_once_has_every_line_once_and_whole(tmp_path, monkeypatch):
    log = event_log.open_log(LocalStorage(tmp_path), "log/a")
    log.add([{"n": 0}])
    with monkeypatch.context() as broken:
        broken.setattr(event_log, "_encode", lambda lines: _Short(b'{"n": 1}\n'))
        with pytest.raises(OSError, match="No space left"):
            log.add([{"n": 1}])
    log.add([{"n": 1}, {"n": 2}])
    assert [json.loads(line)["n"] for line in (tmp_path / "log" / "a.jsonl").read_text().splitlines()] == [0, 1, 2]


class _Short(bytes):
    """Data of which a full disk takes less than it should."""

    def __len__(self):
        return super().__len__() + 1


def test_a_log_without_appending_is_a_bounded_number_of_whole_objects(monkeypatch):
    monkeypatch.setattr(event_log, "SEGMENT_LINES", 4)
    storage = MemoryStorage()
    log = event_log.open_log(storage, "toy.run/log/r")
    for n in range(0, 18, 3):
        log.add([{"n": n}, {"n": n + 1}, {"n": n + 2}])
    assert list(storage.objects) == [f"toy.run/log/r.{k:06d}.jsonl" for k in range(3)]
    lines = b"".join(storage.objects.values()).splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(18))


def test_a_run_in_an_object_store_has_the_same_journal(monkeypatch):
    storage = MemoryStorage()
    monkeypatch.setattr("limitbench.sweep.run.open_storage", lambda _: storage)
    run(STUDY, SMALL, samples=64, out="memory")
    (name,) = (name for name in storage.objects if "/log/" in name)
    events = [json.loads(line)["event"] for line in storage.objects[name].splitlines()]
    assert (events[0], events[-1]) == ("run-started", "run-ended")
    assert json.loads(storage.objects["toy.run/driver.json"])["state"] == "finished"


def test_a_driver_that_lost_the_store_leaves_the_heartbeat_to_the_next(tmp_path, ran):
    spec, _ = read_root(Paths(LocalStorage(ran), "toy"))
    paths, notes = Paths(LocalStorage(tmp_path), "toy"), []
    paths.storage.write("toy.run/driver.json", b"of the next driver")
    job = Job(STUDY, spec, paths)
    with Journal(job, [unit()], 1.0, executor="serial", held=Lost(), note=notes.append):
        pass
    assert paths.storage.read("toy.run/driver.json") == b"of the next driver"
    assert "another run took over" in notes[0]
    assert [line["event"] for line in log_of(tmp_path)] == ["run-started", "run-ended"]


def test_a_handler_of_the_package_logger_gets_every_line(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, "limitbench"):
        run(STUDY, {**SMALL, "fault": ["raise"]}, samples=64, out=tmp_path)
    told = [(record.levelname, record.limitbench) for record in caplog.records if hasattr(record, "limitbench")]
    assert [line for _, line in told] == log_of(tmp_path)
    assert {level for level, line in told if line["event"] == "unit-started"} == {"DEBUG"}
    assert {level for level, line in told if line["event"] == "unit-failed"} == {"INFO"}


def test_nothing_of_the_environment_is_written(whole):
    written = [path.read_bytes() for path in whole.rglob("*") if path.is_file()]
    assert any(b"run-started" in data for data in written)
    assert not any(SECRET.encode() in data for data in written)


def test_the_thread_of_the_driver_writes_nothing_and_wastes_no_time(tmp_path, ran, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 3600.0)
    spec, _ = read_root(Paths(LocalStorage(ran), "toy"))
    job, n = Job(STUDY, spec, Paths(LocalStorage(tmp_path), "toy")), 2000
    outcomes = [Outcome(unit(k), {"samples": 64, "host": "h"}) for k in range(n)]
    monkeypatch.setattr(Journal, "_keep_writing", lambda self: self._over.wait())
    with Journal(job, [o.unit for o in outcomes], n, executor="ray", held=FileLock(), note=print) as journal:
        handle = journal.booking(lambda _: ())
        began = time.thread_time()
        for outcome in outcomes:
            name = outcome.unit.id
            journal(Event("unit-started", "worker-1", "node-1", name, 1))
            journal(Event("unit-ended", "worker-1", "node-1", name, 1, 0.5))
            handle(outcome)
        spent = time.thread_time() - began
        assert len(log_of(tmp_path)) == beat_of(tmp_path).beat == 1
    # 15 microseconds a block, measured without the run-time checks of types that tests add to every call.
    assert spent / n < 5e-4
    assert beat_of(tmp_path).blocks_done == n
    assert len(log_of(tmp_path)) == 2 * n + 2


def test_rates_are_of_the_last_minutes_and_the_time_left_follows_them(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(tally.time, "monotonic", lambda: now[0])
    counted = new_tally(work=1000.0)
    for seconds, units in ((400, 400), (400, 100)):  # one unit a second, then one in four seconds
        for step in range(units):
            now[0] += seconds / units
            counted.book(Outcome(unit(step), {"samples": 64}))
            if step % 10 == 0:
                beat = counted.beat("running")
    assert beat.rate_seconds == pytest.approx(tally.RATE_SECONDS, rel=0.2)
    assert beat.blocks_per_minute == pytest.approx(15.0, rel=0.05)
    assert beat.networks_per_second == pytest.approx(16.0, rel=0.05)
    assert beat.seconds_left == pytest.approx(4 * (1000 - beat.blocks_done), rel=0.05)


def test_a_worker_that_is_lost_takes_its_unit_off_the_heartbeat():
    counted = new_tally()
    counted.count(Event("worker-started", "w1", "n1"))
    counted.count(Event("worker-started", "w2", "n2"))
    for name, node in (("w1", "n1"), ("w2", "n2")):
        counted.count(Event("unit-started", name, node, f"unit of {name}", 1))
    counted.count(Event("worker-lost", "w1", "n1", reason="a crash"))
    counted.count(Event("unit-retried", "w1", "n1", "unit of w1", 1, 2.0, "a crash"))
    beat = counted.beat("running")
    assert (beat.workers, beat.in_flight, beat.workers_lost, beat.blocks_retried) == (1, 1, 1, 1)
    assert [(u.unit, u.host) for u in beat.units] == [("unit of w2", "")]
    assert {n.node: (n.workers, n.in_flight) for n in beat.nodes} == {"n1": (0, 0), "n2": (1, 1)}
    counted.count(Event("unit-ended", "w2", "n2", unit(2).id, 1, 2.0))
    counted.book(Outcome(unit(2), {"samples": 64, "host": "host-2"}))
    assert {n.node: (n.host, n.blocks) for n in counted.beat("running").nodes}["n2"] == ("host-2", 1)


def test_a_heartbeat_names_the_longest_units_alone(monkeypatch):
    monkeypatch.setattr(tally, "MOST_UNITS", 2)
    counted = new_tally()
    for k in range(5):
        counted.count(Event("unit-started", f"w{k}", "n", f"u{k}", 1))
    beat = counted.beat("running")
    assert [u.unit for u in beat.units] == ["u0", "u1"]
    assert beat.in_flight == 5


def test_damaged_blocks_are_not_counted_as_done():
    counted = new_tally()
    counted.book(Outcome(unit(), {"damaged": [0]}))
    assert counted.beat("running").blocks_done == 0


def test_a_second_thread_writes_while_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    execute, seen = worker.execute, []

    def watched(*args):
        time.sleep(0.1)
        seen.append(beat_of(tmp_path))
        return execute(*args)

    monkeypatch.setattr("limitbench.sweep.serial.execute", watched)
    run(STUDY, SMALL, samples=192, out=tmp_path)
    assert [beat.state for beat in seen] == ["running"] * 4
    assert len({beat.beat for beat in seen}) == 4
    assert {beat.in_flight for beat in seen} == {1}
    assert seen[2].seconds_left > 0
