"""The Ray executor: a bounded dispatcher over actors, one unit in flight on each.

Attempts are counted by unit, not by actor. A unit that raises or runs out of time has three attempts; one whose worker
dies has six, with growing pauses, because from outside a crash and a kill (out of memory, an operator) look alike and
the unit was its worker's only occupant; loss of a node counts for nothing. Dead actors are replaced.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from limitbench.errors import InputError, Stopped
from limitbench.sweep.blocks import Unit, urgency
from limitbench.sweep.executors import Executor, Handler, Limits, Outcome, describe
from limitbench.sweep.ray_session import ray_session
from limitbench.sweep.worker import Job, Receipt, check_worker, execute

#: Pause before a unit whose worker died is tried again, doubled with each death.
FIRST_PAUSE_SECONDS = 0.25
#: Actors that may die before they are ready, in a row, before the run is given up.
MAX_FAILED_STARTS = 6
#: Threads of every numerical library in an actor.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class SweepWorker:
    """The actor: holds the job, does one unit at a time on one thread."""

    def __init__(self, job: Job) -> None:
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(1)
        threadpool_limits(1)  # a reused process may hold wider pools than its environment says
        check_worker(job)
        self._job = job

    def node(self) -> str:
        """Id of the node it runs on; answers once the actor is ready."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def execute(self, unit: Unit, attempt: int) -> Receipt:
        """Do one unit."""
        return execute(self._job, unit, attempt)


@dataclass
class _Slot:
    """One actor: starting (`node` empty), idle (`call` None) or busy with `task`."""

    actor: Any
    call: Any
    node: str = ""
    task: _Task | None = None
    since: float = field(default_factory=time.monotonic)


@dataclass
class _Task:
    unit: Unit
    failures: int = 0
    deaths: int = 0
    not_before: float = 0.0

    @property
    def attempts(self) -> int:
        return self.failures + self.deaths


