"""The simulation drives the real dispatcher: its figures are those that can be worked out by hand."""

import math
import statistics
from dataclasses import replace

import pytest

from limitbench.sweep.simulate import Cluster, DriverCosts, calibrated, simulate, smallest_block_seconds

FREE = DriverCosts(start=0.0, submit=0.0, wait=0.0, get=0.0, books=0.0)
#: The driver's time for a unit that a run may take.
ACCEPTED = calibrated(DriverCosts(), 1.9e-3)


def test_a_driver_that_costs_nothing_keeps_all_workers_busy_and_the_makespan_is_exact():
    found = simulate(3.0, 400, Cluster(10, start_seconds=7.0, latency=0.0), costs=FREE)
    assert found.makespan == pytest.approx(7.0 + 40 * 3.0)
    assert found.busy == pytest.approx(120 / 127)
    assert found.steady == pytest.approx(1.0)
    assert found.driver == pytest.approx(0.0, abs=1e-9)
    assert (found.ended, found.set_aside, found.started) == (400, 0, 10)


def test_a_thousand_workers_on_blocks_of_two_seconds_are_busy_for_95_percent_at_the_accepted_cost():
    found = simulate(2.0, 4_000, Cluster(1000, nodes=32), costs=ACCEPTED, spread=0.3)
    assert found.steady > 0.95
    assert found.ended == 4_000
    slower = simulate(2.0, 3_000, Cluster(1000, nodes=32), costs=calibrated(DriverCosts(), 4e-3), spread=0.3)
    assert slower.steady < 0.95


def test_a_driver_that_is_the_bottleneck_serves_one_unit_per_cost():
    cluster = Cluster(500, start_seconds=0.0)
    # waits are shared by units that come together
    costs = replace(calibrated(DriverCosts(), 6e-3), start=0.0, wait=0.0)
    found = simulate(0.6, 4_000, cluster, costs=costs)
    assert found.driver > 0.99
    assert found.makespan == pytest.approx(4_000 * costs.unit + 500 * costs.get, rel=0.02)  # a start is news too
    assert found.steady == pytest.approx(0.6 / (500 * costs.unit), rel=0.05)
    assert found.backlog > 50


def test_blocks_of_no_time_are_given_out_in_shares_and_cost_the_driver_their_books():
    costs = replace(ACCEPTED, start=0.0)
    found = simulate(0.004, 5_000, Cluster(2, start_seconds=0.0), costs=costs)
    assert found.makespan == pytest.approx(5_000 * (0.004 / 2), rel=0.1)
    assert found.driver == pytest.approx(5_000 * costs.books / found.makespan, rel=0.2)


def test_the_smallest_block_is_where_the_share_is_reached():
    cluster = Cluster(20)
    seconds = smallest_block_seconds(cluster, ACCEPTED, blocks_each=8, spread=0.2)
    around = [simulate(f * seconds, 400, cluster, costs=ACCEPTED, spread=0.2).steady for f in (0.7, 1.4)]
    assert around[0] < 0.95 <= around[1]
    # a wait holds the latency both ways, and at worst the driver's time for this unit and all others
    latency = 2 * cluster.latency
    assert 19 * latency < seconds < 19 * (latency + ACCEPTED.unit) + 20 * ACCEPTED.unit


def test_recorded_seconds_are_drawn_from_and_the_longest_come_first():
    found = simulate([1.0, 1.0, 1.0, 9.0], 1000, Cluster(4, start_seconds=0.0, latency=0.0), costs=FREE)
    assert found.makespan == pytest.approx(750.0, rel=0.15)  # 4.5 standard errors
    assert found.busy > 0.99


def test_deaths_and_lost_nodes_cost_their_attempts_and_every_unit_ends():
    calm = simulate(30.0, 1000, Cluster(40, nodes=8))
    rough = simulate(30.0, 1000, Cluster(40, nodes=8, deaths=4.0, losses=2.0, return_seconds=60.0))
    assert calm.started == 40
    # about 15 minutes of 40 workers: each dies every 15 minutes, and goes with its node every 30
    hours = 40 * rough.makespan / 3600
    expected = 40 + 4.0 * hours + 2.0 * hours
    assert abs(rough.started - expected) < 6 * math.sqrt(expected)
    assert rough.makespan > 1.05 * calm.makespan
    assert (rough.ended, rough.set_aside) == (1000, 0)


def test_a_unit_that_outlives_no_worker_is_set_aside_by_the_dispatchers_own_rules():
    found = simulate(3600.0, 20, Cluster(4, deaths=20.0))
    assert found.set_aside == 20
    assert found.ended == 0


def test_the_spread_of_seconds_is_the_one_asked_for_and_the_seed_decides_everything():
    cluster = Cluster(1, start_seconds=0.0, latency=0.0)
    sums = [simulate(1.0, 250, cluster, costs=FREE, spread=0.5, seed=s).makespan for s in (0, 0, *range(1, 8))]
    assert sums[0] == sums[1] != sums[2]
    # 2000 lognormal seconds of mean 1 and standard deviation 0.5, the mean within 4.5 standard errors
    assert abs(statistics.mean(sums[1:]) - 250.0) < 4.5 * 0.5 * math.sqrt(250 / 8)
    assert 0.25 < statistics.stdev(sums[1:]) / (0.5 * math.sqrt(250)) < 2.2
