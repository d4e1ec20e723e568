"""The dispatcher on scripted workers with a clock of their own: who gets what, and what becomes of failed attempts."""

import heapq
import itertools
import sys
from collections import Counter

import pytest

from limitbench.errors import ClusterError
from limitbench.sweep import dispatch
from limitbench.sweep.blocks import SampleUnit, ScoreUnit
from limitbench.sweep.dispatch import Dispatcher
from limitbench.sweep.executors import Limits
from limitbench.sweep.grid import Column
from limitbench.sweep.pool import Answer, Done, Lost, Pool, Ready

COLUMN = Column((("width", 4),), "depth", (2, 4))


def block(number, cost=1.0):
    return SampleUnit(COLUMN, (0,), number, 64, cost)


class ScriptedPool(Pool):
    """Workers that start in a second; `fate(unit, attempt)` says how long an attempt takes and how it ends."""

    def __init__(self, fate=lambda unit, attempt: (1.0, "done"), room=2, born=lambda worker: "ready"):
        self.fate, self.room, self.born = fate, room, born
        self.time, self.order, self.coming = 0.0, itertools.count(), []
        self.alive, self.most, self.submitted, self.killed = set(), 0, [], []

    nodes = 2

    def now(self):
        return self.time

    def capacity(self):
        return self.room

    def name(self, worker):
        return f"w{worker}"

    def start(self, worker):
        self.alive.add(worker)
        self.most = max(self.most, len(self.alive))
        how = self.born(worker)
        if how == "ready":
            self.tell(1.0, Ready(worker, f"node{worker % self.nodes}"))
        elif how != "never":
            self.tell(1.0, Lost(worker, how, "it would not start"))

    def submit(self, worker, share):
        assert worker in self.alive
        spent, answers = 0.0, []
        for unit, attempt in share:
            self.submitted.append((self.time, worker, unit.id, attempt))
            seconds, how = self.fate(unit, attempt)
            spent += seconds
            if how not in ("done", "raised"):
                self.tell(spent, Lost(worker, how, f"{how} gone"))
                return
            answers.append(Answer(*({"unit": unit.id}, "") if how == "done" else (None, "Oops: no"), seconds))
        self.tell(spent, Done(worker, answers))

    def tell(self, seconds, news):
        heapq.heappush(self.coming, (self.time + seconds, next(self.order), news))

    def wait(self, seconds):
        until = self.time + seconds
        while self.coming and self.coming[0][0] <= until:
            self.time, _, news = heapq.heappop(self.coming)
            if news.worker in self.alive:
                if isinstance(news, Lost):
                    self.alive.remove(news.worker)
                return [news]
        self.time = until
        return []

    def kill(self, worker):
        self.killed.append(worker)
        self.alive.discard(worker)


def outcomes(pool, units, follow=lambda outcome: (), **options):
    found, events = [], []

    def handle(outcome):
        found.append(outcome)
        return follow(outcome)

    dispatcher = Dispatcher(pool, handle, events=events.append, **options)
    dispatcher.add(units)
    dispatcher.work()
    dispatcher.close()
    assert not pool.alive
    return found, events


def test_every_unit_is_done_once_the_dearest_first_and_scores_before_blocks():
    def follow(outcome):
        if outcome.unit.id.endswith("b000003"):
            return [ScoreUnit(COLUMN, (0,), (), (), 0.1)]
        return ()

    pool = ScriptedPool(room=1)
    found, _ = outcomes(pool, [block(0, 1.0), block(1, 3.0), block(2, 2.0), block(3, 2.5)], follow)
    order = [outcome.unit.id.rsplit(".", 1)[1] for outcome in found]
    # The worker never waits for the books: the block after 3 is on its way when its scores become possible.
    assert order == ["b000001", "b000003", "b000002", "scores", "b000000"]
    assert {outcome.attempts for outcome in found} == {1}


def test_a_unit_that_raises_is_given_up_after_its_attempts_on_workers_that_live_on():
    pool = ScriptedPool(lambda unit, attempt: (1.0, "raised" if unit.number == 1 else "done"))
    found, _ = outcomes(pool, map(block, range(6)), limits=Limits(attempts=3))
    failed = [outcome for outcome in found if outcome.receipt is None]
    assert [(outcome.unit.number, outcome.error, outcome.attempts) for outcome in failed] == [(1, "Oops: no", 3)]
    assert len(found) == 6
    assert pool.most == 2


