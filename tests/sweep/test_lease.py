"""The lease of an object store's driver: who may take it, when it is lost, and what its holder notices."""

import json
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from limitbench.errors import InputError, StoreError
from limitbench.sweep import lease, process
from limitbench.sweep.storage import open_storage

NAME = ".toy.lock"
FOREIGN = {"owner": "other", "host": "elsewhere", "pid": 77, "machine": "another boot", "process": "1", "renewals": 0}


@pytest.fixture
def storage(s3, monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(lease, "TTL_SECONDS", 1.5)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)
    return open_storage(f"{s3.url}/{tmp_path.name}")


def put(storage, record):
    storage.write(NAME, json.dumps(record).encode())


def test_the_holder_renews_and_says_who_it_is(storage):
    with storage.exclusive("toy"):
        first, version = storage.find(NAME)
        time.sleep(0.7)
        later, other = storage.find(NAME)
    assert version != other
    assert json.loads(later)["renewals"] >= json.loads(first)["renewals"] + 1
    assert json.loads(first)["pid"] == os.getpid()
    assert not storage.exists(NAME)


def test_a_lease_that_nobody_renews_is_taken_over_when_it_has_run_out(storage, caplog):
    put(storage, FOREIGN)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "limitbench"), storage.exclusive("toy") as held:
        assert 1.4 < time.monotonic() - began < 10
        held.check(ask=True)
    (note,) = [record.getMessage() for record in caplog.records]
    assert note.startswith("elsewhere, pid 77 may be driving toy in s3://")


def test_a_lease_that_is_renewed_is_refused_at_once(storage):
    end = threading.Event()

    def renew():
        for number in range(100):
            put(storage, FOREIGN | {"renewals": number})
            if end.wait(0.2):
                return

    other = threading.Thread(target=renew)
    other.start()
    began = time.monotonic()
    try:
        with pytest.raises(InputError, match=r"other run of toy is going on \(elsewhere, pid 77, renewed less than"):
            storage.exclusive("toy").__enter__()
        assert time.monotonic() - began < 1.4
    finally:
        end.set()
        other.join()


@pytest.mark.skipif(not process.machine(), reason="finds processes through /proc")
def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once(storage, monkeypatch):
    monkeypatch.setattr(lease, "TTL_SECONDS", 60.0)
    program = (
        "import os, sys; from limitbench.sweep.storage import open_storage; "
        "held = open_storage(sys.argv[1]).exclusive('toy'); held.__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, storage.root], check=False).returncode == 9
    assert storage.exists(NAME)
    began = time.monotonic()
    with storage.exclusive("toy"):
        assert time.monotonic() - began < 10


def test_a_process_of_another_machine_with_a_dead_number_is_not_taken_for_dead():
    dead = {"pid": 2**22 + 1, "process": "1"}
    assert lease._is_dead(dead | {"machine": process.machine()}) == bool(process.machine())
    assert not lease._is_dead(dead | {"machine": "another boot"})
    assert not lease._is_dead({})
    ours = {"machine": process.machine(), "pid": os.getpid(), "process": process.began(os.getpid())}
    assert not lease._is_dead(ours)


def test_who_lost_the_lease_finds_out_and_leaves_the_other_ones_alone(storage):
    with storage.exclusive("toy") as held:
        held.check()
        put(storage, FOREIGN)
        with pytest.raises(StoreError, match=r"^another run of toy in s3://.* took over .*\(elsewhere, pid 77\)"):
            held.check(ask=True)
        with pytest.raises(StoreError, match="took over"):
            held.check()
    assert json.loads(storage.read(NAME)) == FOREIGN


def test_the_renewing_thread_alone_notices_a_loss(storage):
    with storage.exclusive("toy") as held:
        put(storage, FOREIGN)
        time.sleep(0.7)
        with pytest.raises(StoreError, match="took over"):
            held.check()


def test_a_lease_survives_lost_answers_and_a_late_deletion(s3, storage):
    with storage.exclusive("toy") as held:
        s3.inject({"cut-after": 0.3, "busy-after": 0.3}, seed=5)
        for _ in range(5):
            held.check(ask=True)
        s3.inject({})
        storage.remove(NAME)
        held.check(ask=True)
        assert storage.exists(NAME)


def test_an_unreachable_store_is_no_loss_as_long_as_nobody_took_over(s3, storage, monkeypatch):
    monkeypatch.setattr("limitbench.sweep.object_storage.FIRST_PATIENCE", 0.2)
    with storage.exclusive("toy") as held:
        s3.inject({"busy": 1.0})
        time.sleep(2.0)
        s3.inject({})
        held.check()
        assert json.loads(storage.read(NAME))["pid"] == os.getpid()
