"""What is expected of units that wait, in which order they are given out and how many at a time."""

import pytest

from limitbench.sweep.blocks import SampleUnit, ScoreUnit
from limitbench.sweep.grid import Column
from limitbench.sweep.waiting import OWN_SECONDS, Costs, Task, Waiting


def block(width, number, cost):
    return SampleUnit(Column((("width", width),), "depth", (2,)), (width,), number, 64, cost)


def scores(width, cost=1.0):
    return ScoreUnit(Column((("width", width),), "depth", (2,)), (width,), (0,), ({},), cost)


def taken(waiting, seconds):
    return [(task.unit.position[0], task.unit.number) for task in waiting.take(seconds)]


def test_what_is_predicted_is_corrected_by_the_columns_own_measurements_or_else_by_all_of_its_kind():
    costs = Costs()
    assert costs.expected(block(1, 0, 2.0)) == OWN_SECONDS + 2.0
    costs.learn(block(1, 0, 2.0), OWN_SECONDS + 1.0)
    assert costs.expected(block(1, 1, 2.0)) == pytest.approx(OWN_SECONDS + 1.0)
    assert costs.expected(block(2, 0, 4.0)) == pytest.approx(OWN_SECONDS + 2.0)
    assert costs.expected(scores(1)) == OWN_SECONDS + 1.0
    costs.learn(block(2, 0, 4.0), OWN_SECONDS + 12.0)
    assert costs.expected(block(1, 2, 2.0)) == pytest.approx(OWN_SECONDS + 1.0)
    assert costs.expected(block(2, 1, 4.0)) == pytest.approx(OWN_SECONDS + 12.0)
    assert costs.expected(block(3, 0, 6.0)) == pytest.approx(OWN_SECONDS + 13.0)


@pytest.mark.parametrize(("measured", "first"), [((1.0, 6.0), 2), ((4.0, 3.0), 1), (None, 1)])
def test_the_longest_come_first_by_what_was_measured(measured, first):
    costs = Costs()
    waiting = Waiting(costs)
    waiting.add(Task(block(width, number, cost)) for width, cost in ((1, 4.0), (2, 3.0)) for number in range(8, 12))
    for number in range(4 if measured else 0):
        costs.learn(block(1, number, 4.0), measured[0])
        costs.learn(block(2, number, 3.0), measured[1])
    order = [taken(waiting, 0.0)[0] for _ in range(8)]
    assert order == [(width, number) for width in (first, 3 - first) for number in range(8, 12)]
    assert not waiting


def test_as_many_are_given_out_together_as_fit_into_the_time_and_scores_and_the_suspicious_alone():
    costs = Costs()
    waiting = Waiting(costs)
    waiting.add(Task(block(1, number, 0.1), alone=number == 6) for number in range(8))
    assert taken(waiting, 10.0) == [(1, 0)]  # nobody knows how long it takes
    costs.learn(block(1, 0, 0.1), 0.1)
    each = costs.expected(block(1, 1, 0.1))
    assert waiting.seconds == pytest.approx(7 * each)
    assert taken(waiting, 3.5 * each) == [(1, 1), (1, 2), (1, 3)]
    assert taken(waiting, 0.0) == [(1, 4)]
    waiting.push(Task(scores(1)))
    assert isinstance(waiting.take(10.0)[0].unit, ScoreUnit)
    assert [taken(waiting, 10.0) for _ in range(3)] == [[(1, 5)], [(1, 6)], [(1, 7)]]
    assert waiting.seconds == pytest.approx(0.0, abs=1e-12)
