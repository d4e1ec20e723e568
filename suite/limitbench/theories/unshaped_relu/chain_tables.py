"""A chain's last law as a table."""

from __future__ import annotations

import math

from limitbench.numerics.transition_chain import ChainLaw
from limitbench.statistics.tabulated import Tabulated

#: Levels beyond this tail probability are left to the table's own continuation.
_TAIL = 1e-13


def tabulated(law: ChainLaw) -> Tabulated:
    """The law with its own mean and standard deviation."""
    inside = (law.cdf > _TAIL) & (law.survival > _TAIL)
    mean = law.expectation(law.nodes)
    std = math.sqrt(law.expectation((law.nodes - mean) ** 2))
    return Tabulated(
        law.nodes[inside], law.cdf[inside], mean=mean, std=std, cdf_error=1e-7, survival=law.survival[inside]
    )
