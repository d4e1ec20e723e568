"""Contract tests that every theory passes; inherit `TheoryContract` and give it theories.

```python
class TestInfiniteWidth(TheoryContract):
    theories = (InfiniteWidth(depth=8, width=64, c_plus=0.0, c_minus=-1.0),)
```
"""

from __future__ import annotations

import dataclasses
import pickle
from typing import ClassVar

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.statistics.base import quantile_moments
from limitbench.statistics.laws import Law
from limitbench.statistics.observables import OBSERVABLES
from limitbench.theories.base import Theory


def check_law(law: Law) -> None:
    """Assert that `law` behaves as a probability law: monotone cdf, quantile its generalised inverse.

    Checks shapes and dtypes, 0 <= cdf <= 1, that both functions are non-decreasing, `cdf(quantile(u)) >= u` and
    `cdf(just below quantile(u)) <= u` up to the law's own `cdf_error`, that draws repeat, and, where they exist, that
    mean and std are those of the quantile function up to its tails.
    """
    u = np.linspace(0.0005, 0.9995, 1000)
    x = law.quantile(u)
    assert x.shape == u.shape
    assert x.dtype == np.float64
    assert np.all(np.isfinite(x))
    assert np.all(np.diff(x) >= 0), "quantile decreases"
    p = law.cdf(x)
    assert p.shape == x.shape
    assert p.dtype == np.float64
    assert np.all((p >= 0) & (p <= 1))
    assert np.all(np.diff(p) >= 0), "cdf decreases"
    slack = 2 * law.cdf_error + 1e-9
    step = 1e-9 * np.maximum(np.abs(x), 1e-3) + 1e-9 * (x[-1] - x[0])
    assert np.all(law.cdf(x + step) >= u - slack), "cdf(quantile(u)) < u"
    assert np.all(law.cdf(x - step) <= u + slack), "quantile(u) is not the smallest point that reaches u"
    assert np.ndim(law.cdf(float(x[0]))) == 0
    assert law.quantile(u.reshape(10, 100)).shape == (10, 100)
    far = np.array([x[0] - 1e6 * (1 + abs(x[0])), x[-1] + 1e6 * (1 + abs(x[-1]))])
    assert np.allclose(law.cdf(far), [0, 1], atol=1e-3)
    np.testing.assert_array_equal(law.sample(16, seed=3), law.sample(16, seed=3))
    if law.is_point_mass:
        assert x[0] == x[-1] == law.mean
        assert law.std == 0
        return
    assert x[0] < x[-1]
    assert np.any(law.sample(16, seed=3) != law.sample(16, seed=4))
    if np.isfinite(law.std):
        assert law.std > 0
        # The quantile function on 0.05 % .. 99.95 % misses its tails: a coarse guard against wrong units and signs.
        assert abs(law.mean - x.mean()) < 0.1 * law.std
        assert law.std / x.std() > 0.8
        # a mixture over many scales has its variance beyond those levels, as its own quantiles show
        heavy = quantile_moments(law)[1] > 1.25 * x.std()
        assert heavy or law.std / x.std() < 1.5


class TheoryContract:
    """What every theory promises.

    Attributes:
        theories: instances that cover its parameter range.
        own_observables: names that it has laws for, beyond the catalogue of `statistics.observables`.
    """

    theories: ClassVar[tuple[Theory, ...]] = ()
    own_observables: ClassVar[tuple[str, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every contract test once per theory (pytest calls this on collection)."""
        if "theory" in metafunc.fixturenames:
            metafunc.parametrize("theory", self.theories, ids=repr)

    def test_describes_itself(self, theory: Theory) -> None:
        """Name, title, reference, time variable and validity are there; the name is lower-case words."""
        for text in (theory.name, theory.title, theory.reference, theory.time_variable, theory.validity):
            assert isinstance(text, str)
            assert text.strip()
        assert all(word.isalnum() and word == word.lower() for word in theory.name.split("-"))

    def test_is_a_frozen_value(self, theory: Theory) -> None:
        """A frozen dataclass: hashable, equal to its copy, unchanged by pickling."""
        assert dataclasses.is_dataclass(theory)
        field = dataclasses.fields(theory)[0].name  # type: ignore[unreachable]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(theory, field, getattr(theory, field))
        copy = pickle.loads(pickle.dumps(theory))
        assert copy == theory
        assert hash(copy) == hash(theory)

    def test_every_listed_observable_has_a_law(self, theory: Theory) -> None:
        """Listed observables are in the catalogue and their laws behave as laws."""
        assert theory.observables
        assert len(set(theory.observables)) == len(theory.observables)
        for observable in theory.observables:
            assert observable in OBSERVABLES or observable in self.own_observables
            law = theory.law(observable)
            assert isinstance(law, Law)
            check_law(law)

    def test_says_nothing_about_other_observables(self, theory: Theory) -> None:
        """Everything else is an input error that names what would be accepted."""
        for observable in (*(set(OBSERVABLES) - set(theory.observables)), "no_such_observable", ""):
            with pytest.raises(InputError, match="observable"):
                theory.law(observable)

    def test_law_is_repeatable(self, theory: Theory) -> None:
        """Asking twice gives the same numbers, estimated laws included."""
        u = np.linspace(0.01, 0.99, 25)
        for observable in theory.observables:
            np.testing.assert_array_equal(theory.law(observable).quantile(u), theory.law(observable).quantile(u))
