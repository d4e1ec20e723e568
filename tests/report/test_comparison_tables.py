"""The distance of two tables of quantiles, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from limitbench.report.comparison.networks import smirnov
from limitbench.report.comparison.tables import allowed_difference, cdf_difference, sampling_pvalue
from limitbench.statistics.laws import Bernoulli, Empirical, Law, Normal, quantile_levels
from limitbench.statistics.tests_of_difference import ks_two_sample

LEVELS = quantile_levels()


def table(law: Law) -> np.ndarray:
    return law.quantile(LEVELS)


@pytest.mark.parametrize("shift", [1e-6, 1e-4, 0.01, 0.5, 3.0])
def test_two_shifted_normal_laws_differ_by_their_kolmogorov_distance(shift: float) -> None:
    found = cdf_difference(LEVELS, table(Normal(0.0, 1.0)), table(Normal(shift, 1.0)))
    assert found == pytest.approx(2 * ndtr(shift / 2) - 1, rel=2e-3, abs=1e-9)


def test_equal_tables_do_not_differ() -> None:
    for law in (Normal(0.0, 1.0), Bernoulli(0.3), Empirical([1.0, 1.0, 2.0, 5.0])):
        assert cdf_difference(LEVELS, table(law), table(law)) == 0


def test_probabilities_of_an_atom_differ_by_their_difference_up_to_a_step_of_the_levels() -> None:
    found = cdf_difference(LEVELS, table(Bernoulli(0.3)), table(Bernoulli(0.4)))
    assert found == pytest.approx(0.1, abs=2 * np.diff(LEVELS).max())
    assert cdf_difference(LEVELS, table(Bernoulli(0.3)), table(Bernoulli(0.3004))) < 0.0004


def test_laws_apart_differ_by_all_of_their_mass() -> None:
    assert cdf_difference(LEVELS, table(Normal(0.0, 1.0)), table(Normal(100.0, 1.0))) >= 1 - 2e-4


def test_a_solved_law_may_differ_by_twice_its_declared_error_and_never_less_than_the_accuracy_of_solvers() -> None:
    assert allowed_difference(1e-4) == pytest.approx(2e-4)
    assert allowed_difference(0.0) == pytest.approx(2e-6)


def test_two_simulations_of_one_law_are_not_told_apart_and_a_shift_of_five_errors_is() -> None:
    # fixed seeds; false-alarm probability 20 x 1e-6
    draws, draw = 4096, np.random.Generator(np.random.SFC64(5))
    normals = draw.standard_normal((20, 2, draws))
    same = [cdf_difference(LEVELS, table(Empirical(a)), table(Empirical(b))) for a, b in normals]
    assert min(sampling_pvalue(d, draws) for d in same) > 1e-6
    moved = [cdf_difference(LEVELS, table(Empirical(a)), table(Empirical(b + 0.18))) for a, b in normals]
    assert max(sampling_pvalue(d, draws) for d in moved) < 1e-6


def test_an_atom_that_rounding_moved_is_where_it_was_and_one_that_moved_is_not() -> None:
    atom = np.where((LEVELS > 0.3) & (LEVELS < 0.4), np.log(0.5), table(Normal(0.0, 1.0)))
    moved = [
        np.where((LEVELS > 0.3) & (LEVELS < 0.4), np.log(0.5) + shift, table(Normal(0.0, 1.0)))
        for shift in (1e-13, 0.02)
    ]
    assert cdf_difference(LEVELS, np.sort(atom), np.sort(moved[0])) < 1e-9
    assert cdf_difference(LEVELS, np.sort(atom), np.sort(moved[1])) > 0.05


def test_networks_with_an_atom_are_compared_up_to_rounding() -> None:
    # fixed seed; false-alarm probability 1e-6
    draw = np.random.Generator(np.random.SFC64(8))
    a, b = (np.where(draw.random(8192) < 0.2, -np.log(2), draw.standard_normal(8192)) for _ in range(2))
    blurred = b + 1e-7 * np.abs(draw.standard_normal(8192))
    assert ks_two_sample(a, blurred)[1] < 1e-6  # what rounding does to the plain test
    assert smirnov(a, blurred)[1] > 1e-6
    assert smirnov(a, b)[0] <= ks_two_sample(a, b)[0]
    assert smirnov(a, b + 0.01)[1] < 1e-6


def test_the_p_values_of_equal_networks_are_uniform_and_shifted_ones_are_found() -> None:
    # fixed seed; of 400 p-values at most 46 below 0.05: false-alarm probability 1e-6
    draw = np.random.Generator(np.random.SFC64(9))
    pairs = draw.standard_normal((400, 2, 512))
    assert sum(smirnov(a, b)[1] < 0.05 for a, b in pairs) <= 46
    assert sum(smirnov(a, b + 0.3)[1] < 0.05 for a, b in pairs) > 380
