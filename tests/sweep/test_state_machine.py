"""Nothing is lost and nothing doubled: a state machine over runs, crashes, growth, damage and late workers.

Every example is a history of one store in memory. After each step the store must prove its markers and must not hold a
wrong number; at the end one undisturbed run must make it, byte for byte, the store that is made in one go.
"""

import contextlib
import dataclasses
import errno
import functools
import json
import os
import threading
import time
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from limitbench.errors import InputError, StoreError
from limitbench.studies.base import Preset
from limitbench.sweep import layout, results, store, worker
from limitbench.sweep import run as run_module
from limitbench.sweep import status as status_module
from limitbench.sweep.blocks import SampleUnit, ScoreUnit, block_id, score_id
from limitbench.sweep.chunks import Chunks
from limitbench.sweep.grid import Grid
from limitbench.sweep.lock import FileLock
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.run import run
from limitbench.sweep.status import status
from limitbench.testing.crashing import Crash, CrashingStorage, Fuse
from limitbench.testing.memory import MemoryStorage
from limitbench.testing.toy import STUDY, ToyNetwork

BLOCK = 32
#: Histories, the same ones every time.
EXAMPLES = 200
TINY = dataclasses.replace(
    STUDY,
    theories=STUDY.theories[:1],
    observables=("walk",),
    block_samples={"exact": BLOCK},
    presets={"quick": Preset({"width": (8,), "depth": (2,)}, samples=BLOCK)},
)
ROOT = "toy.zarr/zarr.json"
NO_RESULTS = xr.DataTree()
UNITS = ("toy.zarr/samples/walk/c/", "toy.zarr/laws/walk/c/", "toy.zarr/laws/point_mass/c/")
UNITS += tuple(f"toy.zarr/scores/{name}/c/" for name in (*store.SCORES, "verdict"))
#: What a crash or a full disk may wait for.
PLACES = {
    "any": lambda name: True,
    "units": lambda name: name.startswith((*UNITS, "toy.run/")),
    "samples": lambda name: name.startswith(("toy.zarr/samples/walk/c/", "toy.run/")),
    "end": lambda name: name.startswith(("toy.zarr/run/", "toy.zarr/claims/")) or name == ROOT,
}
crashes = st.one_of(
    st.tuples(st.just("any"), st.integers(0, 99), st.booleans()),
    st.tuples(st.just("units"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("samples"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 24), st.booleans()),
)


class World:
    """What the patched functions look at."""

    storage: CrashingStorage
    failing: frozenset[int] = frozenset()


world = World()


@functools.cache
def _metadata(spec, created, make):
    return make(store.parse_spec(spec, "here"), created)


class NoJournal(nullcontext):
    """Nothing written by a thread of its own: histories must be the same whenever they are replayed."""

    def __init__(self, *_, **__):
        super().__init__(self)

    def booking(self, handle):
        return handle

    def __call__(self, event):
        pass


@pytest.fixture(autouse=True)
def _world(monkeypatch):
    """Runs go to `world.storage`; metadata, which depend on the spec alone, are made once."""
    made, drawn = store.metadata, worker._draw

    def draw(job, unit, chunks):
        if unit.number in world.failing:
            raise ArithmeticError("this block fails today")
        return drawn(job, unit, chunks)

    monkeypatch.setattr(store, "metadata", lambda spec, _=None: dict(_metadata(spec.model_dump_json(), "once", made)))
    monkeypatch.setattr(run_module, "open_storage", lambda _: world.storage)
    monkeypatch.setattr(status_module, "open_storage", lambda _: world.storage)
    monkeypatch.setattr(run_module, "Journal", NoJournal)
    monkeypatch.setattr(run_module, "open_study", lambda _: NO_RESULTS)
    monkeypatch.setattr(worker, "_draw", draw)


@functools.cache
def column_in_one_go(width, depths, blocks):
    """Chunks of the one column of a store made in one go, by array and trailing numbers."""
    inner = MemoryStorage()
    before, world.storage, failing, world.failing = world.storage, CrashingStorage(inner), world.failing, frozenset()
    try:
        run(TINY, {"width": [width], "depth": list(depths)}, samples=blocks * BLOCK, out="memory")
    finally:
        world.storage, world.failing = before, failing
    return {_place(name)[::2]: data for name, data in inner.objects.items() if name.startswith(UNITS)}


def _place(chunk):
    """Array, position and trailing numbers of a chunk."""
    array, _, numbers = chunk.removeprefix("toy.zarr/").partition("/c/")
    found = tuple(map(int, numbers.split("/")))
    return array, found[:2], found[3:]


@functools.cache
def walk_of(width, depths):
    return ToyNetwork(depths[-1], width).sample(4 * BLOCK, seed=0, depths=depths)["walk"].T


_seen: set[int] = set()
_rates: Counter[str] = Counter()


def once(check):
    """A check that is left out where it passed in an equal state, which gives equal results."""

    @functools.wraps(check)
    def checked(machine):
        state = hash((check.__name__, machine.content(), frozenset(machine.damaged)))
        if state not in _seen:
            check(machine)
            _seen.add(state)

    return checked


class Store(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.inner, self.fuse = MemoryStorage(), Fuse()
        self.storage = world.storage = CrashingStorage(self.inner, self.fuse)
        self.paths = Paths(self.storage, "toy")
        world.failing = frozenset()
        self.late, self.damaged, self.torn = [], set(), False

    @property
    def objects(self):
        return self.inner.objects

    def spec(self):
        return store.read_root(self.paths)[0]

    def content(self):
        """The store but for times, hosts and the like."""
        volatile = ("seconds", "finished", "attempt", "pid", "host")
        found = []
        for name, data in self.objects.items():
            if name.startswith("toy.run/"):
                with contextlib.suppress(ValueError):
                    data = json.dumps({k: v for k, v in json.loads(data).items() if k not in volatile}).encode()
            found.append((name, data))
        return frozenset(found)

    def expected(self, spec):
        """Name and content of every chunk that a unit of `spec` writes."""
        for position, column in spec.axis_grid().columns():
            blocks = spec.samples[column.slug] // BLOCK
            made = column_in_one_go(dict(column.point)["width"], column.depths, blocks)
            for (array, trailing), data in made.items():
                yield f"toy.zarr/{store.chunk_path(array, position, *trailing)}", data

    # What can happen

    @rule(
        widths=st.sampled_from([[4], [8], [4, 8]]),
        depths=st.sampled_from([[2], [2], [2], [4], [2, 4]]),
        blocks=st.sampled_from([1, 1, 2]),
        failing=st.sampled_from([(), (), (0,), (1,)]),
        crash=st.one_of(crashes, crashes, crashes, crashes, st.none()),
        retry=st.sampled_from([False, False, False, True]),
    )
    def drive(self, widths, depths, blocks, failing, crash, retry):
        world.failing = frozenset(failing)
        if crash is not None:
            where, after, full = crash
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else None
            self.fuse.blow(after, error, PLACES[where])
        before = self.spec() if ROOT in self.objects else None
        asked = {} if retry else {"width": widths, "depth": depths}
        samples = None if retry else blocks * BLOCK
        try:
            run(TINY, asked, samples=samples, out="memory", retry_failed=retry)
            _rates["finished"] += 1
            self.torn = False
        except InputError as refused:
            if not retry or ROOT in self.objects:
                raise AssertionError("a run was refused") from refused
        except (Crash, StoreError) as stopped:
            assert self.fuse.blown
            if isinstance(stopped, StoreError) and "No space left on device" not in str(stopped):
                raise AssertionError("the reason is another one") from stopped
            _rates["crashed"] += 1
            # Other depths change what the coordinate of the depths holds: until the root says so, it may be either.
            others = before is not None and not set(depths) <= set(before.grid["depth"]) and not retry
            self.torn = (self.torn or others) and self.spec() == before
        finally:
            self.fuse.mend()
            world.failing = frozenset()

    @precondition(lambda self: ROOT in self.objects)
    @rule(column=st.integers(0, 3), number=st.integers(-1, 1))
    def give_to_a_worker_that_is_late(self, column, number):
        spec = self.spec()
        columns = list(spec.axis_grid().columns())
        position, column = columns[column % len(columns)]
        done = read_markers(self.paths, DONE)
        finished = [k for k in range(spec.samples[column.slug] // BLOCK) if block_id(column, k) in done]
        unit = SampleUnit(column, position, max(0, number), BLOCK, 1.0)
        if number < 0 and finished:
            sums = tuple(done[block_id(column, k)]["checksums"] for k in finished)
            unit = ScoreUnit(column, position, tuple(finished), sums, 1.0)
        if isinstance(unit, ScoreUnit) or unit.number * BLOCK < spec.samples[column.slug]:
            self.late.append((worker.Job(TINY, spec, self.paths), unit))

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 9), after=st.one_of(st.none(), st.integers(0, 15)))
    def late_worker(self, which, after):
        job, unit = self.late.pop(which % len(self.late))
        before = dict(self.objects)
        if after is not None:
            self.fuse.blow(after)
        with contextlib.suppress(Crash):
            self._execute(job, unit)
        self.fuse.mend()
        self._first_markers_stay(before, unit)

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 9), at=st.integers(0, 15))
    def two_workers_at_once(self, which, at):
        job, unit = self.late.pop(which % len(self.late))
        before = dict(self.objects)
        slow = Fuse()
        slow.hold(at)
        paths = Paths(CrashingStorage(self.inner, slow), "toy")
        thread = threading.Thread(target=self._execute, args=(dataclasses.replace(job, paths=paths), unit))
        thread.start()
        while thread.is_alive() and not slow.reached.wait(0.001):
            pass
        self._execute(job, unit)
        slow.release()
        thread.join()
        self._first_markers_stay(before, unit)

    def _execute(self, job, unit):
        """A unit on a worker; it must not write where the store was laid out anew since."""
        try:
            worker.execute(job, unit)
        except RuntimeError:
            assert self.spec() != job.spec or isinstance(unit, ScoreUnit)

    def _first_markers_stay(self, before, unit):
        name = f"toy.run/done/{unit.id}.json"
        if isinstance(unit, SampleUnit) and _marker(before.get(name)).get("depths") == list(unit.column.depths):
            assert self.objects[name] == before[name], "a marker was replaced by another one of the same numbers"

    @precondition(lambda self: ROOT in self.objects)
    @rule()
    def second_driver(self):
        before = dict(self.objects)
        with self.storage.exclusive("toy"), pytest.raises(InputError, match="no other run of toy"):
            run(TINY, {"width": [4, 8]}, samples=2 * BLOCK, out="memory")
        assert self.objects == before

    @precondition(lambda self: any(name.startswith(UNITS) for name in self.objects))
    @rule(which=st.integers(0, 200), how=st.sampled_from(["cut", "remove", "turn"]))
    def damage(self, which, how):
        chunks = sorted(name for name in self.objects if name.startswith(UNITS))
        if chunks:
            name = chunks[which % len(chunks)]
            _, position, _ = _place(name)
            column = dict(self.spec().axis_grid().columns())[position]
            if how == "turn" and (
                not name.startswith(UNITS[0]) or f"toy.run/done/{score_id(column)}.json" in self.objects
            ):
                return  # a byte that turned in a column that is scored shows when it is read, by its check sum
            data = self.objects[name]
            if how == "remove":
                del self.objects[name]
            else:
                self.objects[name] = data[:-3] if how == "cut" else bytes([*data[:-9], data[-9] ^ 1, *data[-8:]])
            self.damaged.add(name)

    @precondition(lambda self: any(name.startswith("toy.run/done/") for name in self.objects))
    @rule(which=st.integers(0, 20), content=st.sampled_from([b"", b"{}", b"\x00"]))
    def damage_a_marker(self, which, content):
        markers = sorted(name for name in self.objects if name.startswith("toy.run/done/"))
        if markers:
            self.objects[markers[which % len(markers)]] = content

    # What must hold after every step

    @invariant()
    def markers_prove_their_data(self):
        if ROOT not in self.objects:
            return
        spec = self.spec()
        places = {column.slug: (position, column) for position, column in spec.axis_grid().columns()}
        for name, marker in read_markers(self.paths, DONE).items():
            position, column = places[name.rpartition(".")[0]]
            assert marker["depths"] == list(column.depths), f"{name} stands for chunks of another layout"
            trailing = (marker["number"],) if marker["kind"] == "samples" else (0, 0)
            for array, size in marker["sizes"].items():
                chunk = f"toy.zarr/{store.chunk_path(array, position, *trailing)}"
                key = array.removeprefix("samples/") if marker["kind"] == "samples" else array
                if chunk not in self.damaged:
                    assert len(self.objects.get(chunk, b"")) == size, f"{name} is there, but {chunk} is not"
                    assert _checksum(self, chunk, position, trailing, self.objects[chunk]) == marker["checksums"][key]

    @invariant()
    def samples_are_right(self):
        if ROOT not in self.objects:
            return
        places = dict(self.spec().axis_grid().columns())
        for name, data in self.objects.items():
            if name.startswith(UNITS[0]):
                array, position, trailing = _place(name)
                column = places[position]
                made = column_in_one_go(dict(column.point)["width"], column.depths, trailing[0] + 1)
                if data == made[array, trailing]:
                    self.damaged.discard(name)
                assert name in self.damaged or data == made[array, trailing], f"{name} holds other numbers"

    @invariant()
    @once
    def status_says_what_is_done(self):
        if ROOT not in self.objects or not any(name.startswith("toy.run/") for name in self.objects):
            with pytest.raises(InputError, match=r"result store"):
                status("memory")
            return
        (state,) = status("memory")
        spec = self.spec()
        valid = layout.valid_markers(self.paths, spec, spec)
        assert state.samples == sum(marker.get("samples", 0) for marker in valid.values())
        assert state.samples_total == sum(spec.samples.values())
        assert state.blocks_done == len(valid) <= state.blocks_total

    @rule()
    @once
    def read(self):
        """Readers see right numbers or none, whenever they come."""
        if ROOT not in self.objects:
            with pytest.raises(InputError, match="result store"):
                results.open_study(self.paths)
            return
        if self.damaged & self.objects.keys():
            return  # a chunk that cannot be decoded is an error when it is read
        try:
            tree = results.open_study(self.paths)
        except InputError as refused:
            if not self.torn or "another run into it makes anew" not in str(refused):
                raise AssertionError("the store cannot be read") from refused
            return
        walk, count = tree["samples"]["walk"].load(), tree["run"]["n_samples"].load()
        depths = tuple(int(depth) for depth in walk["depth"])
        for width in (int(width) for width in walk["width"]):
            found = walk.sel(width=width, fault="none").to_numpy()
            wanted = walk_of(width, depths)[:, : found.shape[1]]
            assert np.isnan(found[found != wanted]).all(), "a sample is not that of its network"
            if not self.damaged:
                present = count.sel(width=width, fault="none").to_numpy()
                assert (np.isfinite(found).sum(1) >= present).all()
        assert all("" not in claims["claim"].to_numpy() for name, claims in tree.children.items() if name == "claims")
        tree["scores"].load()

    def teardown(self):
        self.read()
        self.finish()
        _rates["histories"] += 1

    @once
    def finish(self):
        """One undisturbed run completes the store; it draws only what was missing."""
        kept, asked = set(), {"width": [4]}
        if ROOT in self.objects:
            spec = self.spec()
            asked = spec.grid
            for name in layout.valid_markers(self.paths, spec, spec):
                if not name.endswith(".scores"):
                    slug, number = name.split(".b")
                    position = next(p for p, column in spec.axis_grid().columns() if column.slug == slug)
                    kept.add(f"toy.zarr/{store.chunk_path('samples/walk', position, int(number))}")
        self.fuse.written.clear()
        run(TINY, asked, samples=BLOCK, out="memory")
        tree = results.open_study(self.paths)
        spec = self.spec()
        written = Counter(name for name in self.fuse.written if name.startswith(UNITS))
        assert set(written.values()) <= {1}, "a unit was done twice"
        assert not kept & written.keys() - self.damaged, "a finished block was drawn again"
        found = {name: data for name, data in self.objects.items() if name.startswith(UNITS)}
        wanted = dict(self.expected(spec))
        assert found.keys() == wanted.keys()
        assert [name for name in found if found[name] != wanted[name]] == []
        assert set(tree["run"]["status"].to_numpy().ravel()) == {"done"}
        assert (tree["run"]["n_samples"].to_numpy() == tree["run"]["n_requested"].to_numpy()).all()
        assert tree["claims"]["claim"].to_numpy().tolist() == ["mean"]
        assert not read_markers(self.paths, FAILED)
        held = json.loads(self.objects[ROOT])["consolidated_metadata"]["metadata"]
        shapes = {name: json.loads(self.objects[f"toy.zarr/{name}/zarr.json"]).get("shape") for name in held}
        assert shapes == {name: found.get("shape") for name, found in held.items()}
        assert not self.inner.drivers


