"""Stepped paths: fused steps, several times from one pass, coupled step lengths, drift and flow, refusals.

Statistics are compared within CRITICAL = 6.5 standard errors (a false alarm of 1e-10 each), seeds are fixed.
"""

import math

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.numerics.correlation_sde import forward_cdf
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.additive import ornstein_uhlenbeck
from limitbench.numerics.stepping.affine import Affine, Trapezium
from limitbench.numerics.stepping.bartlett import Bartlett
from limitbench.numerics.stepping.correlation import CorrelationSDE, arc_polynomial, correlation_paths
from limitbench.numerics.stepping.covariance import CovarianceSDE
from limitbench.numerics.stepping.euler import EulerMaruyama
from limitbench.numerics.stepping.heun import Heun
from limitbench.numerics.stepping.milstein import Milstein
from limitbench.numerics.stepping.platen import Platen
from limitbench.numerics.stepping.richardson import Richardson
from limitbench.numerics.stepping.simulate import coupled, simulate
from limitbench.testing.networks import CRITICAL

KAPPA = 1 / (2 * math.pi)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str)
def test_fused_step_of_the_correlation_is_the_plain_one(dtype, tolerance):
    rho = torch.linspace(-1, 1, 4001, dtype=dtype)
    xi = Stream(1).normal_(torch.empty(1, 4001)).to(dtype)
    h = 0.02

    def plain(kappa):
        problem = CorrelationSDE(kappa)
        moved = rho + h * problem.drift(rho) + math.sqrt(h) * problem.diffusion(rho) * xi[0]
        problem.project(moved)
        return moved

    fused = rho.clone()
    CorrelationSDE(1.4).euler(h, rho)(fused, xi.clone())
    assert (fused - plain(1.4)).abs().max() < tolerance
    assert (fused - plain(1.4 * 1.001)).abs().max() > 40 * tolerance
    assert fused[-1] == 1  # parallel inputs stay so
    assert fused.min() >= -1


@pytest.mark.parametrize(("degree", "error"), [(5, 3e-6), (14, 2e-13)])
def test_polynomial_of_nu_has_the_stated_error(degree, error):
    rho = np.linspace(-1, 1, 20_001)
    exact = np.sqrt(1 - rho**2) - rho * np.arccos(rho)
    q = np.polynomial.Polynomial(arc_polynomial(degree))(np.sqrt(1 - rho**2))
    found = np.abs(math.pi / 2 * (1 - rho) + (1 - rho**2) * q - exact).max()
    assert error / 10 < found < error


@pytest.mark.parametrize("generator", ["torch", "vsl"])
def test_correlation_paths_have_the_moments_of_the_forward_equation(generator):
    """Mean and second moment at two times from float32 paths; without nu they are 30 standard errors away."""
    try:
        Stream(0, generator=generator)
    except InputError:
        pytest.skip("limitbench[fast] is not installed")
    times, paths = (0.5, 1.0), 1 << 16
    drawn = correlation_paths(
        KAPPA, rho0=0.3, times=times, steps=32, paths=paths, seed=3, stepper=Platen(), generator=generator
    ).double()

    def scores(kappa):
        for time, rho in zip(times, drawn, strict=True):
            law = forward_cdf(time, kappa, 0.3)
            mean = law.expectation(np.tanh, lambda z: np.cosh(z) ** -2.0)
            square = law.expectation(lambda z: np.tanh(z) ** 2, lambda z: 2 * np.tanh(z) / np.cosh(z) ** 2)
            yield abs(float(rho.mean()) - mean) / float(rho.std()) * math.sqrt(paths)
            yield abs(float((rho**2).mean()) - square) / float((rho**2).std()) * math.sqrt(paths)

    assert max(scores(KAPPA)) < CRITICAL
    assert max(scores(0.0)) > 30


def test_states_at_several_times_are_those_of_one_process():
    """Stationary Ornstein-Uhlenbeck: Cov(X_s, X_t) = e^{-(t - s)}/2, far from it between strangers."""
    problem, paths = ornstein_uhlenbeck(1.0, 1.0), 1 << 15
    start, times = 0.0, (5.0, 5.5, 6.5)
    one, two, three = simulate(
        problem, Heun(), start=start, times=times, steps=104, paths=paths, stream=Stream(2)
    ).double()

    def score(x, y, lag):
        return abs(float((x * y).mean()) - math.exp(-lag) / 2) / float((x * y).std()) * math.sqrt(paths)

    assert max(score(one, two, 0.5), score(two, three, 1.0), score(one, three, 1.5), score(one, one, 0)) < CRITICAL
    assert score(one, two.flip(0), 0.5) > 20


def test_finest_of_coupled_lengths_is_the_simulation_and_more_paths_extend():
    problem = CorrelationSDE(KAPPA)
    block = 1 << 16
    arguments = {"start": 0.3, "times": (0.3, 1.0)}
    fine = simulate(problem, Milstein(), steps=10, paths=block + 8, stream=Stream(4), **arguments)
    assert torch.equal(
        simulate(problem, Milstein(), steps=10, paths=block, stream=Stream(4), **arguments), fine[:, :-8]
    )
    levels = coupled(problem, Milstein(), steps=10, levels=3, paths=512, stream=Stream(4), **arguments)
    finest = coupled(problem, Milstein(), steps=10, levels=1, refined=2, paths=512, stream=Stream(4), **arguments)
    assert torch.equal(levels[-1:], finest)
    # the further apart the lengths, the further apart the ends
    near, far = ((levels[i] - levels[2]).square().mean() for i in (1, 0))
    assert 0 < near < far / 2


