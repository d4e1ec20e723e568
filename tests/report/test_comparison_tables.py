"""The distance of two tables of quantiles, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from limitbench.report.comparison.tables import allowed_difference, cdf_difference, sampling_pvalue
from limitbench.statistics.laws import Bernoulli, Empirical, Law, Normal, quantile_levels

LEVELS = quantile_levels()


def table(law: Law) -> np.ndarray:
    return law.quantile(LEVELS)


@pytest.mark.parametrize("shift", [1e-8, 1e-4, 0.01, 0.5, 3.0])
def test_two_shifted_normal_laws_differ_by_their_kolmogorov_distance(shift: float) -> None:
    found = cdf_difference(LEVELS, table(Normal(0.0, 1.0)), table(Normal(shift, 1.0)))
    assert found == pytest.approx(2 * ndtr(shift / 2) - 1, rel=2e-3)


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