def _marker(data):
    try:
        return dict(json.loads(data or b"{}"))
    except ValueError:
        return {}


_sums: dict[tuple[str, bytes, str], str] = {}


def _checksum(machine, chunk, position, trailing, data):
    """Checksum of the numbers in a chunk, which is decoded once."""
    array = chunk.removeprefix("toy.zarr/").partition("/c/")[0]
    key = (array, data, store.layout_hash(machine.spec()))
    if key not in _sums:
        values = store.open_root(machine.paths, consolidated=True)[array]
        block = slice(trailing[0] * BLOCK, (trailing[0] + 1) * BLOCK)
        place = (*position, slice(None), block) if len(trailing) == 1 else (*position, ...)
        _sums[key] = worker.checksum(np.asarray(values[place]))
    return _sums[key]


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_doubled_in_any_history(capsys):
    """`LIMITBENCH_EXAMPLES=2000` asks for so many random histories instead of the same ones every time."""
    examples = int(os.environ.get("LIMITBENCH_EXAMPLES", "0"))
    began = time.process_time()
    run_state_machine_as_test(
        Store,
        settings=settings(
            max_examples=examples or EXAMPLES,
            stateful_step_count=8,
            deadline=None,
            derandomize=not examples,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f" {dict(_rates)}, {len(_seen)} states, {time.process_time() - began:.0f} s CPU ", end="")


# What the machine must notice


def _marker_first(monkeypatch):
    write, mark, waiting = Chunks.write, worker.mark_done, []

    def later(chunks, arrays, position, block=None):
        before, objects = dict(world.storage.inner.objects), world.storage.inner.objects
        sizes = write(Chunks(Paths(world.storage.inner, "toy"), chunks._layout), arrays, position, block)
        objects.clear()
        objects.update(before)
        waiting.append(lambda: write(chunks, arrays, position, block))
        return sizes

    def now(*arguments):
        mark(*arguments)
        waiting.pop()()

    monkeypatch.setattr(Chunks, "write", later)
    monkeypatch.setattr(worker, "mark_done", now)


def _growth_that_moves(monkeypatch):
    def extended(grid, other):
        merged = (tuple(sorted({*a, *b})) for a, b in zip(grid.values, other.values, strict=True))
        return Grid(grid.names, tuple(merged))

    monkeypatch.setattr(Grid, "extended", extended)


def _no_size_check(monkeypatch):
    class Anything:
        __hash__ = None

        def __eq__(self, other):
            return True

    monkeypatch.setattr(MemoryStorage, "sizes", lambda *_: lambda name: Anything())


def _create_that_replaces(monkeypatch):
    monkeypatch.setattr(MemoryStorage, "create", lambda storage, name, data: storage.write(name, data) is None)


def _no_lock(monkeypatch):
    monkeypatch.setattr(MemoryStorage, "exclusive", lambda *_: nullcontext(FileLock()))


def _scores_that_keep_their_marker(monkeypatch):
    monkeypatch.setattr(worker, "_withdraw", lambda *_: None)


def _metadata_that_stay_large(monkeypatch):
    monkeypatch.setattr(layout, "mend_metadata", lambda *_: None)


def _depths_that_keep_their_chunks(monkeypatch):
    remove = MemoryStorage.remove
    monkeypatch.setattr(MemoryStorage, "remove", lambda storage, name: "/c/" in name or remove(storage, name))


def _drive(crash=None, **options):
    plain = {"widths": [4], "depths": [2], "blocks": 1, "failing": (), "retry": False}
    return lambda machine: machine.drive(crash=crash, **{**plain, **options})


def _step(name, **options):
    return lambda machine: getattr(machine, name)(**options)


@pytest.mark.parametrize(
    ("broken", "history"),
    [
        (_marker_first, [_drive(("samples", 1, False))]),
        (_growth_that_moves, [_drive(widths=[8]), _drive(("units", 0, False), widths=[4, 8])]),
        (_no_size_check, [_drive(), _step("damage", which=13, how="remove")]),
        (
            _create_that_replaces,
            [
                _drive(),
                _step("give_to_a_worker_that_is_late", column=0, number=0),
                _step("late_worker", which=0, after=None),
            ],
        ),
        (_no_lock, [_drive(), _step("second_driver")]),
        (_scores_that_keep_their_marker, [_drive(), _drive(("units", 7, False), blocks=2)]),
        (_metadata_that_stay_large, [_drive(), _drive(("any", 75, False), depths=[4])]),
        (_depths_that_keep_their_chunks, [_drive(), _drive(("units", 99, False), depths=[4], failing=(0,))]),
    ],
)
def test_a_broken_rule_is_noticed(monkeypatch, broken, history):
    def live():
        machine = Store()
        for step in history:
            step(machine)
            machine.markers_prove_their_data()
            machine.samples_are_right()
            machine.status_says_what_is_done()
        machine.teardown()

    _seen.clear()
    live()
    _seen.clear()
    broken(monkeypatch)
    with pytest.raises((AssertionError, InputError, pytest.fail.Exception)):
        live()