@pytest.mark.parametrize(
    ("stepper", "problem", "sums"),
    [
        (EulerMaruyama(), CovarianceSDE(3, 0.1), 6),
        (Platen(), CovarianceSDE(3, 0.1), 6),
        (Bartlett(), CovarianceSDE(3, 0.1), 9),
    ],
    ids=["euler", "platen", "bartlett"],
)
def test_joined_normals_are_standard_and_follow_the_path(stepper, problem, sums):
    """Unit covariance, and the sum of all increments is kept."""
    count, paths = stepper.normals(problem), 1 << 15
    first, second = (Stream(seed).normal_(torch.empty(count, paths)).double() for seed in (5, 6))
    joined = stepper.join(problem, first, second)
    covariance = joined @ joined.T / paths
    assert (covariance - torch.eye(count)).abs().max() < CRITICAL * math.sqrt(2 / paths)
    kept = joined[:sums].sum(0) * math.sqrt(2) - (first + second)[:sums].sum(0)
    assert kept.abs().max() < 1e-12


def test_flow_of_three_correlations_follows_their_drift():
    """(flow over h - identity)/h is the velocity; lengths of rows stay; nu of another constant is noticed."""
    factor = torch.linalg.cholesky(
        torch.tensor([[1.0, 0.4, -0.2], [0.4, 0.7, 0.3], [-0.2, 0.3, 1.5]], dtype=torch.float64)
    )[:, :, None]
    h, problem = 1e-6, CovarianceSDE(3, 1.4)
    moved = factor.clone()
    problem.flow(moved, h)
    velocity = (moved - factor) / h
    assert (velocity - problem.shaping(factor)).abs().max() < 1e-5
    assert (velocity - CovarianceSDE(3, 1.41).shaping(factor)).abs().max() > 1e-3
    v = factor[:, :, 0] @ factor[:, :, 0].T
    rate = torch.einsum("ikn,jkn->ij", problem.shaping(factor), factor)
    rho = v / torch.outer(v.diag().sqrt(), v.diag().sqrt())
    nu = 1.4 * ((1 - rho**2).clamp(min=0).sqrt() - rho * torch.acos(rho.clamp(-1, 1)))
    expected = nu * torch.outer(v.diag().sqrt(), v.diag().sqrt())
    assert (rate + rate.T - expected).abs().max() < 1e-10


def test_richardson_expectation_of_a_functional_of_two_times():
    """E X_s X_t = e^{mu (s + t) + sigma^2 s}; the plain coarse paths are off by twenty times the error."""
    problem, arguments = Affine(1.0, 0.0, 0.2), {"start": 1.0, "times": (0.5, 1.0), "steps": 8, "paths": 1 << 15}
    exact = math.exp(1.5 + 0.04 * 0.5)
    value, error = Richardson(Platen()).expectation(problem, lambda x: x[0] * x[1], stream=Stream(7), **arguments)
    assert abs(value - exact) < CRITICAL * error
    plain = simulate(problem, EulerMaruyama(), stream=Stream(7), **arguments)
    assert abs(float((plain[0] * plain[1]).mean()) - exact) > 20 * error


@pytest.mark.parametrize(
    ("field", "stepper", "problem", "change"),
    [
        ("steps", EulerMaruyama(), CorrelationSDE(1.0), {"steps": 0}),
        ("paths", EulerMaruyama(), CorrelationSDE(1.0), {"paths": 0}),
        ("times", EulerMaruyama(), CorrelationSDE(1.0), {"times": (1.0, 0.5)}),
        ("times", EulerMaruyama(), CorrelationSDE(1.0), {"times": ()}),
        ("stepper", Heun(), CorrelationSDE(1.0), {}),
        ("stepper", Milstein(), CovarianceSDE(2, 1.0), {}),
        ("stepper", Bartlett(), CorrelationSDE(1.0), {}),
        ("problem", Trapezium(), CorrelationSDE(1.0), {}),
    ],
)
def test_what_cannot_be_stepped_is_refused_by_name(field, stepper, problem, change):
    with pytest.raises(InputError, match=field):
        simulate(
            problem, stepper, **({"start": 0.3, "times": (1.0,), "steps": 2, "paths": 2, "stream": Stream(0)} | change)
        )


def test_bad_coefficients_and_starts_are_named():
    for make in (lambda: CorrelationSDE(-1.0), lambda: CovarianceSDE(2, math.nan)):
        with pytest.raises(InputError, match="coefficient"):
            make()
    with pytest.raises(InputError, match="inputs"):
        CovarianceSDE(0, 1.0)
    with pytest.raises(InputError, match="rho0"):
        correlation_paths(1.0, rho0=1.5, times=(1.0,), steps=1, paths=1, seed=0)
