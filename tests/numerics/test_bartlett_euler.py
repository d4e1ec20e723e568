"""The m-point covariance SDE by structured steps: generator, exact moments, degenerate inputs.

Simulated means are compared within 4.5 standard errors a number, with fixed seeds.
"""

import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.numerics.bartlett_euler import covariance_paths

GRAM = np.array([[1.0, 0.4, -0.2], [0.4, 0.7, 0.3], [-0.2, 0.3, 1.5]])


def covariances(*args, **kwargs):
    factor = covariance_paths(*args, **kwargs)
    return np.einsum("ikn,jkn->ijn", factor, factor)


def worst(values, expected):
    """Largest deviation of the mean over paths from `expected`, in standard errors."""
    error = values.std(axis=-1) / math.sqrt(values.shape[-1])
    return float((np.abs(values.mean(axis=-1) - expected) / error).max())


def test_covariance_is_a_martingale_without_shaping():
    v = covariances(GRAM, 0.5, 0.0, 8, 100_000, seed=1)
    assert worst(v, GRAM) < 4.5


def test_second_moments_without_shaping():
    """d E[V^{ab} V^{cd}] = E[V^{ac} V^{bd} + V^{ad} V^{bc}] dt, a closed linear system: exact at every time."""
    time, size = 0.3, 3
    index = np.arange(size**4).reshape((size,) * 4)
    system = np.zeros((size**4,) * 2)
    for a, b, c, d in np.ndindex(*index.shape):
        system[index[a, b, c, d], index[a, c, b, d]] += 1
        system[index[a, b, c, d], index[a, d, b, c]] += 1
    levels, modes = np.linalg.eig(system)
    start = np.einsum("ab,cd->abcd", GRAM, GRAM).ravel()
    exact = (modes @ (np.exp(time * levels) * np.linalg.solve(modes, start))).real.reshape(index.shape)
    v = covariances(GRAM, time, 0.0, 16, 200_000, seed=2)
    deviations = []
    for a, b, c, d in np.ndindex(*index.shape):
        product = v[a, b] * v[c, d]
        deviations.append(abs(product.mean() - exact[a, b, c, d]) / (product.std() / math.sqrt(v.shape[-1])))
    assert max(deviations) < 4.5
    # a first-order generator, the wrong one by its second term, would be seen
    wrong = np.einsum("ab,cd->abcd", GRAM, GRAM) + time * np.einsum("ac,bd->abcd", GRAM, GRAM)
    product = v[0, 1] * v[0, 1]
    assert abs(product.mean() - wrong[0, 1, 0, 1]) > 20 * product.std() / math.sqrt(v.shape[-1])


def test_drift_over_a_short_time_is_nu_root_vv():
    kappa, h = 9 / (2 * math.pi), 0.01
    v = covariances(GRAM, h, kappa, 1, 400_000, seed=3)
    scale = np.sqrt(np.outer(np.diag(GRAM), np.diag(GRAM)))
    rho = GRAM / scale
    nu = kappa * (np.sqrt(np.maximum(1 - rho**2, 0)) - rho * np.arccos(np.clip(rho, -1, 1)))
    expected = GRAM + h * nu * scale
    assert worst(v, expected) < 4.5 + 1.0  # O(h^2) of the drift, within one standard error
    assert worst(v, GRAM) > 20


def test_norm_is_log_normal_at_any_step():
    factor = covariance_paths(GRAM, 2.0, 0.5, 2, 100_000, seed=4)
    log = 2 * np.log(factor[0, 0])
    assert abs(log.mean() + 2) < 4.5 * math.sqrt(4 / log.size)
    assert abs(log.var() - 4) < 4.5 * 4 * math.sqrt(2 / log.size)


def test_one_step_has_its_iterated_integral():
    """From V = 1, E (V^{ab})^2 = (e^{2t} - e^{-t})/3 for every a != b: one step of h is right to h^3, not to h^2.

    The errors are -0.3 to -0.8 h^3 with a standard error of 0.1 h^3; without the iterated
    integral two are of order h^2.
    """
    h, paths = 0.2, 400_000
    exact = (math.exp(2 * h) - math.exp(-h)) / 3
    pairs = ((1, 0), (2, 0), (2, 1))

    def errors(factor):
        return {(a, b): ((factor[a] * factor[b]).sum(axis=0) ** 2).mean() - exact for a, b in pairs}

    right = errors(covariance_paths(np.eye(3), h, 0.0, 1, paths, seed=7))
    assert max(abs(error) for error in right.values()) < 1.25 * h**3
    # companion: the same step with independent increments alone below the diagonal
    rng = np.random.default_rng(8)
    scales = np.exp(math.sqrt(h / 4) * rng.standard_normal((2, 3, paths)) - np.arange(1, 4)[:, None] * h / 4)
    unit = np.tile(np.eye(3)[:, :, None], (1, 1, paths))
    for a, b in pairs:
        unit[a, b] = math.sqrt(h) * rng.standard_normal(paths)
    wrong = errors(scales[0][:, None] * unit * scales[1])
    assert abs(wrong[1, 0]) < 1.25 * h**3
    assert max(wrong[2, 0], wrong[2, 1]) < -2 * h**3


@pytest.mark.parametrize(
    "gram",
    [np.ones((2, 2)), np.array([[1.0, -1.0], [-1.0, 1.0]]), np.ones((4, 4)), np.array([[4.0]])],
    ids=["parallel", "opposite", "four-parallel", "single"],
)
def test_singular_inputs_stay_singular_or_leave_by_the_drift(gram):
    v = covariances(gram, 0.5, 0.5, 16, 500, seed=6)
    assert np.isfinite(v).all()
    rho = v / np.sqrt(np.einsum("iin->in", v)[:, None] * np.einsum("iin->in", v)[None])
    if gram.min() > 0:
        assert np.abs(rho - 1).max() < 1e-12
    else:
        assert (rho[0, 1] > -1 + 1e-3).all()
        unshaped = covariances(gram, 0.5, 0.0, 16, 500, seed=6)
        assert np.abs(unshaped[0, 1] + unshaped[0, 0]).max() < 1e-10


@pytest.mark.parametrize("field", ["time", "steps", "paths"])
def test_rejects(field):
    arguments = {"time": 1.0, "coefficient": 1.0, "steps": 2, "paths": 2, "seed": 0} | {field: 0}
    with pytest.raises(InputError, match=field):
        covariance_paths(GRAM, **arguments)
