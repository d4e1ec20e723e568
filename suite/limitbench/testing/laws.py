"""The contract of a law, as tests to inherit: subclass `LawContract` and give a `law` fixture or method."""

from __future__ import annotations

import abc
import pickle

import numpy as np

from limitbench.statistics.base import Law, quantile_levels, quantile_moments
from limitbench.statistics.distances import Comparison


class LawContract(abc.ABC):
    """What every law must satisfy.

    A subclass named `Test...` gives `make_law`, and may loosen the tolerances:

        class TestNormal(LawContract):
            def make_law(self) -> Law:
                return Normal(0.3, 2.0)

    Attributes:
        tolerance: of cdf(quantile(u)) = u, besides the law's own `cdf_error` and 1/`reference_size`.
        moment_tolerance: of mean and std against quadrature of the quantile function, relative to the standard
            deviation.
    """

    tolerance: float = 1e-7
    moment_tolerance: float = 1e-5

    @abc.abstractmethod
    def make_law(self) -> Law:
        """The law under test."""

    def _slack(self, law: Law) -> float:
        return self.tolerance + law.cdf_error + (0 if law.reference_size is None else 1 / law.reference_size)

    def test_cdf_rises_from_zero_to_one(self) -> None:
        """Over and beyond the bulk the cdf is within [0, 1], non-decreasing, near 0 and 1 at the far ends."""
        law = self.make_law()
        ends = law.quantile(np.array([1e-9, 1 - 1e-9]))
        spread = max(ends[1] - ends[0], 1.0)
        cdf = law.cdf(np.linspace(ends[0] - spread, ends[1] + spread, 4001))
        assert np.isfinite(cdf).all()
        assert cdf.min() >= 0
        assert cdf.max() <= 1
        assert (np.diff(cdf) >= -1e-12).all()
        assert cdf[0] <= 1e-6 + self._slack(law)
        assert cdf[-1] >= 1 - 1e-6 - self._slack(law)

    def test_quantile_is_the_inverse_of_the_cdf(self) -> None:
        """The quantile function rises, F(Q(u)) >= u, and F just below Q(u) is at most u."""
        law, u = self.make_law(), quantile_levels()
        x = law.quantile(u)
        assert np.isfinite(x).all()
        assert (np.diff(x) >= 0).all()
        assert (law.cdf(x) >= u - self._slack(law)).all()
        scale = max(float(x[-1] - x[0]), abs(float(x[0])), 1e-300)
        assert (law.cdf(x - 1e-9 * scale) <= u + self._slack(law)).all()

    def test_mean_and_std_agree_with_the_quantile_function(self) -> None:
        """Mean and std, where defined, are those of the quantile function."""
        law = self.make_law()
        mean, std = quantile_moments(law, nodes=20001)
        scale = max(std, 1e-12 * max(abs(mean), 1.0))
        if np.isfinite(law.mean):
            assert abs(law.mean - mean) <= self.moment_tolerance * scale
        if np.isfinite(law.std):
            assert abs(law.std - std) <= self.moment_tolerance * scale

    def test_samples_are_reproducible_and_follow_the_law(self) -> None:
        """Same seed, same draws; 4096 draws pass a Kolmogorov-Smirnov test (fixed seed, level 1e-6)."""
        law = self.make_law()
        draws = law.sample(4096, seed=1)
        assert draws.shape == (4096,)
        assert np.array_equal(draws, law.sample(4096, seed=1))
        if law.is_point_mass:
            assert (draws == law.mean).all()
            return
        assert not np.array_equal(draws, law.sample(4096, seed=2))
        assert Comparison.build(np.sort(draws), law).ks_pvalue > 1e-6

    def test_arrays_of_any_shape_broadcast(self) -> None:
        """cdf and quantile keep the shape of their argument, numbers included, and act point by point."""
        law = self.make_law()
        u = np.linspace(0.1, 0.9, 6).reshape(2, 1, 3)
        x = law.quantile(u)
        assert x.shape == u.shape
        assert law.cdf(x).shape == u.shape
        assert law.quantile(0.5).shape == ()
        assert law.cdf(float(x[0, 0, 0])).shape == ()
        assert float(law.quantile(float(u[1, 0, 2]))) == x[1, 0, 2]
        assert law.cdf(x).dtype == x.dtype == np.float64

    def test_pickling_keeps_the_law(self) -> None:
        """A pickled law gives the same numbers: laws travel to workers."""
        law, u = self.make_law(), quantile_levels()
        again = pickle.loads(pickle.dumps(law))
        assert np.array_equal(again.quantile(u), law.quantile(u))
        assert (again.mean, again.is_point_mass, again.reference_size, again.cdf_error) == (
            law.mean,
            law.is_point_mass,
            law.reference_size,
            law.cdf_error,
        )
