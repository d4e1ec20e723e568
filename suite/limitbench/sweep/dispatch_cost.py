"""What the dispatcher costs the driver, measured on real Ray with units that do nothing.

Whatever the driver's process spends on a unit is one of three: the call that submits it, the call that asks for news,
and the rest, which Ray's own threads spend on sending the unit and on fetching and decoding its receipt.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limitbench.sweep.blocks import SampleUnit, Unit, column_blocks
from limitbench.sweep.dispatch import Dispatcher
from limitbench.sweep.executors import Outcome
from limitbench.sweep.grid import resolve_grid
from limitbench.sweep.paths import Paths
from limitbench.sweep.pool import Answer, News, Share
from limitbench.sweep.ray_pool import RayPool
from limitbench.sweep.ray_session import ray_session
from limitbench.sweep.ray_worker import SweepWorker
from limitbench.sweep.spec import meaning_of, plan
from limitbench.sweep.storage import open_storage
from limitbench.sweep.worker import Job


@dataclass(frozen=True)
class DispatchCost:
    """Seconds of the driver, medians over rounds.

    Attributes:
        start: CPU of its process to start one worker.
        submit: CPU of its main thread in one call that submits a unit.
        wait: CPU of its main thread in one call that asks for news.
        get: CPU of its process for one unit beyond both and beyond the dispatcher itself: Ray's own threads.
        books: CPU of its main thread in the dispatcher itself for one unit; the run's handler is not in it.
        unit: CPU of its process for one unit, all in all.
        wall: wall clock for one unit, with all workers at work at all times; bounded by the workers where they share
            the driver's cores.
    """

    start: float
    submit: float
    wait: float
    get: float
    books: float
    unit: float
    wall: float


class Idler(SweepWorker):
    """A worker whose units take no time and write nothing; its receipts are as large as those of real blocks."""

    def ready(self) -> str:
        """A node's id."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def execute(self, share: Share) -> list[Answer]:
        """Nothing, but for a receipt of the usual size, and word of a second spent on each unit: none shares a call."""
        return [Answer({"block": unit.id, "attempt": n, "padding": "." * 1000}, seconds=1.0) for unit, n in share]


class _TimedPool(RayPool):
    """Adds up the CPU time that the calling thread spends in each kind of call."""

    def __init__(self, job: Job, label: str) -> None:
        super().__init__(job, label, worker=Idler)
        self.spent, self.calls = {"submit": 0.0, "wait": 0.0}, {"submit": 0, "wait": 0}

    def submit(self, worker: int, share: Share) -> None:
        """As in `RayPool`."""
        before = time.thread_time()
        super().submit(worker, share)
        self._add("submit", before)

    def wait(self, seconds: float) -> Sequence[News]:
        """As in `RayPool`."""
        before = time.thread_time()
        try:
            return super().wait(seconds)
        finally:
            self._add("wait", before)

    def _add(self, call: str, before: float) -> None:
        self.spent[call] += time.thread_time() - before
        self.calls[call] += 1


def measure_dispatch(units: int = 2000, workers: int = 2, rounds: int = 5) -> DispatchCost:
    """The cost of dispatching `units` units to `workers` actors, on the Ray that is connected or one of this machine.

    Takes about a millisecond a unit on a quiet machine, and ten seconds where Ray has yet to start.
    """
    job, some = idle_job(units)
    with ray_session(workers=workers):
        for repetitions in (1, rounds):  # the first pool warms up what both share
            before = time.process_time()
            pool = _TimedPool(job, f"limitbench-cost-{time.time_ns()}")
            dispatcher = Dispatcher(pool, _ignore, workers=workers)
            try:
                dispatcher.add(some[:workers])
                dispatcher.work()
                start = (time.process_time() - before) / workers
                found = [_round(pool, dispatcher, some) for _ in range(repetitions)]
            finally:
                dispatcher.close()
                pool.close()
    columns = [sorted(column)[len(found) // 2] for column in zip(*found, strict=True)]
    return DispatchCost(start, *columns)


def idle_job(units: int) -> tuple[Job, list[SampleUnit]]:
    """A job that no worker does, and so many units of it."""
    from limitbench import studies

    study = studies.get("deep-linear")
    preset = study.presets["quick"]
    grid = resolve_grid(study, preset.grid)
    meaning = meaning_of(study, grid, "exact", 0, "cpu")
    spec, _ = plan(meaning, grid, preset, None, 0.05, None)
    size, columns = meaning.block_samples, list(grid.columns())
    blocks = (column_blocks(column, place, -(-units // len(columns)) * size, size, 1e-3) for place, column in columns)
    job = Job(study.name, spec, Paths(open_storage(Path("nowhere")), study.name))
    return job, list(itertools.chain.from_iterable(blocks))[:units]


def _round(pool: _TimedPool, dispatcher: Dispatcher, some: Sequence[Unit]) -> tuple[float, ...]:
    for call in pool.spent:
        pool.spent[call], pool.calls[call] = 0.0, 0
    wall, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
    dispatcher.add(some)
    dispatcher.work()
    wall, process = time.perf_counter() - wall, time.process_time() - process
    thread, count = time.thread_time() - thread, len(some)
    books = thread - sum(pool.spent.values())
    per_call = (pool.spent[call] / max(1, pool.calls[call]) for call in ("submit", "wait"))
    return (*per_call, (process - thread) / count, books / count, process / count, wall / count)


def _ignore(outcome: Outcome) -> tuple[Unit, ...]:
    return ()
