"""Coupled stepped paths: weak order two, and three after extrapolation."""

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.numerics.sde import coupled_paths


def pull(z):
    return -2 * z


@pytest.mark.parametrize("steps", [4, 8])
def test_heun_of_a_linear_pull_has_the_moments_of_its_recursion(steps):
    """Z' = a Z + b dB with a = 1 - 2h + 2h^2, b = 1 - h: within 4.5 standard errors at both step lengths."""
    paths = coupled_paths(pull, 1.0, 1.0, steps=steps, paths=200_000, seed=1)
    for ends, count in ((paths.coarse, steps), (paths.fine, 2 * steps)):
        h = 1 / count
        a, b = 1 - 2 * h + 2 * h**2, 1 - h
        mean, variance = a**count, b**2 * h * (1 - a ** (2 * count)) / (1 - a**2)
        assert abs(ends.mean() - mean) < 4.5 * np.sqrt(variance / ends.size)
        assert abs(ends.var() - variance) < 4.5 * variance * np.sqrt(2 / ends.size)


def test_extrapolation_removes_the_leading_step_error():
    paths = coupled_paths(pull, 1.0, 1.0, steps=4, paths=400_000, seed=2)
    mean, error = paths.expectation(lambda z: z)
    assert abs(mean - np.exp(-2)) < 4.5 * error + 2e-3
    assert abs(paths.coarse.mean() - np.exp(-2)) > 1e-2  # what it removes


def test_same_seed_same_paths_and_more_paths_extend():
    few = coupled_paths(pull, 0.5, 1.0, steps=2, paths=1 << 14, seed=3)
    many = coupled_paths(pull, 0.5, 1.0, steps=2, paths=1 << 15, seed=3)
    np.testing.assert_array_equal(many.fine[: 1 << 14], few.fine)


@pytest.mark.parametrize(("field", "change"), [("time", {"time": 0}), ("steps", {"steps": 0}), ("paths", {"paths": 0})])
def test_rejects(field, change):
    with pytest.raises(InputError, match=field):
        coupled_paths(pull, 0.0, **({"time": 1.0, "steps": 2, "paths": 2, "seed": 0} | change))
