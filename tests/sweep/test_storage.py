"""Folders and object stores do the same, with every tenth request failing too; what goes wrong is said in one line."""

import itertools
import pickle
import re
import socket
import subprocess
import sys
import time

import pytest

from limitbench.cli import STOPPED, main
from limitbench.errors import InputError, StoreError
from limitbench.sweep import lease, object_storage
from limitbench.sweep.object_storage import ObjectStorage
from limitbench.sweep.storage import LocalStorage, open_storage
from limitbench.testing.faults import DENIED, every
from limitbench.testing.s3 import ACCESS_KEY, SECRET_KEY
from limitbench.testing.storage import StorageContract

_prefixes = (f"p{number}/q" for number in itertools.count())


class TestLocal(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path):
        return LocalStorage(tmp_path / "out")

    def names(self, storage):
        return [str(path.relative_to(storage.folder)) for path in storage.folder.rglob("*") if path.is_file()]


class TestObjectWithEveryTenthRequestFailing(StorageContract):
    @pytest.fixture
    def storage(self, s3, monkeypatch):
        monkeypatch.setattr(lease, "RENEW_SECONDS", 0.3)
        monkeypatch.setattr(lease, "LOOK_SECONDS", 0.1)
        storage = open_storage(f"{s3.url}/{next(_prefixes)} ü%20+")
        s3.inject(every(0.1), seed=1)
        return storage

    def names(self, storage):
        return [entry.name for entry in storage.entries("")]


def test_a_write_whose_answer_is_lost_counts_and_one_that_came_second_does_not(s3):
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    s3.inject({"cut-after": 0.25, "busy-after": 0.25}, seed=2)
    for number in range(4):
        name, ours = f"lost/{number}", b"ours%d" % number
        assert storage.create(name, ours)
        assert not storage.create(name, b"theirs")
        version = storage.find(name)[1]
        fresh = storage.put_if(name, b"ours again", version)
        assert fresh == storage.find(name)[1]
        assert storage.put_if(name, b"theirs", version) is None
        assert storage.read(name) == b"ours again"
    counts = s3.counts()
    assert counts["cut-after"] > 5
    assert counts["busy-after"] > 5


def test_a_listing_that_is_cut_goes_on_where_it_was(s3, monkeypatch):
    monkeypatch.setattr(object_storage, "PAGE", 100)
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    names = [f"many/{number:03}" for number in range(230)]
    storage.write_many(dict.fromkeys(names, b""))
    s3.inject({"cut-inside": 0.4}, seed=3)
    assert [entry.name for entry in storage.entries("many")] == names
    assert s3.counts()["cut-inside"] > 1
    s3.inject({})
    storage.remove_all("many")
    assert list(storage.entries("many")) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "ftp://host/x",
            "out: got 'ftp://host/x', expected a directory, or a URL that begins with s3://, gs://, az://",
        ),
        ("s3://", "expected a URL with a bucket, such as s3://BUCKET/PREFIX"),
        ("s3:///prefix", "expected a URL with a bucket"),
        ("s3://no bucket/x", "expected a URL with a bucket"),
        ("s3://bucket/a/../b", "expected a URL whose path has no"),
        ("s3://bucket/a//b", "expected a URL whose path has no"),
        (
            f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/x",
            "got 's3://...@bucket/x', expected a URL without credentials",
        ),
        (f"s3://bucket/x?X-Amz-Signature={SECRET_KEY}", "out: got 's3://bucket/x', expected a URL without credentials"),
    ],
)
def test_a_bad_url_is_one_line_without_its_credentials(url, message):
    with pytest.raises(InputError) as caught:
        open_storage(url)
    assert message in str(caught.value)
    assert ACCESS_KEY not in str(caught.value)
    assert SECRET_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "accepted"),
    [
        ("http://s3.example.com", "https://..., or AWS_ALLOW_HTTP=true"),
        ("http://127.0.0.1.example.com", "https://..., or AWS_ALLOW_HTTP=true"),
        ("s3.example.com", "got 's3.example.com', expected https://HOST"),
        ("http://[::1", "got 'http://[::1', expected https://HOST"),
        (f"https://{ACCESS_KEY}:{SECRET_KEY}@s3.example.com", "without credentials"),
    ],
)
def test_a_bad_endpoint_is_one_line_without_its_credentials(monkeypatch, endpoint, accepted):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InputError, match=r"^AWS_ENDPOINT_URL: got ") as caught:
        open_storage("s3://bucket/x")
    assert accepted in str(caught.value)
    assert SECRET_KEY not in str(caught.value)


