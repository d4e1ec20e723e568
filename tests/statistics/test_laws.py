"""Laws keep their contract, and tables keep the accuracy that scores need."""

import math

import numpy as np
import pytest
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.base import Law, quantile_levels, quantile_moments
from limitbench.statistics.laws import Empirical, Normal, PointMass, Tabulated, Transformed
from limitbench.testing.laws import LawContract


def tabulated(law, nodes: int = 2001, **options: object) -> Tabulated:
    """A table of a scipy law on a nonuniform mesh, with its survival function."""
    x = np.unique(law.ppf(stats.norm.cdf(np.linspace(-7, 7, nodes))))
    return Tabulated(x, law.cdf(x), survival=law.sf(x), cdf_error=1e-9, **options)


class TestPointMass(LawContract):
    def make_law(self) -> Law:
        return PointMass(-0.7)


class TestNormal(LawContract):
    def make_law(self) -> Law:
        return Normal(0.3, 2.0)


class TestEmpirical(LawContract):
    moment_tolerance = 5e-3  # the quadrature sees the steps of the quantile function

    def make_law(self) -> Law:
        return Empirical(np.random.default_rng(0).gamma(2.0, size=5000))


class TestTabulatedGumbel(LawContract):
    def make_law(self) -> Law:
        return tabulated(stats.gumbel_r())


class TestTabulatedOnBoundedSupport(LawContract):
    tolerance = 1e-6  # the first and last cells of the support are linear in F

    def make_law(self) -> Law:
        x = np.linspace(0, 1, 2001)
        return Tabulated(x, stats.beta(2.0, 3.0).cdf(x))


class TestIncreasingTransform(LawContract):
    def make_law(self) -> Law:
        return Transformed(Normal(0.0, 0.5), np.exp, np.log)


class TestDecreasingTransform(LawContract):
    def make_law(self) -> Law:
        return Transformed(Normal(1.0, 0.5), np.negative, np.negative, increasing=False)


def test_contract_notices_a_law_whose_quantile_is_of_another_scale():
    class Wrong(TestNormal):
        def make_law(self) -> Law:
            return Transformed(Normal(0.3, 2.0), lambda x: 1.01 * x, lambda x: x)

    with pytest.raises(AssertionError):
        Wrong().test_quantile_is_the_inverse_of_the_cdf()


@pytest.mark.parametrize(
    "law", [stats.norm(0.3, 1.7), stats.gumbel_r(), stats.logistic(), stats.t(5), stats.gamma(0.7)]
)
def test_a_table_of_two_thousand_nodes_is_right_to_1e_7(law):
    table, x, u = tabulated(law), law.rvs(5000, random_state=1), np.linspace(1e-4, 1 - 1e-4, 4001)
    assert np.abs(table.cdf(x) - law.cdf(x)).max() < 1e-7
    assert np.abs(table.quantile(u) - law.ppf(u)).max() < 1e-7 * law.std()
    assert np.abs(table.mean - law.mean()) < 1e-7 * law.std()
    # companion: a table of 60 nodes is not
    assert np.abs(tabulated(law, nodes=60).quantile(u) - law.ppf(u)).max() > 1e-7 * law.std() or law.dist.name == "norm"


def test_tails_of_a_table_keep_relative_accuracy():
    law = stats.gumbel_r()
    table = tabulated(law)
    u = np.array([1e-10, 1e-8, 1e-6])
    assert table.cdf(law.ppf(u)) == pytest.approx(u, rel=1e-6)
    assert 1 - table.cdf(law.isf(u[1:])) == pytest.approx(u[1:], rel=1e-6)
    x = np.unique(law.ppf(stats.norm.cdf(np.linspace(-7, 7, 2001))))
    assert Tabulated(x, law.cdf(x)).quantile(1 - 1e-8) == pytest.approx(law.isf(1e-8), rel=1e-6)


def test_given_moments_are_kept():
    law = tabulated(stats.gumbel_r(), mean=0.5, std=2.0)
    assert (law.mean, law.std) == (0.5, 2.0)


def test_transform_agrees_with_the_closed_form_of_the_log_normal_law():
    law, exact = Transformed(Normal(0.0, 1.0), np.exp, np.log), stats.lognorm(1.0)
    x = np.linspace(-1.0, 9.0, 101)
    assert law.cdf(x) == pytest.approx(exact.cdf(x), abs=1e-14)  # below the range of exp the cdf is 0
    assert law.mean == pytest.approx(exact.mean(), rel=1e-9)
    assert law.std == pytest.approx(exact.std(), rel=1e-6)


def test_decreasing_transform_reverses_the_law():
    law = Transformed(Normal(1.0, 2.0), np.negative, np.negative, increasing=False)
    x = np.linspace(-8, 8, 41)
    assert law.cdf(x) == pytest.approx(Normal(-1.0, 2.0).cdf(x), abs=1e-14)
    assert law.quantile(0.1) == pytest.approx(float(Normal(-1.0, 2.0).quantile(0.1)), abs=1e-12)


def test_transforms_inherit_what_kind_of_law_they_are():
    assert Transformed(PointMass(2.0), np.exp, np.log).is_point_mass
    assert Transformed(Empirical([1.0, 2.0]), np.exp, np.log).reference_size == 2


def test_empirical_law_is_the_step_function_of_its_draws():
    law = Empirical([3.0, 1.0, 2.0, 2.0])
    assert list(law.cdf(np.array([0.9, 1.0, 2.0, 2.5, 3.0]))) == [0.0, 0.25, 0.75, 0.75, 1.0]
    assert list(law.quantile(np.array([0.25, 0.26, 0.75, 0.76]))) == [1.0, 2.0, 2.0, 3.0]
    assert law.reference_size == 4


def test_normal_moments_by_quadrature():
    assert quantile_moments(Normal(0.3, 2.0)) == pytest.approx((0.3, 2.0), abs=1e-12)


def test_quantile_levels_are_those_of_the_schema():
    levels = quantile_levels()
    assert levels.shape == (513,)
    assert (levels[0], levels[256], levels[-1]) == (1e-4, 0.5, 1 - 1e-4)
    assert (np.diff(levels) > 0).all()
    assert (levels + levels[::-1] == 1).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PointMass(math.nan),
        lambda: Normal(0.0, 0.0),
        lambda: Normal(math.inf, 1.0),
        lambda: Empirical([]),
        lambda: Empirical([1.0, math.nan]),
        lambda: Tabulated([0.0, 0.0], [0.1, 0.9]),
        lambda: Tabulated([0.0, 1.0, 2.0], [0.1, 0.9, 0.5]),
        lambda: Tabulated([0.0, 1.0], [0.1, 1.9]),
        lambda: Tabulated([0.0, 1.0], [0.0, 1.0]),
        lambda: Tabulated([0.0, 1.0], [0.1, 0.9], survival=[0.9, 0.5]),
    ],
)
def test_what_is_no_law_is_refused(make):
    with pytest.raises(InputError):
        make()
