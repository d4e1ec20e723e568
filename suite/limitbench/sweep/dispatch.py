"""The dispatcher: which unit goes to which worker next, and what becomes of one whose attempt ended badly.

It knows workers only through a `Pool`, which is Ray's actors in a run (`ray_pool`) and simulated ones with a clock of
their own in a simulation. Every step costs the same however many workers there are.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Iterable

from limitbench.errors import ClusterError
from limitbench.sweep.blocks import Unit
from limitbench.sweep.executors import Event, EventKind, Events, Handler, Limits, Outcome
from limitbench.sweep.pool import Answer, Done, Lost, News, Pool, Ready
from limitbench.sweep.waiting import Costs, Task, Waiting

#: Pause before a unit whose worker died is tried again, doubled with each death up to the longest.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 60.0
#: After Ray killed a worker for memory, others that it killed with that one may yet be heard of for so long.
SETTLE_SECONDS = 2.0
#: Workers that may die before they are ready, in a row and with none alive, before the run is given up.
MAX_FAILED_STARTS = 6
#: A worker that is not ready by then is given up and another one is asked for.
START_SECONDS = 600.0
#: Without any worker for so long, the run is given up: clusters that grow on demand take many minutes.
NO_WORKER_SECONDS = 1800.0
#: Longest wait for news, so that nodes that joined are seen.
WAIT_SECONDS = 1.0
#: A worker is given units that take so long together, and at most this part of its time limit and of all that waits
#: divided by the number of workers.
SHARE_SECONDS, SHARE_OF_LIMIT, SHARE_OF_WAITING = 0.5, 0.1, 0.25


class Dispatcher:
    """Does units on the workers of a pool, most urgent first, those that take no time to speak of many at a time.

    Attempts are counted by unit, not by worker. A unit that raises or runs out of time has `limits.attempts`; one whose
    worker dies has `limits.deaths`, with growing pauses, because from outside a crash and a kill (out of memory, an
    operator) look alike and the unit was its worker's only occupant. What befalls a worker with several units counts
    for none of them, and each is done alone from then on. Loss of a node is no fault of the unit and counts
    for nothing, until it happens again and again. Where a node runs low on memory, Ray kills several of its workers,
    guilty or not, so that units which met with that are tried again one at a time on each node: those that take little
    memory then finish. Workers that are gone are replaced.

    Arguments:
        pool: the workers.
        handle: called once per ended unit; returns units that can follow.
        limits: when a unit is given up.
        workers: number of workers; the pool's capacity, as it changes, if left out.
        events: told of everything that happens.
    """

    def __init__(
        self,
        pool: Pool,
        handle: Handler,
        limits: Limits = Limits(),  # noqa: B008
        workers: int | None = None,
        events: Events | None = None,
    ) -> None:
        self._pool, self._handle, self._limits, self._workers, self._events = pool, handle, limits, workers, events
        self._order = itertools.count()
        self._numbers = itertools.count()
        self._costs = Costs()
        self._queue, self._hungry = Waiting(self._costs), Waiting(self._costs)
        self._crowded: dict[str, float] = {}  # until when a node accepts none of those
        self._paused: list[tuple[float, int, Task]] = []
        self._starting: OrderedDict[int, float] = OrderedDict()  # since when
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._busy: OrderedDict[int, list[Task]] = OrderedDict()  # the one at work for longest comes first
        self._nodes: dict[int, str] = {}  # of idle and busy workers
        self._failed_starts, self._start_after, self._workerless = 0, 0.0, pool.now()

    @property
    def left(self) -> int:
        """Units that have not ended, those that a worker has counted once."""
        return len(self._queue) + len(self._hungry) + len(self._paused) + len(self._busy)

    def add(self, units: Iterable[Unit]) -> None:
        """Queue units."""
        self._queue.add(map(Task, units))

    def work(self) -> None:
        """Dispatch until every unit has ended.

        Raises:
            ClusterError: no worker starts.
            Stopped, InputError: as `Pool.wait`, and what `handle` raises.
        """
        while self.left:
            self._resume_paused()
            self._assign()
            self._grow()
            for news in self._pool.wait(self._patience()):
                self._take(news)
                self._assign()
            self._stop_overdue()

    def close(self) -> None:
        """End all workers."""
        for worker in [*self._starting, *self._idle, *self._busy]:
            if worker in self._nodes:
                self._tell("worker-stopped", worker)
            if worker in self._idle:
                self._pool.release(worker)
            else:
                self._pool.kill(worker)
        self._forget_workers()

    def move(self, pool: Pool) -> None:
        """Go on with another pool, the present one being lost with all its workers."""
        for worker in [*self._idle, *self._busy]:
            self._tell("worker-lost", worker, reason="Ray was lost")
        for task in itertools.chain.from_iterable(self._busy.values()):
            self._push(task)
        self._forget_workers()
        self._pool, self._workerless = pool, pool.now()

    def _forget_workers(self) -> None:
        for workers in (self._starting, self._idle, self._busy, self._nodes, self._crowded):
            workers.clear()

    def _tell(
        self, kind: EventKind, worker: int, task: Task | None = None, reason: str = "", seconds: float | None = None
    ) -> None:
        if self._events is None:
            return
        name, node = self._pool.name(worker), self._nodes.get(worker, "")
        if task is None:
            self._events(Event(kind, name, node, reason=reason))
        else:
            seconds = self._pool.now() - task.since if seconds is None else seconds
            self._events(Event(kind, name, node, task.unit.id, task.attempts + 1, seconds, reason))

    def _push(self, task: Task) -> None:
        (self._hungry if task.hungry else self._queue).push(task)

    def _pause(self, task: Task, times: int) -> None:
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (times - 1))
        heapq.heappush(self._paused, (self._pool.now() + seconds, next(self._order), task))

    def _resume_paused(self) -> None:
        while self._paused and self._paused[0][0] <= self._pool.now():
            self._push(heapq.heappop(self._paused)[-1])

    def _patience(self) -> float:
        """Seconds until something has to be done that no news announces."""
        until = [self._pool.now() + WAIT_SECONDS]
        if self._paused:
            until.append(self._paused[0][0])
        if self._busy:
            until.append(next(iter(self._busy.values()))[0].since + self._limits.unit_seconds)
        return max(0.0, min(until) - self._pool.now())

    def _assign(self) -> None:
        if self._hungry:
            for worker in list(self._idle):
                if self._hungry and self._crowded.get(self._nodes[worker], 0.0) <= self._pool.now():
                    self._crowded[self._nodes[worker]] = math.inf
                    del self._idle[worker]
                    self._submit(worker, self._hungry.take(0.0))
        while self._queue and self._idle:
            part = SHARE_OF_WAITING * self._queue.seconds / max(1, len(self._nodes))
            most = min(SHARE_SECONDS, SHARE_OF_LIMIT * self._limits.unit_seconds, part)
            self._submit(self._idle.popitem()[0], self._queue.take(most))

    def _submit(self, worker: int, tasks: list[Task]) -> None:
        self._busy[worker] = tasks
        for task in tasks:
            task.since = self._pool.now()
            self._tell("unit-started", worker, task, seconds=0.0)
        self._pool.submit(worker, [(task.unit, task.attempts + 1) for task in tasks])

    def _finished(self, worker: int) -> list[Task]:
        """The tasks of a busy worker, which is busy no more."""
        tasks = self._busy.pop(worker)
        if tasks[0].hungry:
            self._crowded.pop(self._nodes[worker], None)
        return tasks

    def _grow(self) -> None:
        """Start workers while there is room and work for them."""
        alive = len(self._starting) + len(self._idle) + len(self._busy)
        wanted = min(self._workers or max(1, self._pool.capacity()), self.left) - alive
        # A unit in the queue is there for the next worker that is ready; those at work need none.
        waiting = len(self._queue) + len(self._hungry)
        wanted = min(wanted, waiting - len(self._starting) - len(self._idle))
        if wanted > 0 and self._pool.now() >= self._start_after:
            for _ in range(wanted):
                worker = next(self._numbers)
                self._starting[worker] = self._pool.now()
                self._pool.start(worker)

    def _take(self, news: News) -> None:
        worker = news.worker
        match news:
            case Ready(node=node) if worker in self._starting:
                del self._starting[worker]
                self._failed_starts, self._start_after = 0, 0.0
                self._nodes[worker] = node
                self._idle[worker] = None
                self._tell("worker-started", worker)
            case Done(answers=answers) if worker in self._busy:
                tasks = self._finished(worker)
                self._idle[worker] = None
                for task, answer in zip(tasks, answers, strict=True):
                    if answer.receipt is not None:
                        self._costs.learn(task.unit, answer.seconds)
                        self._tell("unit-ended", worker, task, seconds=answer.seconds)
                self._assign()  # the books can wait, the worker should not
                for task, answer in zip(tasks, answers, strict=True):
                    self._answered(worker, task, answer)
            case Lost():
                self._lost(news)

    def _answered(self, worker: int, task: Task, answer: Answer) -> None:
        if answer.receipt is None:
            self._failed(worker, task, answer.error, answer.seconds)
        else:
            self._end(Outcome(task.unit, answer.receipt, attempts=task.attempts + 1))

    def _end(self, outcome: Outcome) -> None:
        for unit in self._handle(outcome):
            self._queue.push(Task(unit))

    def _failed(self, worker: int, task: Task, error: str, seconds: float | None = None) -> None:
        final = task.failures + 1 >= self._limits.attempts
        self._tell("unit-failed" if final else "unit-retried", worker, task, error, seconds)
        task.failures += 1
        if final:
            self._end(Outcome(task.unit, None, error, task.attempts))
        else:
            self._push(task)

    def _lost(self, news: Lost) -> None:
        worker, reason = news.worker, news.reason
        if self._starting.pop(worker, None) is not None:
            if news.cause != "node":
                self._not_started(reason)
            return
        if worker not in self._nodes:
            return
        self._idle.pop(worker, None)
        tasks = self._finished(worker) if worker in self._busy else []
        if news.cause == "memory":
            node = self._nodes[worker]  # one of those may be at work there: until it ends, as before
            self._crowded[node] = max(self._crowded.get(node, 0.0), self._pool.now() + SETTLE_SECONDS)
        self._tell("worker-lost", worker, reason=reason)
        if len(tasks) == 1:
            self._died(worker, tasks[0], news)
        else:
            self._apart(worker, tasks, reason)
        del self._nodes[worker]
        self._workerless = self._pool.now()

    def _apart(self, worker: int, tasks: list[Task], reason: str) -> None:
        """What befell the worker of several units is the fault of any of them: each will be done alone."""
        for task in tasks:
            self._tell("unit-retried", worker, task, reason)
            task.alone = True
            self._push(task)

    def _died(self, worker: int, task: Task, news: Lost) -> None:
        by_node = news.cause == "node"
        losses, deaths = task.losses + by_node, task.deaths + (not by_node)
        final = losses >= self._limits.losses or deaths >= self._limits.deaths
        self._tell("unit-failed" if final else "unit-retried", worker, task, news.reason)
        task.losses, task.deaths, task.hungry = losses, deaths, task.hungry or news.cause == "memory"
        if final:
            what = f"its node was lost {losses} times" if by_node else "its worker process died every time"
            self._end(Outcome(task.unit, None, f"{what}: {news.reason}", max(1, task.attempts)))
        elif by_node and losses == 1:
            self._push(task)
        else:
            self._pause(task, losses if by_node else deaths)

    def _not_started(self, reason: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= MAX_FAILED_STARTS and not self._nodes:
            raise ClusterError(f"Ray workers die before they are ready: {reason}")
        pause = FIRST_PAUSE_SECONDS * 2.0 ** min(self._failed_starts, MAX_FAILED_STARTS)
        self._start_after = self._pool.now() + pause

    def _stop_overdue(self) -> None:
        now = self._pool.now()
        while self._busy:
            worker, tasks = next(iter(self._busy.items()))
            if now < tasks[0].since + self._limits.unit_seconds:
                break
            self._finished(worker)
            reason = f"TimeoutError: not finished within {self._limits.unit_seconds:g} s"
            if len(tasks) == 1:
                self._failed(worker, tasks[0], reason)
            else:
                self._apart(worker, tasks, reason)
            self._tell("worker-stopped", worker, reason="its unit ran out of time")
            del self._nodes[worker]
            self._workerless = now
            self._pool.kill(worker)
        while self._starting and now - next(iter(self._starting.values())) > START_SECONDS:
            self._pool.kill(self._starting.popitem(last=False)[0])
        if not self._nodes and now - self._workerless > NO_WORKER_SECONDS:
            raise ClusterError(f"no Ray worker could be started within {NO_WORKER_SECONDS / 60:.0f} minutes")