def test_a_bucket_that_is_missing_or_denied_is_refused_without_naming_the_key(s3):
    with pytest.raises(InputError, match=r"^out: got 's3://no-such-bucket/x', .* \(no such bucket\)$"):
        open_storage("s3://no-such-bucket/x")
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    s3.inject({DENIED: 1.0})
    with pytest.raises(InputError, match=r"objects can be made and removed \(access denied: SignatureDoesNotMatch\)$"):
        storage.check_writable()
    with (
        pytest.raises(StoreError, match=r"\(access denied: SignatureDoesNotMatch\); finished") as caught,
        storage.guarded(),
    ):
        storage.read("x")
    assert ACCESS_KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("ignored", ["create", "update"])
def test_a_server_that_ignores_conditions_of_writes_is_refused(s3, monkeypatch, ignored):
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    honest = ObjectStorage.put_if

    def careless(self, name, data, version=None):
        if ignored == ("update" if version else "create"):
            self.write(name, data)
            return self.find(name)[1]
        return honest(self, name, data, version)

    monkeypatch.setattr(ObjectStorage, "put_if", careless)
    with pytest.raises(InputError, match=r"expected an object store that honours If-None-Match and If-Match"):
        storage.check_writable()
    assert [entry.name for entry in storage.entries("")] == []


def test_an_endpoint_that_does_not_answer_stops_every_command_within_seconds(s3, monkeypatch, capsys):
    monkeypatch.setattr(object_storage, "FIRST_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    for begin in (["run", "deep-linear", "--executor", "serial", "--out"], ["status"], ["report"]):
        began = time.monotonic()
        assert main([*begin, f"{s3.url}/x"]) == STOPPED
        assert time.monotonic() - began < 10
        said = capsys.readouterr().err
        assert re.fullmatch(r"stopped: s3://\S+/x is out of reach from \S+ \(no answer from 127.0.0.1:\d+\)\n", said)


def test_nothing_that_leaves_the_process_holds_a_credential(s3):
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    storage.write("a/b", b"x")
    things = [storage, storage.zarr("a"), storage.zarr("a", read_only=True)]
    texts = [repr(thing).encode() + str(thing).encode() + pickle.dumps(thing) for thing in things]
    for text in texts:
        assert ACCESS_KEY.encode() not in text
        assert SECRET_KEY.encode() not in text
    assert f"{s3.proxy_port}".encode() in texts[0]


def test_a_pickle_goes_where_the_driver_went_with_the_credentials_of_its_own_process(s3):
    storage = open_storage(f"{s3.url}/{next(_prefixes)}")
    storage.write("a", b"found")
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).read('a'))"
    elsewhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "own"}
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(storage), capture_output=True, env=elsewhere
    )
    assert done.stdout == b"b'found'\n", done.stderr


def test_without_obstore_one_line_says_what_to_install(s3, monkeypatch):
    storage = ObjectStorage(f"{s3.url}/x")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InputError, match=r"^out: got .*, expected obstore: pip install 'limitbench\[s3\]'$"):
        open_storage(f"{s3.url}/x")
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreError, match=r"cannot reach .* without obstore: pip install 'limitbench\[s3\]'$"):
        storage.read("x")
