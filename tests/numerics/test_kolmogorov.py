"""The Kolmogorov-forward solver on diffusions whose law is known."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from limitbench.errors import InputError
from limitbench.numerics.kolmogorov import solve_forward


@pytest.mark.parametrize(("rate", "start", "time"), [(1.0, 1.5, 1.0), (0.2, -1.0, 4.0), (3.0, 1.0, 0.1)])
def test_cdf_of_ornstein_uhlenbeck(rate, start, time):
    lower = min(start, start * math.exp(-rate * time)) - 9 * math.sqrt(time)
    solution = solve_forward(lambda z: -rate * z, start, time, lower, max(start, 0.0) + 9 * math.sqrt(time))
    mean, variance = start * math.exp(-rate * time), (1 - math.exp(-2 * rate * time)) / (2 * rate)
    exact = ndtr((solution.z - mean) / math.sqrt(variance))
    assert np.abs(solution.cdf - exact).max() < 1e-7
    assert np.abs(solution.cdf - exact).max() < solution.error < 1e-6
    wrong = ndtr((solution.z - mean) / math.sqrt(time))  # the variance without the pull
    assert np.abs(solution.cdf - wrong).max() > 1e-3


def test_cdf_of_a_diffusion_with_a_two_sided_drift():
    """dZ = tanh(Z) dt + dB started at x is Brownian motion with drift +1 or -1, chosen with odds e^{2x}."""
    start, time = 0.4, 1.5
    solution = solve_forward(np.tanh, start, time, start - 12, start + 12)
    up = 1 / (1 + math.exp(-2 * start))
    exact = sum(p * ndtr((solution.z - start - s * time) / math.sqrt(time)) for p, s in ((up, 1), (1 - up, -1)))
    assert np.abs(solution.cdf - exact).max() < 1e-7
    even = sum(0.5 * ndtr((solution.z - start - s * time) / math.sqrt(time)) for s in (1, -1))
    assert np.abs(solution.cdf - even).max() > 1e-2


def test_error_falls_at_order_four():
    errors = []
    for nodes in (200, 400):
        solution = solve_forward(np.tanh, 0.4, 1.5, -12, 12, nodes=nodes)
        up = 1 / (1 + math.exp(-0.8))
        exact = sum(p * ndtr((solution.z - 0.4 - s * 1.5) / math.sqrt(1.5)) for p, s in ((up, 1), (1 - up, -1)))
        errors.append(np.abs(solution.cdf - exact).max())
    assert 10 < errors[0] / errors[1] < 40


def test_start_from_a_law():
    solution = solve_forward(np.zeros_like, 0.0, 1.0, -14, 14, initial=lambda z: ndtr(z / 0.5))
    assert np.abs(solution.cdf - ndtr(solution.z / math.sqrt(1.25))).max() < 1e-7


def test_expectation_of_a_bounded_function():
    solution = solve_forward(np.zeros_like, 0.3, 1.0, -12, 12)
    damped = solution.expectation(lambda z: -np.exp(-z * z / 2), lambda z: z * np.exp(-z * z / 2))
    assert damped == pytest.approx(-math.exp(-0.045 / 2) / math.sqrt(2), abs=1e-7)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("start", {"start": 3.0}),
        ("time", {"time": 0.0}),
        ("time", {"time": math.inf}),
        ("nodes", {"nodes": 31}),
    ],
)
def test_rejects(field, change):
    arguments = {"start": 0.0, "time": 1.0, "lower": -2.0, "upper": 2.0} | change
    with pytest.raises(InputError, match=field):
        solve_forward(np.zeros_like, **arguments)
