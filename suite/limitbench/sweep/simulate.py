"""The dispatcher at sizes that no test cluster has: the real `Dispatcher` on simulated workers and a virtual clock.

The driver is one thread, so everything it does moves the clock: each call to Ray, and the books of each ended unit.
Workers finish, die and lose their nodes meanwhile, and what they have to say waits until the driver listens.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from limitbench.sweep.blocks import SampleUnit, Unit
from limitbench.sweep.dispatch import Dispatcher
from limitbench.sweep.executors import Limits, Outcome
from limitbench.sweep.grid import Column
from limitbench.sweep.pool import Answer, Done, Lost, News, Pool, Ready, Share


@dataclass(frozen=True)
class DriverCosts:
    """Seconds that the driver is busy with one step.

    The defaults were measured on one core of a cloud machine by `limitbench.sweep.dispatch_cost.measure_dispatch`, and
    the books of the run's ledger with a million units. Ray's own threads in the driver are counted as if they never ran
    beside the dispatcher's.

    Attributes:
        start: asking for a worker.
        submit: giving it a unit.
        wait: asking for news, whatever there are.
        get: receiving one result.
        books: dispatching one ended unit, and booking it.
    """

    start: float = 1e-2
    submit: float = 2.0e-4
    wait: float = 5.2e-5
    get: float = 3.3e-4
    books: float = 6.5e-5

    @property
    def unit(self) -> float:
        """Seconds a unit, at most: news that come together share one wait."""
        return self.submit + self.wait + self.get + self.books


@dataclass(frozen=True)
class Cluster:
    """The simulated workers and what befalls them.

    Attributes:
        workers: their number, evenly on `nodes`.
        nodes: machines.
        start_seconds: from asking for a worker to its being ready.
        latency: seconds from the end of a unit until the driver can hear of it, and from submitting to the beginning.
        deaths: worker processes that die in a worker-hour.
        losses: nodes that are lost in a node-hour.
        return_seconds: until another node stands in for a lost one.
    """

    workers: int
    nodes: int = 1
    start_seconds: float = 10.0
    latency: float = 1e-3
    deaths: float = 0.0
    losses: float = 0.0
    return_seconds: float = 120.0


@dataclass(frozen=True)
class Simulation:
    """What came out.

    Attributes:
        makespan: seconds from the beginning to the end of the last unit's books.
        busy: share of the workers' time, start-up and tail included, that went into units that ended well.
        steady: seconds of what a worker is given over those and the wait for the next: without start-up, tail, deaths.
        driver: share of the makespan that the driver was busy.
        wait_mean, wait_max: seconds from the end of a unit to the beginning of its worker's next one.
        backlog: most pieces of news that waited for the driver at once.
        ended, set_aside: units; `started`: workers, replacements among them.
    """

    makespan: float
    busy: float
    steady: float
    driver: float
    wait_mean: float
    wait_max: float
    backlog: int
    ended: int
    set_aside: int
    started: int


def simulate(
    block_seconds: float | Sequence[float],
    blocks: int,
    cluster: Cluster,
    *,
    costs: DriverCosts = DriverCosts(),
    spread: float = 0.0,
    seed: int = 0,
    limits: Limits = Limits(),  # noqa: B008
) -> Simulation:
    """Run `blocks` units through the dispatcher. Takes about 15 µs a unit, and 1 kB.

    Arguments:
        block_seconds: seconds of every block, or recorded ones (of a store's markers, say) to draw from.
        blocks: units.
        cluster: the workers.
        costs: of the driver.
        spread: standard deviation over mean of the seconds of one block, lognormal; on top of recorded ones too.
        seed: of everything random.
        limits: when a unit is set aside.
    """
    rng = np.random.default_rng(seed)
    recorded = np.atleast_1d(np.asarray(block_seconds, dtype="float64"))
    expected = recorded if len(recorded) == 1 else rng.choice(recorded, blocks)
    sigma = math.sqrt(math.log1p(spread**2))
    column = Column((), "depth", (1,))
    units = [
        SampleUnit(column, (), number, 1, seconds)
        for number, seconds in enumerate(np.broadcast_to(expected, blocks).tolist())
    ]
    factors = np.exp(sigma * rng.standard_normal(blocks) - sigma**2 / 2).tolist() if spread else [1.0] * blocks
    pool = SimulatedPool(cluster, costs, factors, rng)
    set_aside = 0

    def handle(outcome: Outcome) -> Iterable[Unit]:
        nonlocal set_aside
        set_aside += outcome.receipt is None
        pool.spend(costs.books)
        return ()

    dispatcher = Dispatcher(pool, handle, limits, cluster.workers if not cluster.losses else None)
    dispatcher.add(units)
    dispatcher.work()
    return pool.result(blocks, set_aside)


def smallest_block_seconds(
    cluster: Cluster,
    costs: DriverCosts = DriverCosts(),
    *,
    share: float = 0.95,
    blocks_each: int = 40,
    spread: float = 0.0,
) -> float:
    """Seconds a block, within 2 %, from which `cluster` is busy for at least `share` of the steady time."""
    low, high = 1e-4, 1e4
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        found = simulate(middle, blocks_each * cluster.workers, cluster, costs=costs, spread=spread)
        low, high = (low, middle) if found.steady >= share else (middle, high)
    return high


@dataclass(slots=True)
class _Worker:
    node: int
    since: float = 0.0  # when its unit began
    ended: float | None = None  # when its last unit ended


@dataclass(slots=True)
class _Seen:
    work: float = 0.0  # worker-seconds in units that ended well
    shares: int = 0  # calls that those came in
    waited: float = 0.0  # worker-seconds between units
    waits: int = 0
    longest: float = 0.0
    backlog: int = 0
    started: int = 0
    idle: float = 0.0  # the driver's own


class SimulatedPool(Pool):
    """Workers of `cluster` on a virtual clock; unit number k takes its cost times `factors[k]`."""

    def __init__(
        self, cluster: Cluster, costs: DriverCosts, factors: Sequence[float], rng: np.random.Generator
    ) -> None:
        self._cluster, self._costs, self._factors, self._rng = cluster, costs, factors, rng
        self._clock, self._seen = 0.0, _Seen()
        self._order = itertools.count()
        self._events: list[tuple[float, int, News | int]] = []  # an integer is a node that is lost or, negative, back
        self._workers: dict[int, _Worker] = {}
        self._room = {node: self._slots(node) for node in range(cluster.nodes)}
        for node in self._room if cluster.losses else ():
            self._schedule(self._until(cluster.losses), node)

    def now(self) -> float:
        """The virtual clock."""
        return self._clock

    def spend(self, seconds: float) -> None:
        """The driver is busy."""
        self._clock += seconds

    def capacity(self) -> int:
        """Workers on the nodes that are up."""
        return sum(self._slots(node) for node in self._room)

    def name(self, worker: int) -> str:
        """Its number."""
        return str(worker)

    def start(self, worker: int) -> None:
        """Ready after the cluster's start-up time, on the node with the most room."""
        self.spend(self._costs.start)
        node = max(self._room, key=self._room.__getitem__)
        self._room[node] -= 1
        self._workers[worker] = _Worker(node)
        self._seen.started += 1
        self._schedule(self._cluster.start_seconds, Ready(worker, str(node)))

    def submit(self, worker: int, share: Share) -> None:
        """Done after the units' seconds, unless the worker dies before."""
        self.spend(self._costs.submit)
        each = [unit.cost * self._factors[unit.number] for unit, _ in share if isinstance(unit, SampleUnit)]
        state, seconds = self._workers[worker], sum(each)
        begin = self._clock + self._cluster.latency
        if state.ended is not None:
            wait = begin - state.ended
            self._seen.waited += wait
            self._seen.waits += 1
            self._seen.longest = max(self._seen.longest, wait)
        state.since = begin
        until = self._until(self._cluster.deaths)
        if until < seconds:
            self._schedule(self._cluster.latency + until, Lost(worker, "process", "simulated"))
        else:
            answers = [Answer({}, seconds=seconds) for seconds in each]
            self._schedule(2 * self._cluster.latency + seconds, Done(worker, answers))

    def wait(self, seconds: float) -> list[News]:
        """Everything up to now, or the first thing after it; then the cost of fetching it all."""
        self.spend(self._costs.wait)
        end = self._clock + seconds
        found = list(self._due())
        while not found and self._events and self._events[0][0] <= end:
            self._seen.idle += self._events[0][0] - self._clock
            self._clock = self._events[0][0]
            found = list(self._due())
        if not found:
            self._seen.idle += end - self._clock
            self._clock = end
        self._seen.backlog = max(self._seen.backlog, len(found))
        self.spend(self._costs.get * len(found))
        return found

    def kill(self, worker: int) -> None:
        """What it still had to say is ignored."""
        self._forget(worker)

    def result(self, blocks: int, set_aside: int) -> Simulation:
        """The figures of the run that is over."""
        seen, ended = self._seen, blocks - set_aside
        share, wait = seen.work / max(1, seen.shares), seen.waited / max(1, seen.waits)
        return Simulation(
            makespan=self._clock,
            busy=seen.work / (self._cluster.workers * self._clock),
            steady=share / (share + wait) if ended else 0.0,
            driver=1.0 - seen.idle / self._clock,
            wait_mean=wait,
            wait_max=seen.longest,
            backlog=seen.backlog,
            ended=ended,
            set_aside=set_aside,
            started=seen.started,
        )

    def _slots(self, node: int) -> int:
        whole, rest = divmod(self._cluster.workers, self._cluster.nodes)
        return whole + (node < rest)

    def _until(self, rate: float) -> float:
        """Seconds to the next of events that come `rate` times an hour."""
        return float(self._rng.exponential(3600.0 / rate)) if rate else math.inf

    def _schedule(self, seconds: float, what: News | int) -> None:
        heapq.heappush(self._events, (self._clock + seconds, next(self._order), what))

    def _due(self) -> Iterator[News]:
        """What happened up to now, in order."""
        while self._events and self._events[0][0] <= self._clock:
            at, _, what = heapq.heappop(self._events)
            if isinstance(what, int):
                yield from self._node(what)
                continue
            state = self._workers.get(what.worker)
            if state is None:
                continue
            match what:
                case Done():
                    state.ended = at - self._cluster.latency
                    self._seen.work += state.ended - state.since
                    self._seen.shares += 1
                case Lost():
                    self._forget(what.worker)
            yield what

    def _forget(self, worker: int) -> None:
        state = self._workers.pop(worker, None)
        if state is not None and state.node in self._room:
            self._room[state.node] += 1

    def _node(self, number: int) -> Iterator[News]:
        """A node is lost with all its workers, or (-1 - number) is back."""
        if number < 0:
            node = -1 - number
            self._room[node] = self._slots(node)
            self._schedule(self._until(self._cluster.losses), node)
            return
        del self._room[number]
        self._schedule(self._cluster.return_seconds, -1 - number)
        for worker in [w for w, state in self._workers.items() if state.node == number]:
            del self._workers[worker]
            yield Lost(worker, "node", "simulated")


def calibrated(costs: DriverCosts, unit_seconds: float) -> DriverCosts:
    """`costs` in proportion, so that a unit costs `unit_seconds` in all."""
    factor = unit_seconds / costs.unit
    return replace(costs, **{name: getattr(costs, name) * factor for name in ("submit", "wait", "get", "books")})
