"""Infinite width: a point mass at the identity, the limit of the finite law at fixed depth."""

import pytest

from limitbench.errors import InputError
from limitbench.numerics.law_distance import deterministic_wasserstein
from limitbench.testing.theories import TheoryContract
from limitbench.theories.deep_linear import FiniteWidth, InfiniteWidth


class TestInfiniteWidth(TheoryContract):
    theories = (InfiniteWidth(), InfiniteWidth(outputs=1), InfiniteWidth(outputs=5))


def test_one_output_has_no_coupling():
    assert "q12" not in InfiniteWidth(outputs=1).observables
    assert "q12" in InfiniteWidth(outputs=2).observables


@pytest.mark.parametrize("outputs", [0, -1, True])
def test_bad_outputs_are_refused(outputs):
    with pytest.raises(InputError, match=r"^outputs:"):
        InfiniteWidth(outputs=outputs)


def test_finite_law_contracts_to_it_like_the_root_of_depth_over_width():
    """W1 to the point mass is sqrt(2/pi) sqrt(2 L/N) to leading order."""
    point = InfiniteWidth().law("log_q11")
    for width in (10_000, 1_000_000):
        distance = deterministic_wasserstein(FiniteWidth(width=width, depth=4).law("log_q11"), point)
        assert distance == pytest.approx((2 / 3.141592653589793 * 8 / width) ** 0.5, rel=5 / width**0.5)
