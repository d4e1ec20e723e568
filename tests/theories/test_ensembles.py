"""Weights that are not Gaussian: moments of the log norm against real matrices, and PyTorch's default exactly in mean.

Simulated numbers lie within 4.5 standard errors; companions with the moments of Gaussian weights are noticed.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from limitbench.errors import InputError
from limitbench.testing.theories import TheoryContract
from limitbench.theories.ensembles import EnsemblePerceptron, PytorchDefault
from limitbench.theories.log_gaussian import FiniteWidthPerceptron

NETWORKS = 4096


class TestEnsemblePerceptron(TheoryContract):
    theories = (
        EnsemblePerceptron(8, 16, "uniform", 1.0, 1.0),
        EnsemblePerceptron(8, 32, "rademacher"),
        EnsemblePerceptron(8, 32, "orthogonal"),
        EnsemblePerceptron(8, 32, "orthogonal", 1.0, 1.0),
    )


class TestPytorchDefault(TheoryContract):
    theories = (PytorchDefault(8, 16), PytorchDefault(8, 16, math.sqrt(0.5), 1.0))


def uniform(rng, *shape):
    return math.sqrt(3) * (2 * rng.random(shape) - 1)


def rademacher(rng, *shape):
    return 2.0 * rng.integers(0, 2, shape) - 1


def log_norms(draw, depth, width, slope_minus, seed=0):
    """ln V_d/V_0 of `NETWORKS` MLPs with entries from `draw` and Gaussian inputs."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(NETWORKS // 512):
        f = rng.standard_normal((512, width, 1))
        start = (f**2).sum(axis=(1, 2))
        for _ in range(depth):
            z = draw(rng, 512, width, width) @ f * math.sqrt(2 / (1 + slope_minus**2) / width)
            f = np.maximum(z, 0) + slope_minus * np.minimum(z, 0)
        found.append(np.log((f**2).sum(axis=(1, 2)) / start))
    return np.concatenate(found)


def deviations(x, mean, variance):
    """Of the mean and of the variance of x, in standard errors."""
    square = (x - x.mean()) ** 2
    return (
        abs(x.mean() - mean) / x.std() * math.sqrt(len(x)),
        abs(square.mean() - variance) / square.std() * math.sqrt(len(x)),
    )


@pytest.mark.parametrize("draw", [uniform, rademacher])
@pytest.mark.parametrize("slope_minus", [0.0, 1.0])
def test_moments_of_independent_entries_are_those_of_real_matrices(draw, slope_minus):
    theory = EnsemblePerceptron(32, 32, draw.__name__, 1.0, slope_minus)
    x = log_norms(draw, 32, 32, slope_minus)
    assert max(deviations(x, theory.mean, theory.variance)) < 4.5
    if slope_minus == 0.0:  # the companion
        gaussian = FiniteWidthPerceptron((32,) * 32, 1.0, 0.0)
        assert max(deviations(x, gaussian.mean, gaussian.variance)) > 5


def test_rademacher_moments_of_the_sheet():
    """Sheet C 4, n = d = 32: -2.27 +- .05 and 4.77 +- .15 for Rademacher, -2.75 +- .05 and 5.75 +- .18 for Gaussian."""
    rademacher_law = EnsemblePerceptron(32, 32, "rademacher")
    gaussian = EnsemblePerceptron(32, 32, "gaussian")
    assert abs(rademacher_law.mean + 2.27) < 4.5 * 0.05
    assert abs(rademacher_law.variance - 4.77) < 4.5 * 0.15
    assert abs(gaussian.mean + 2.75) < 4.5 * 0.05
    assert abs(gaussian.variance - 5.75) < 4.5 * 0.18
    # opposite signs about the limit N(-5/2, 5), once the width is large
    for n in (64, 256):
        other, gaussian = (EnsemblePerceptron(n, n, weights) for weights in ("rademacher", "gaussian"))
        assert gaussian.variance > 5 > other.variance
        assert gaussian.mean < -2.5 < other.mean


@pytest.mark.parametrize("slope_minus", [0.0, 0.5, 1.0])
def test_concentration_of_features_is_that_of_gaussian_pre_activations(slope_minus):
    """The mean of sum f^4/(sum f^2)^2 behind the excess, read from two depths: within 1 %, K/n alone is 4 % off."""
    n = 48
    share = 6 * (1 + slope_minus**4) / (1 + slope_minus**2) ** 2
    deep, shallow = (EnsemblePerceptron(d, n, "rademacher", 1.0, slope_minus) for d in (9, 8))
    gaussian = FiniteWidthPerceptron((n,), 1.0, slope_minus).variance
    found = (deep.variance - shallow.variance - gaussian) / (-2 * share / (3 * n))
    z = np.random.default_rng(1).standard_normal((40_000, n))
    f = np.maximum(z, 0) + slope_minus * np.minimum(z, 0)
    expected = ((f**4).sum(axis=1) / (f**2).sum(axis=1) ** 2).mean()
    assert abs(found / expected - 1) < 0.01
    assert abs(share / n / expected - 1) > 0.03  # the companion


