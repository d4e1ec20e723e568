"""The contract of storages: inherit `StorageContract`, give a fixture `storage`, and pytest does the rest.

class TestMyStorage(StorageContract):
    @pytest.fixture
    def storage(self):
        return MyStorage(...)  # empty

    def names(self, storage):
        return [...]
"""

# ruff: noqa: D102 (the names of tests are statements)

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.sweep.storage import Storage

#: Names that must not lead anywhere but below the root.
ESCAPES = ("../outside", "a/../../outside", "/outside", "..", "a\0b")
#: Names with characters that URLs and shells treat specially.
AWKWARD = ("a b/c", "width=4,fault=none-c0b52e0c.b000000.json", "%2e%2e/x", "ü/ß", "a+b&c?d#e", "a//b/./c")


class StorageContract:
    """What everything that keeps results must do."""

    def names(self, storage: Storage) -> list[str]:
        """Names of all objects of the storage."""
        raise NotImplementedError

    def test_reads_what_was_written_and_names_what_is_missing(self, storage: Storage) -> None:
        storage.write("a/b", b"one")
        storage.write("a/b", b"two")
        assert storage.read("a/b") == b"two"
        assert storage.exists("a/b")
        for name in ("a", "a/c", "b", "a/b/c"):
            assert not storage.exists(name)
            with pytest.raises(FileNotFoundError):
                storage.read(name)

    def test_reads_and_writes_many_in_order(self, storage: Storage) -> None:
        objects = {f"many/{i:03}": str(i).encode() for i in range(40)}
        storage.write_many(objects)
        names = ["many/missing", *reversed(objects)]
        assert list(storage.read_many(names)) == [(name, objects.get(name)) for name in names]

    @pytest.mark.parametrize("name", ESCAPES)
    def test_refuses_names_that_lead_out_of_the_root(self, storage: Storage, name: str) -> None:
        uses: list[Callable[[], object]] = [
            lambda: storage.read(name),
            lambda: storage.write(name, b""),
            lambda: storage.create(name, b""),
            lambda: storage.remove(name),
            lambda: storage.remove_all(name),
            lambda: list(storage.entries(name)),
            lambda: storage.zarr(name),
        ]
        for use in uses:
            with pytest.raises(InputError, match=r"^name in a store: "):
                use()

    @pytest.mark.parametrize("name", AWKWARD)
    def test_takes_names_as_they_are(self, storage: Storage, name: str) -> None:
        assert storage.create(name, b"x")
        assert storage.read(name) == b"x"
        assert storage.exists(name)
        assert self.names(storage) == [name.replace("//", "/").replace("/./", "/")]
        storage.remove(name)
        assert not storage.exists(name)

    def test_lists_what_lies_under_a_folder_with_sizes_and_times(self, storage: Storage) -> None:
        before = datetime.now(UTC).timestamp()
        assert storage.folders() == []
        assert list(storage.entries("a")) == []
        for name, size in {"a/b/c": 3, "a/d": 5, "ab/e": 7, "f": 9}.items():
            storage.write(name, bytes(size))
        assert storage.folders() == ["a", "ab"]
        entries = {entry.name: entry for entry in storage.entries("a")}
        assert {name: entry.size for name, entry in entries.items()} == {"a/b/c": 3, "a/d": 5}
        assert all(before - 5 < entry.modified.timestamp() < before + 60 for entry in entries.values())
        size_of = storage.sizes("a")
        assert [size_of(name) for name in ("a/b/c", "a/d", "a/none", "a/../../x")] == [3, 5, None, None]

    def test_removes_one_object_or_all_of_a_folder(self, storage: Storage) -> None:
        for name in ("a/b/c", "a/d", "ab/e"):
            storage.write(name, b"x")
        storage.remove("a/d")
        storage.remove("a/d")
        assert [entry.name for entry in storage.entries("a")] == ["a/b/c"]
        storage.remove_all("a")
        storage.remove_all("a")
        assert storage.folders() == ["ab"]
        assert list(storage.entries("a")) == []

    def test_of_racing_creators_exactly_one_wins_and_its_content_stays(self, storage: Storage) -> None:
        for turn in range(5):
            barrier = threading.Barrier(8)

            def create(writer: int, name: str = f"race/{turn}", barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return storage.create(name, b"%d" % writer)

            with ThreadPoolExecutor(8) as pool:
                won = list(pool.map(create, range(8)))
            assert won.count(True) == 1
            assert storage.read(f"race/{turn}") == b"%d" % won.index(True)
        assert len(list(storage.entries("race"))) == 5

    def test_a_reader_sees_an_object_whole_or_not_at_all(self, storage: Storage) -> None:
        contents = {bytes([letter]) * 200_000 for letter in b"ab"}
        seen: set[bytes | None] = set()
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                seen.update(data for _, data in storage.read_many(["whole"]))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            for _ in range(10):
                for content in contents:
                    storage.write("whole", content)
        finally:
            done.set()
            reader.join()
        assert seen <= contents | {None}
        assert seen & contents

    def test_zarr_arrays_come_back_and_are_plain_objects(self, storage: Storage) -> None:
        import zarr

        values = np.arange(12.0).reshape(3, 4)
        root = zarr.create_group(storage.zarr("some.zarr"))
        root.create_group("gone").create_array("x", data=values)
        root.create_group("gone", overwrite=True)
        root.create_array("x", data=values, chunks=(1, 4), fill_value=np.nan)
        found = zarr.open_group(pickle.loads(pickle.dumps(storage.zarr("some.zarr", read_only=True))), mode="r")
        np.testing.assert_array_equal(found["x"][...], values)  # type: ignore[index]
        assert sorted(found.keys()) == ["gone", "x"]
        names = {entry.name for entry in storage.entries("some.zarr")}
        assert {"some.zarr/zarr.json", "some.zarr/x/c/2/0"} <= names
        assert not [name for name in names if "gone/x" in name]
        with pytest.raises(ValueError, match="read-only"):
            found.create_group("more")

    def test_a_pickled_storage_is_the_same_storage(self, storage: Storage) -> None:
        storage.write("a", b"x")
        again = pickle.loads(pickle.dumps(storage))
        assert again == storage
        assert hash(again) == hash(storage)
        assert (again.root, again.read("a")) == (storage.root, b"x")

    def test_checking_that_it_is_writable_leaves_nothing_behind(self, storage: Storage) -> None:
        storage.check_writable()
        storage.write("a/b", b"x")
        storage.check_writable()
        storage.remove_all("a")
        assert storage.folders() == []
        assert self.names(storage) == []

    def test_one_driver_at_a_time_may_hold_a_study(self, storage: Storage) -> None:
        with storage.exclusive("toy") as held, storage.exclusive("other"):
            held.check(ask=True)
            with pytest.raises(InputError, match="no other run of toy is going on"), storage.exclusive("toy"):
                pass
            held.check(ask=True)
        with storage.exclusive("toy") as held:
            held.check(ask=True)
        assert self.names(storage) == []

    def test_errors_of_others_are_not_its_failures(self, storage: Storage) -> None:
        for error in (ValueError("x"), KeyError("x"), FileNotFoundError("x"), ZeroDivisionError()):
            assert storage.failure(error) is None
            with pytest.raises(type(error)), storage.guarded():
                raise error
