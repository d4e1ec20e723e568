"""The theory contract notices laws that are no laws."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.testing.theories import check_law


@dataclass(frozen=True)
class Altered(Law):
    """A standard normal law with one thing wrong."""

    fault: str
    base: Normal = field(default_factory=lambda: Normal(0.0, 1.0))

    @property
    def mean(self):
        return 1.0 if self.fault == "mean" else 0.0

    @property
    def std(self):
        return 2.0 if self.fault == "std" else 1.0

    def cdf(self, x):
        p = self.base.cdf(x)
        return np.asarray({"survival": 1 - p, "shifted": self.base.cdf(np.asarray(x) + 0.01)}.get(self.fault, p))

    def quantile(self, u):
        x = self.base.quantile(u)
        return np.asarray({"reversed": -x, "infinite": np.where(np.asarray(u) > 0.9, np.inf, x)}.get(self.fault, x))


@pytest.mark.parametrize("fault", ["mean", "std", "survival", "shifted", "reversed", "infinite"])
def test_contract_notices(fault):
    with pytest.raises(AssertionError):
        check_law(Altered(fault))


@pytest.mark.parametrize("law", [Altered("none"), Normal(-3.0, 0.5), PointMass(0.25)], ids=["none", "normal", "point"])
def test_contract_accepts(law):
    check_law(law)
