"""Strong and weak orders of every stepper on every problem that it supports, against those that it declares.

Weak errors come from scrambled Sobol points in a Haar basis of the Brownian path: at 16 steps their sampling error is a
tenth of the step error or less. Strong errors come from coupled paths of the same noise. Nothing here is a test of
hypothesis: seeds are fixed, and orders that are wrong by a half fall out of the windows (companions at the end).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import qmc

from limitbench.numerics.correlation_sde import forward_cdf
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.additive import ornstein_uhlenbeck
from limitbench.numerics.stepping.affine import Affine, Trapezium
from limitbench.numerics.stepping.bartlett import Bartlett
from limitbench.numerics.stepping.correlation import CorrelationSDE
from limitbench.numerics.stepping.covariance import CovarianceProblem, CovarianceSDE
from limitbench.numerics.stepping.euler import EulerMaruyama
from limitbench.numerics.stepping.heun import Heun
from limitbench.numerics.stepping.milstein import Milstein
from limitbench.numerics.stepping.platen import Platen
from limitbench.numerics.stepping.problem import Problem
from limitbench.numerics.stepping.richardson import Richardson
from limitbench.numerics.stepping.simulate import coupled, simulate
from limitbench.numerics.stepping.stepper import Stepper

KAPPA, RHO0, TIME = 16 / (2 * math.pi), -0.9, 0.5
PATHS, REPEATS = 1 << 13, 3


def squared_correlation():
    """E rho^2 at TIME by the forward equation."""
    solution = forward_cdf(TIME, KAPPA, RHO0)
    return solution.expectation(lambda z: np.tanh(z) ** 2, lambda z: 2 * np.tanh(z) / np.cosh(z) ** 2)


def first_correlation(factors):
    along, across = factors[1, 0], factors[1, 1]
    return along / (along**2 + across**2).sqrt()


@dataclass(frozen=True)
class Case:
    problem: Problem
    start: float | torch.Tensor
    function: Callable[[torch.Tensor], torch.Tensor]
    exact: Callable[[], float]


CASES = {
    "geometric Brownian motion": Case(Affine(1.5, 0.0, 0.3), 1.0, lambda x: x**2, lambda: math.exp(3.09 * TIME)),
    "affine": Case(Affine(1.5, 2.0, 0.3), 1.0, lambda x: x, lambda: math.exp(0.75) + 2 * math.expm1(0.75) / 1.5),
    "Ornstein-Uhlenbeck": Case(
        ornstein_uhlenbeck(2.0, 1.0), 2.0, lambda x: x**2, lambda: 4 * math.exp(-2) + (1 - math.exp(-2)) / 4
    ),
    "correlation SDE": Case(CorrelationSDE(KAPPA), RHO0, lambda x: x**2, squared_correlation),
    "covariance SDE": Case(
        CovarianceSDE(2, KAPPA),
        torch.tensor([[1.0, 0.0], [RHO0, math.sqrt(1 - RHO0**2)]], dtype=torch.float64),
        lambda x: first_correlation(x) ** 2,
        squared_correlation,
    ),
}
#: The same with more noise and less drift, where strong errors show the noise's part.
NOISY = {
    "geometric Brownian motion": (Affine(0.5, 0.0, 1.0), 1.0),
    "affine": (Affine(0.5, 1.0, 1.0), 1.0),
    "Ornstein-Uhlenbeck": (ornstein_uhlenbeck(2.0, 1.0), 2.0),
    "correlation SDE": (CorrelationSDE(0.2), 0.3),
    "covariance SDE": (CovarianceSDE(2, 0.2), torch.tensor([[1.0, 0.0], [0.3, math.sqrt(0.91)]])),
}
STEPPERS = [EulerMaruyama(), Milstein(), Heun(), Platen(), Bartlett(), Trapezium()]


def supports(stepper, problem):
    if isinstance(stepper, Bartlett):
        return isinstance(problem, CovarianceProblem)
    if isinstance(stepper, Trapezium):
        return isinstance(problem, Affine) and problem.source > 0  # without source it has no error
    return problem.noise in stepper.weak_order


TABLE = [(stepper, name) for stepper in STEPPERS for name in CASES if supports(stepper, CASES[name].problem)]
NAMES = [f"{type(stepper).__name__}, {name}" for stepper, name in TABLE]


class SobolStream(Stream):
    """Normals of one block of paths whose path space is filled evenly, coarse movements first."""

    def __init__(self, seed: int, steps: int, normals: int) -> None:
        super().__init__(seed)
        points = qmc.Sobol(steps * normals, rng=seed).random(PATHS).clip(1e-12, 1 - 1e-12)
        waves = ndtri(points).T.reshape(steps, normals, PATHS)
        self._draws = iter(torch.from_numpy(np.einsum("ws,wnp->snp", haar(steps), waves)))

    def normal_(self, out):
        return out.copy_(next(self._draws))


def haar(size):
    if size == 1:
        return np.ones((1, 1))
    return np.vstack([np.kron(haar(size // 2), [1, 1]), np.kron(np.eye(size // 2), [1, -1])]) / math.sqrt(2)


def weak_errors(stepper, case, counts):
    """E f(X_h) - E f(X) at the numbers of steps in `counts`."""

    def mean(steps, seed):
        stream = SobolStream(seed, steps, stepper.normals(case.problem))
        arguments = {"start": case.start, "times": (TIME,), "steps": steps, "paths": PATHS, "dtype": torch.float64}
        return float(case.function(simulate(case.problem, stepper, stream=stream, **arguments)[0]).mean())

    return [np.mean([mean(steps, seed) for seed in range(REPEATS)]) - case.exact() for steps in counts]


def weak_order(stepper, case):
    return math.log2(np.divide(*np.abs(weak_errors(stepper, case, (8, 16)))))


def strong_order(stepper, problem, start):
    """From the root mean squares of X_h - X_{h/2} at 32 and 64 steps."""
    arguments = {"start": start, "times": (TIME,), "steps": 32, "levels": 3, "paths": 1 << 12, "stream": Stream(1)}
    levels = coupled(problem, stepper, **arguments, dtype=torch.float64)
    errors = [float((one - two).square().mean().sqrt()) for one, two in itertools.pairwise(levels)]
    return math.log2(errors[0] / errors[1])


def weak_as_declared(measured, declared):
    """Errors of opposite signs may only make it better for a while."""
    return -0.3 < measured - declared < 0.75


def strong_as_declared(measured, declared):
    return abs(measured - declared) < 0.2


@pytest.mark.parametrize(("stepper", "name"), TABLE, ids=NAMES)
def test_weak_order_is_the_declared_one(stepper, name):
    case = CASES[name]
    declared = stepper.weak_order[case.problem.noise]
    measured = weak_order(stepper, case)
    assert weak_as_declared(measured, declared), measured
    assert not any(weak_as_declared(measured, wrong) for wrong in (declared - 1, declared + 1))


@pytest.mark.parametrize(("stepper", "name"), TABLE, ids=NAMES)
def test_strong_order_is_the_declared_one(stepper, name):
    problem, start = NOISY[name]
    declared = stepper.strong_order[problem.noise]
    measured = strong_order(stepper, problem, start)
    assert strong_as_declared(measured, declared), measured
    assert not any(strong_as_declared(measured, wrong) for wrong in (declared - 0.5, declared + 0.5))


@pytest.mark.parametrize(
    ("stepper", "name", "least"),
    [
        (EulerMaruyama(), "geometric Brownian motion", 4),
        (EulerMaruyama(), "affine", 4),
        (Milstein(), "correlation SDE", 4),
        (Platen(), "geometric Brownian motion", 2),
        (Platen(), "affine", 2),
    ],
    ids=str,
)
def test_richardson_extrapolation_gains_one_weak_order(stepper, name, least):
    case, noise = CASES[name], CASES[name].problem.noise
    scheme = Richardson(stepper)
    errors = torch.tensor(weak_errors(stepper, case, (least, 2 * least, 4 * least)))
    coarse, fine = scheme.combine(noise, errors[:-1], errors[1:]).abs().tolist()
    assert weak_as_declared(math.log2(coarse / fine), scheme.weak_order[noise])
    assert fine < abs(errors[2]) / 4


@dataclass(frozen=True)
class Defective(Stepper):
    """A stepper under which another problem is stepped in secret."""

    strong_order, weak_order = Platen.strong_order, Platen.weak_order
    stepper: Stepper
    change: Callable[[Problem, float], Problem]

    def normals(self, problem):
        return self.stepper.normals(problem)

    def join(self, problem, first, second):
        return self.stepper.join(problem, first, second)

    def advance(self, problem, h, like):
        return self.stepper.advance(self.change(problem, h), h, like)


@dataclass(frozen=True)
class Unsplit(Stepper):
    """Bartlett's step with all of its drift before the noise, and not half before and half after: first order."""

    strong_order, weak_order = Bartlett.strong_order, Bartlett.weak_order

    def normals(self, problem):
        return Bartlett().normals(problem)

    def advance(self, problem, h, like):
        noise = Bartlett().advance(CovarianceSDE(problem.inputs, 0.0), h, like)

        def advance(x, xi):
            problem.flow(x, h)
            noise(x, xi)

        return advance


def test_a_step_that_loses_an_order_is_noticed():
    """Noise off by h sigma in Platen's and Milstein's steps, and a drift that is not split in Bartlett's."""
    case = CASES["geometric Brownian motion"]
    louder = Defective(Platen(), lambda problem, h: Affine(problem.growth, problem.source, problem.sigma * (1 + h)))
    assert not weak_as_declared(weak_order(louder, case), 2)
    euler = strong_order(Defective(EulerMaruyama(), lambda problem, h: problem), *NOISY["geometric Brownian motion"])
    assert not strong_as_declared(euler, Milstein.strong_order["scalar"])
    assert not weak_as_declared(weak_order(Unsplit(), CASES["covariance SDE"]), 2)
