"""Multilevel Monte Carlo against closed forms, its decay of variances and its saving; a broken coupling is noticed.

A value is right within CRITICAL = 6.5 standard errors and its bias (a false alarm of 1e-10 each); seeds are fixed.
"""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch

from limitbench.errors import InputError
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.affine import Affine
from limitbench.numerics.stepping.bartlett import Bartlett
from limitbench.numerics.stepping.covariance import CovarianceSDE
from limitbench.numerics.stepping.milstein import Milstein
from limitbench.numerics.stepping.multilevel import multilevel
from limitbench.numerics.stepping.stepper import Stepper
from limitbench.testing.networks import CRITICAL

GROWING = Affine(1.0, 0.0, 0.5)
#: The variance of a shaped ReLU network, dV = sqrt(2) V dB.
NORM = Affine(0.0, 0.0, math.sqrt(2))


def square(x):
    return x[-1] ** 2


def estimate(stepper=None, target=1e-2, seed=1, **change):
    arguments = {"start": 1.0, "times": (0.5,), "target": target, "steps": 8, "stream": Stream(seed)} | change
    return multilevel(GROWING, stepper or Milstein(), square, **arguments)


def is_right(found, exact):
    return abs(found.value - exact) < CRITICAL * found.standard_error + 2 * found.bias


def test_second_moment_of_geometric_brownian_motion():
    found = estimate()
    assert is_right(found, math.exp(1.125))
    assert found.standard_error <= 1.05e-2
    assert found.bias <= 1e-2
    assert found.value == pytest.approx(sum(found.means))
    # without its corrections level 0 is far off
    assert abs(found.means[0] - math.exp(1.125)) > CRITICAL * found.standard_error + 2 * found.bias


@pytest.mark.parametrize(("power", "exact"), [(0.5, math.exp(-0.0625)), (2.0, math.exp(0.5))])
def test_moments_of_the_norm_sde(power, exact):
    """E V^p = e^{p (p - 1) t}."""
    found = multilevel(
        NORM,
        Milstein(),
        lambda v: v[-1].abs() ** power,
        start=1.0,
        times=(0.25,),
        target=8e-3,
        stream=Stream(2),
        steps=4,
    )
    assert is_right(found, exact)


def test_functional_of_three_inputs_and_two_times():
    """E V^{12}_s V^{12}_t = E (V^{12}_s)^2 = (e^{2s} - e^{-s})/3 without shaping, from V_0 = 1: a martingale."""

    def product(factors):
        v12 = (factors[:, 0] * factors[:, 1]).sum(1)
        return v12[0] * v12[1]

    found = multilevel(
        CovarianceSDE(3, 0.0),
        Bartlett(),
        product,
        start=torch.eye(3),
        times=(0.25, 0.5),
        target=8e-3,
        stream=Stream(3),
        steps=2,
    )
    exact = (math.exp(0.5) - math.exp(-0.25)) / 3
    assert is_right(found, exact)
    assert abs(found.value - exact / 1.5) > CRITICAL * found.standard_error + 2 * found.bias


def test_variances_fall_as_the_square_of_the_step_and_save_work():
    """Milstein: V_l falls fourfold a level, so that the cost is a fifth of plain paths' at the finest level."""
    found = estimate(target=6e-3)
    ratios = [before / after for before, after in itertools.pairwise(found.variances[1:])]
    assert len(ratios) >= 3
    assert all(3 < ratio < 5 for ratio in ratios)
    plain = found.variances[0] / found.standard_error**2 * 8 * 2 ** (len(found.samples) - 1)
    assert found.cost < plain / 5


def test_same_stream_same_numbers():
    assert estimate(target=5e-2) == estimate(target=5e-2)
    assert estimate(target=5e-2, seed=2) != estimate(target=5e-2)


@dataclass(frozen=True)
class Uncoupled(Stepper):
    """Milstein's scheme with normals joined in a wrong way."""

    wrong: str
    strong_order, weak_order = Milstein.strong_order, Milstein.weak_order

    def advance(self, problem, h, like):
        return Milstein().advance(problem, h, like)

    def join(self, problem, first, second):
        return first if self.wrong == "half of the path" else first + second


def test_a_broken_coupling_is_noticed():
    """Louder coarse steps leave corrections that never vanish, half of the path variances that fall too slowly."""
    right = estimate(target=5e-2, most_levels=5)
    with pytest.raises(InputError, match="bias at 5 levels"):
        estimate(Uncoupled("too loud"), target=5e-2, most_levels=5)
    half = estimate(Uncoupled("half of the path"), target=5e-2, most_levels=5)
    assert half.variances[2] > 20 * right.variances[2]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(InputError, match="target"):
        estimate(target=0.0)
    with pytest.raises(InputError, match="most_levels"):
        estimate(most_levels=2)
    with pytest.raises(InputError, match="target"):
        estimate(target=2e-2, most_levels=3)