def test_a_unit_whose_worker_dies_is_tried_again_after_pauses_that_double():
    pool = ScriptedPool(lambda unit, attempt: (0.0, "process"), room=1)
    (failed,), events = outcomes(pool, [block(0)], limits=Limits(deaths=5))
    assert failed.receipt is None
    assert failed.attempts == 5
    assert failed.error == "its worker process died every time: process gone"
    at = [when for when, _, _, _ in pool.submitted]
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert gaps == pytest.approx([1.25, 1.5, 2.0, 3.0], abs=0.01)  # a second of each starts another worker
    assert Counter(event.kind for event in events) == {
        "worker-started": 5, "worker-lost": 5, "unit-started": 5, "unit-retried": 4, "unit-failed": 1
    }  # fmt: skip


def test_losing_nodes_counts_for_nothing_until_it_happens_over_and_over():
    fate = iter([(1.0, "node")] * 15 + [(1.0, "done")])
    (done,), _ = outcomes(ScriptedPool(lambda unit, attempt: next(fate), room=1), [block(0)])
    assert done.receipt is not None
    assert done.attempts == 1
    pool = ScriptedPool(lambda unit, attempt: (1.0, "node"), room=1)
    (failed,), _ = outcomes(pool, [block(0)], limits=Limits(losses=4))
    assert failed.error == "its node was lost 4 times: node gone"
    assert len(pool.submitted) == 4


def test_units_that_ray_kills_for_memory_beside_a_greedy_one_finish_while_that_one_is_given_up():
    class Crowded(ScriptedPool):
        """One node; a second after the greedy unit began, Ray kills whatever is at work."""

        nodes = 1

        def submit(self, worker, share):
            super().submit(worker, share)
            if share[0][0].number == 0:
                for other in self.alive:
                    self.tell(1.0, Lost(other, "memory", "low on memory"))

    pool = Crowded(lambda unit, attempt: (10.0, "done"), room=4)
    found, _ = outcomes(pool, map(block, range(4)))
    assert {outcome.unit.number: outcome.receipt is not None for outcome in found} == {
        0: False, 1: True, 2: True, 3: True
    }  # fmt: skip
    assert [outcome.error for outcome in found if outcome.receipt is None] == [
        "its worker process died every time: low on memory"
    ]


def test_a_unit_out_of_time_is_stopped_with_its_worker_and_others_do_not_wait_for_it():
    pool = ScriptedPool(lambda unit, attempt: (1e9 if unit.number == 0 else 1.0, "done"))
    found, _ = outcomes(pool, map(block, range(20)), limits=Limits(unit_seconds=5.0, attempts=2))
    failed = [outcome for outcome in found if outcome.receipt is None]
    assert [(outcome.unit.number, outcome.error) for outcome in failed] == [
        (0, "TimeoutError: not finished within 5 s")
    ]
    assert len(found) == 20
    assert pool.now() < 20


def test_workers_follow_the_room_there_is_and_idle_ones_that_die_are_replaced():
    pool = ScriptedPool(lambda unit, attempt: (1.0, "done"), room=1)

    def follow(outcome):
        if len(pool.submitted) == 5:
            pool.room = 8
        return ()

    outcomes(pool, map(block, range(200)), follow)
    assert pool.most == 8
    assert pool.now() < 40

    pool = ScriptedPool(lambda unit, attempt: (1.0 if unit.number else 30.0, "done"), room=2)
    pool.tell(10.0, Lost(1, "process", "killed while idle"))

    def later(outcome):
        return [block(k) for k in range(2, 6)] if outcome.unit.number == 0 else ()

    found, events = outcomes(pool, [block(0), block(1, 0.5)], later)
    assert len(found) == 6
    assert {outcome.attempts for outcome in found} == {1}
    assert pool.most == 2
    assert [event.worker for event in events if event.kind == "worker-lost"] == ["w1"]


def test_a_run_whose_workers_never_start_is_given_up():
    with pytest.raises(ClusterError, match="Ray workers die before they are ready: it would not start"):
        outcomes(ScriptedPool(born=lambda worker: "process"), [block(0)])
    pool = ScriptedPool(born=lambda worker: "never")
    with pytest.raises(ClusterError, match="no Ray worker could be started within 30 minutes"):
        outcomes(pool, [block(0)])
    assert pool.now() == pytest.approx(dispatch.NO_WORKER_SECONDS, abs=2.0)


def test_workers_that_fail_to_start_among_others_do_not_end_the_run():
    pool = ScriptedPool(room=4, born=lambda worker: "ready" if worker == 0 else "process")
    found, _ = outcomes(pool, map(block, range(50)))
    assert len(found) == 50
    assert len(pool.killed) == 1