def test_orthogonal_moments_are_those_of_the_share_that_relu_passes():
    """Independent formula: the share of a uniform direction with K active units is Beta(K/2, (n - K)/2)."""
    n, d = 32, 5
    counts = np.arange(1, n)
    weights = stats.binom.pmf(counts, n, 0.5) / stats.binom.pmf(counts, n, 0.5).sum()
    logs = np.array([[stats.beta(k / 2, (n - k) / 2).expect(np.log), 0.0] for k in counts])[:, 0]
    squares = np.array([stats.beta(k / 2, (n - k) / 2).expect(lambda a: np.log(a) ** 2) for k in counts])
    mean = weights @ logs
    theory = EnsemblePerceptron(d, n, "orthogonal")
    assert theory.mean == pytest.approx(d * (mean + math.log(2)), abs=1e-6)
    assert theory.variance == pytest.approx(d * (weights @ squares - mean**2), abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "slope_minus", "rate"),
    [
        ("gaussian", 1.0, 2.0),
        ("gaussian", 0.0, 5.0),
        ("rademacher", 0.0, 5.0),
        ("orthogonal", 0.0, 3.0),
        ("orthogonal", 1.0, 0.0),
    ],
)
def test_variance_approaches_its_limit(weights, slope_minus, rate):
    theory = EnsemblePerceptron(1024, 1024, weights, 1.0, slope_minus)
    assert theory.variance_rate == rate
    assert abs(theory.variance - rate) < 0.03
    assert abs(theory.mean + rate / 2) < 0.03


def test_orthogonal_linear_networks_have_a_constant_norm():
    law = EnsemblePerceptron(8, 32, "orthogonal", 1.0, 1.0).law("log_norm")
    assert law.is_point_mass
    assert law.mean == 0


@pytest.mark.parametrize("slope_minus", [0.0, 1.0])
def test_pytorch_default_is_that_of_torch_nn_linear(slope_minus):
    n, d = 8, 3
    theory = PytorchDefault(d, n, slope_plus=1.0, slope_minus=slope_minus)
    half = (1 + slope_minus**2) / 2
    torch.manual_seed(3)
    squares = []
    with torch.inference_mode():
        for _ in range(3000):
            f = torch.full((n,), 1.0)
            for _ in range(d):
                z = torch.nn.Linear(n, n)(f)
                f = z.clamp_min(0) + slope_minus * z.clamp_max(0)
            squares.append(float((f**2).sum()) / (half * n))
    x = np.array(squares)
    se = x.std() / math.sqrt(len(x))
    assert abs(x.mean() - theory.mean_square) < 4.5 * se
    assert abs(x.mean() - (theory.mean_square - 1 / (3 * n))) > 4.5 * se  # the companion: without the last biases


def test_pytorch_default_of_residual_blocks_is_that_of_torch_nn_linear():
    """V_d = |z_d|^2/n; linear blocks, for which the recursion is exact, and few units for which biases matter."""
    n, d, skip, branch = 4, 3, 1.0, 0.5
    theory = PytorchDefault(d, n, skip, branch, 1.0, 1.0)
    torch.manual_seed(4)
    squares = []
    with torch.inference_mode():
        for _ in range(8000):
            z = torch.nn.Linear(n, n)(torch.ones(n))
            for _ in range(d):
                z = skip * z + branch * torch.nn.Linear(n, n)(z)
            squares.append(float((z**2).sum()) / n)
    x = np.array(squares)
    se = x.std() / math.sqrt(len(x))
    assert abs(x.mean() - theory.mean_square) < 4.5 * se
    first, factor = 1 / 3 + 1 / (3 * n), skip**2 + branch**2 / 3
    unscaled = factor**d * first + sum(factor**k for k in range(d)) / (3 * n)
    assert abs(x.mean() - unscaled) > 4.5 * se  # the companion: biases that the branch does not scale
    growth = skip**2 + branch**2
    expected = math.log(theory.mean_square / first) - d * math.log(growth)
    assert theory.law("log_norm").mean == pytest.approx(expected, abs=1e-12)


def test_a_correction_that_is_not_small_is_refused():
    """One linear Rademacher layer of one unit has variance 0; the expansion would give -1.1."""
    for width in (1, 2, 4):
        with pytest.raises(InputError, match="width"):
            EnsemblePerceptron(1, width, "rademacher", 1.0, 1.0)
    for width in (1, 2, 5, 32):
        assert EnsemblePerceptron(1, width, "gaussian", 1.0, 1.0).variance > 0
    assert EnsemblePerceptron(1, 8, "rademacher", 1.0, 1.0).variance > 0


def test_biases_hold_a_floor():
    assert PytorchDefault(200, 32, slope_minus=1.0).mean_square == pytest.approx(1 / 64)
    assert PytorchDefault(200, 32).mean_square == pytest.approx(2 / (5 * 32))
    assert PytorchDefault(200, 32).floor == pytest.approx(2 / (5 * 32))


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("weights", lambda: EnsemblePerceptron(4, 32, "cauchy")),
        ("depth", lambda: EnsemblePerceptron(0, 32, "uniform")),
        ("widths", lambda: EnsemblePerceptron(4, 16, "uniform")),
        ("width", lambda: PytorchDefault(4, 0)),
        ("slope_plus", lambda: PytorchDefault(4, 4, slope_plus=0.0)),
    ],
)
def test_bad_values_are_named(field, build):
    with pytest.raises(InputError, match=field):
        build()