class RayExecutor(Executor):
    """Units on Ray actors.

    Arguments:
        address: Ray cluster to join; a local Ray if left out.
        workers: number of actors; one per CPU (per GPU for `cuda`) of the cluster if left out.
        limits: when a unit is given up.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self._address, self._workers, self._limits = address, workers, limits
        self._stack = ExitStack()

    def __enter__(self) -> RayExecutor:
        self._stack.enter_context(ray_session(self._address, self._workers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self, device: str) -> None:
        """The cluster must have a GPU for `cuda`."""
        if device == "cuda" and not _available("GPU"):
            raise InputError("device", device, "a device that the cluster has (it has no GPU)")

    def run(self, job: Job, units: Iterable[Unit], handle: Handler) -> None:
        """Do all units; a unit that keeps failing is reported and the others go on.

        Raises:
            InputError: a worker refuses the device of the spec.
            RuntimeError: actors die before they are ready, over and over.
        """
        dispatch = _Dispatch(job, handle, self._workers, self._limits)
        try:
            dispatch.work(units)
        finally:
            dispatch.close()


class _Dispatch:
    """The state of one `RayExecutor.run`."""

    def __init__(self, job: Job, handle: Handler, workers: int | None, limits: Limits) -> None:
        import ray

        self._gpu = job.spec.meaning.device == "cuda"
        self._actors = workers or max(1, _available("GPU" if self._gpu else "CPU"))
        self._limits, self._handle = limits, handle
        self._job = ray.put(job)
        self._order = itertools.count()
        self._queue: list[tuple[tuple[bool, float], int, _Task]] = []
        self._paused: list[tuple[float, int, _Task]] = []
        self._slots: list[_Slot] = []
        self._failed_starts = 0

    def work(self, units: Iterable[Unit]) -> None:
        """Dispatch until every unit has ended."""
        import ray

        for unit in units:
            self._push(_Task(unit))
        while self._queue or self._paused or self._busy():
            self._resume_paused()
            self._fill()
            calls = [slot.call for slot in self._slots if slot.call is not None]
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0.0) if calls else ([], [])
            if not ready and calls:
                ready, _ = ray.wait(calls, num_returns=1, timeout=self._patience())
            elif not calls:
                time.sleep(self._patience())
            ended = set(ready)
            for slot in [slot for slot in self._slots if slot.call in ended]:
                self._collect(slot)
            self._stop_overdue()

    def close(self) -> None:
        """End all actors."""
        import ray

        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots.clear()

    def _busy(self) -> int:
        return sum(slot.task is not None for slot in self._slots)

    def _push(self, task: _Task) -> None:
        heapq.heappush(self._queue, (urgency(task.unit), next(self._order), task))

    def _resume_paused(self) -> None:
        while self._paused and self._paused[0][0] <= time.monotonic():
            self._push(heapq.heappop(self._paused)[-1])

    def _patience(self) -> float:
        """Seconds until something may have to be done that no call announces."""
        pause = self._paused[0][0] - time.monotonic() if self._paused else 1.0
        overdue = min(
            (slot.since + self._limits.unit_seconds - time.monotonic() for slot in self._slots if slot.task),
            default=1.0,
        )
        return min(1.0, max(0.01, min(pause, overdue)))

    def _fill(self) -> None:
        for slot in self._slots:
            if slot.node and slot.task is None and self._queue:
                slot.task = heapq.heappop(self._queue)[-1]
                slot.since = time.monotonic()
                slot.call = slot.actor.execute.remote(slot.task.unit, slot.task.attempts + 1)
        starting = sum(not slot.node for slot in self._slots)
        outstanding = len(self._queue) + len(self._paused) + self._busy()
        while len(self._slots) < min(self._actors, outstanding) and starting < len(self._queue):
            self._slots.append(self._start())
            starting += 1

    def _start(self) -> _Slot:
        import ray

        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": 1 if self._gpu else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": THREADS},
        }
        worker: Any = ray.remote(SweepWorker)
        actor = worker.options(**options).remote(self._job)
        return _Slot(actor, actor.node.remote())

    def _collect(self, slot: _Slot) -> None:
        """Take the result of a call that ended, or find out how it failed."""
        import ray
        from ray.exceptions import RayActorError, RayError, RayTaskError

        call, slot.call = slot.call, None
        try:
            result = ray.get(call)
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if isinstance(cause, Stopped):
                raise cause from None
            self._failed(slot, describe(cause))
            return
        except RayError as error:  # the actor died, is unavailable, or was killed for memory
            self._slots.remove(slot)
            ray.kill(slot.actor)
            started = slot.node != ""
            if started:
                self._died(slot, error)
            elif isinstance(error, RayActorError) and not _node_lost(error, ""):
                self._not_started(error)
            return
        if slot.task is None:
            slot.node, self._failed_starts = str(result), 0
            return
        task, slot.task = slot.task, None
        self._end(Outcome(task.unit, result, attempts=task.attempts + 1))

    def _end(self, outcome: Outcome) -> None:
        for unit in self._handle(outcome):
            self._push(_Task(unit))

    def _failed(self, slot: _Slot, error: str) -> None:
        task, slot.task = slot.task, None
        if task is None:
            self._slots.remove(slot)
            return
        task.failures += 1
        if task.failures >= self._limits.attempts:
            self._end(Outcome(task.unit, None, error, task.attempts))
        else:
            self._push(task)

    def _died(self, slot: _Slot, error: Exception) -> None:
        task = slot.task
        if task is None:
            return
        if _node_lost(error, slot.node):
            self._push(task)
            return
        task.deaths += 1
        if task.deaths >= self._limits.deaths:
            text = "its worker process died every time (a crash, or killed for its memory)"
            self._end(Outcome(task.unit, None, text, task.attempts))
            return
        until = time.monotonic() + FIRST_PAUSE_SECONDS * 2 ** (task.deaths - 1)
        heapq.heappush(self._paused, (until, next(self._order), task))

    def _not_started(self, error: Exception) -> None:
        cause = getattr(error, "cause", None)
        text = " ".join(str(cause or error).split())
        self._failed_starts += 1
        if isinstance(cause, InputError):
            raise cause
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise RuntimeError(f"Ray workers die before they are ready: {text[-400:]}")

    def _stop_overdue(self) -> None:
        import ray

        now = time.monotonic()
        for slot in [s for s in self._slots if s.task is not None and now - s.since > self._limits.unit_seconds]:
            self._slots.remove(slot)
            ray.kill(slot.actor)
            self._failed(slot, f"TimeoutError: not finished within {self._limits.unit_seconds:g} s")


def _available(resource: str) -> int:
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get(resource, 0))


def _node_lost(error: Exception, node: str) -> bool:
    """True where the actor died with its node, by what Ray says of the error or of the node."""
    import ray

    text = str(error)
    if "node has died" in text or "node is dead" in text:
        return True
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return bool(node) and not any(n["NodeID"] == node and n["Alive"] for n in nodes)