def test_going_on_with_another_pool_repeats_what_was_under_way_and_counts_nothing():
    class Doomed(ScriptedPool):
        def wait(self, seconds):
            if self.time > 10:
                raise ClusterError("gone")
            return super().wait(seconds)

    found, events = [], []

    def handle(outcome):
        found.append(outcome)
        return ()

    dispatcher = Dispatcher(Doomed(), handle, events=events.append)
    dispatcher.add(map(block, range(40)))
    with pytest.raises(ClusterError):
        dispatcher.work()
    dispatcher.move(ScriptedPool())
    dispatcher.work()
    assert sorted(outcome.unit.number for outcome in found) == list(range(40))
    assert {outcome.attempts for outcome in found} == {1}
    assert sum(event.kind == "worker-lost" for event in events) == 2


def test_the_cost_of_a_unit_does_not_grow_with_the_number_of_workers():
    class Instant(ScriptedPool):
        def submit(self, worker, share):
            self.tell(0.0, Done(worker, [Answer({}, seconds=1.0) for _ in share]))

        def start(self, worker):
            self.alive.add(worker)
            self.tell(0.0, Ready(worker, "node"))

    def steps(workers):
        pool = Instant(room=workers)
        dispatcher = Dispatcher(pool, lambda outcome: ())
        dispatcher.add(map(block, range(4 * workers)))
        while len(pool.alive) < workers:
            dispatcher._grow()
            dispatcher._take(pool.wait(0.0)[0])
        taken = 0

        def count(frame, event, argument):
            nonlocal taken
            taken += 1

        sys.setprofile(count)
        try:
            dispatcher.work()
        finally:
            sys.setprofile(None)
        return taken / (4 * workers)

    few, many = steps(40), steps(400)
    assert many < 1.2 * few


def shares(pool):
    """Numbers of the blocks that were given out together."""
    together = itertools.groupby(pool.submitted, key=lambda at: at[:2])
    return [[int(name.rsplit(".b", 1)[1]) for _, _, name, _ in share] for _, share in together]


def quick(unit, attempt):
    return 0.02, "done"


def test_blocks_that_turn_out_to_take_no_time_are_given_out_together_and_ever_fewer_to_the_end():
    pool = ScriptedPool(quick)
    found, events = outcomes(pool, [block(k, 1e-6) for k in range(400)])
    assert len(found) == 400
    sizes = [len(share) for share in shares(pool)]
    assert sizes[:2] == [1, 1]  # nothing was measured yet
    assert 20 <= max(sizes) <= 25  # half a second at a time
    assert sizes[-2:] == [1, 1]
    assert len(sizes) < 60
    assert Counter(event.kind for event in events if event.unit) == {"unit-started": 400, "unit-ended": 400}
    assert {event.seconds for event in events if event.kind == "unit-ended"} == {0.02}
    # each share takes as long as it takes: two workers that never wait, and start in a second
    assert pool.now() == pytest.approx(1.0 + 400 * 0.02 / 2, abs=0.05)


def test_a_block_that_raises_among_others_is_given_up_alone():
    pool = ScriptedPool(lambda unit, attempt: (0.02, "raised" if unit.number == 77 else "done"))
    found, _ = outcomes(pool, [block(k, 1e-6) for k in range(200)])
    assert [(o.unit.number, o.error, o.attempts) for o in found if o.receipt is None] == [(77, "Oops: no", 3)]
    assert {o.attempts for o in found if o.receipt is not None} == {1}


@pytest.mark.parametrize("cause", ["process", "memory", "node"])
def test_what_befalls_the_worker_of_many_blocks_counts_for_none_and_each_is_done_alone(cause):
    pool = ScriptedPool(lambda unit, attempt: (0.02, cause if unit.number == 77 else "done"))
    found, events = outcomes(pool, [block(k, 1e-6) for k in range(200)], limits=Limits(deaths=2, losses=2))
    assert [o.unit.number for o in found if o.receipt is None] == [77]
    assert {o.attempts for o in found if o.receipt is not None} == {1}
    (share,) = [share for share in shares(pool) if len(share) > 1 and share[-1] == 77]  # it ended there
    again = [other for other in shares(pool) if set(other) & set(share) and other != share]
    assert {len(other) for other in again} == {1}
    assert [other[0] for other in again].count(77) == 2
    assert sum(event.kind == "worker-lost" for event in events) == 3


def test_blocks_that_run_out_of_time_together_are_done_alone_and_one_that_hangs_is_given_up():
    pool = ScriptedPool(lambda unit, attempt: (1e9 if unit.number == 77 else 0.02, "done"))
    found, _ = outcomes(pool, [block(k, 1e-6) for k in range(200)], limits=Limits(unit_seconds=5.0, attempts=2))
    failed = [(o.unit.number, o.error, o.attempts) for o in found if o.receipt is None]
    assert failed == [(77, "TimeoutError: not finished within 5 s", 2)]
    assert {o.attempts for o in found if o.receipt is not None} == {1}
    assert len(found) == 200
