"""Deep linear networks against their definition: finite-size identities, literal weights, arithmetic of 200 digits."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import digamma, polygamma

from limitbench.errors import InputError
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.linear_state import TriangularProduct
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation


def log_det_moments(widths, outputs, shift=0):
    """Mean and variance of ln det Q = sum_l sum_i ln(chi2_{n_l - i + 1} / n_l); `shift` plants a defect."""
    dof = [(n, (n - i + shift) / 2) for n in widths for i in range(outputs)]
    return sum(digamma(a) - math.log(n / 2) for n, a in dof), sum(polygamma(1, a) for _, a in dof)


def deviations_of_moments(values, mean, variance):
    """Errors of mean and variance in standard errors, the fourth moment from the sample."""
    centred = (values - values.mean()) ** 2
    n = len(values)
    return abs(values.mean() - mean) / math.sqrt(variance / n), abs(centred.mean() - variance) / (
        centred.std() / math.sqrt(n)
    )


@pytest.mark.parametrize(("width", "depth"), [(16, 16), (64, 64), (64, 16)])
@pytest.mark.parametrize("outputs", [2, 3])
def test_log_q11_and_log_det_have_their_exact_finite_size_moments(width, depth, outputs):
    drawn = DeepLinear(depth, width, outputs=outputs).sample(40_960, seed=2)
    q11 = depth * (digamma(width / 2) - math.log(width / 2)), depth * polygamma(1, width / 2)
    assert max(deviations_of_moments(drawn["log_q11"].values, *q11)) < 4.5
    assert max(deviations_of_moments(drawn["log_det"].values, *log_det_moments([width] * depth, outputs))) < 4.5
    limit = -depth / width, 2 * depth / width
    assert max(deviations_of_moments(drawn["log_q11"].values * 1.05, *limit)) > 4.5
    shifted = log_det_moments([width] * depth, outputs, shift=1)
    assert max(deviations_of_moments(drawn["log_det"].values, *shifted)) > 9.0


def test_unequal_widths_enter_the_moments_one_by_one():
    widths = (3, 50, 7, 20)
    drawn = DeepLinear(4, widths=widths, outputs=3).sample(40_960, seed=3)
    assert max(deviations_of_moments(drawn["log_det"].values, *log_det_moments(widths, 3))) < 4.5
    mean_width = log_det_moments([sum(widths) // 4] * 4, 3)
    assert max(deviations_of_moments(drawn["log_det"].values, *mean_width)) > 9.0


def test_second_moments_of_q_are_the_exact_identities():
    # with A = (1 + 2/N)^L and B = (1 - 1/N)^L: E Q11^2 = A, E Q11 Q22 = (A + 2 B) / 3, E Q12^2 = (A - B) / 3
    width, depth, n = 32, 8, 204_800
    drawn = DeepLinear(depth, width).sample(n, seed=4)
    a, b = (1 + 2 / width) ** depth, (1 - 1 / width) ** depth
    # Q11 Q22 = det Q + Q12^2
    cross = drawn["q12"].values ** 2
    product = np.exp(drawn["log_det"].values) + cross
    for values, expected in ((cross, (a - b) / 3), (product, (a + 2 * b) / 3)):
        assert abs(values.mean() - expected) < 4.5 * values.std() / math.sqrt(n)
        assert abs(values.mean() - 1.1 * expected) > 4.5 * values.std() / math.sqrt(n)


def literal_network(widths, outputs, n, seed):
    """M = W_{L+1} W_L ... W_2 / sqrt(n_1 ... n_L) as sheet C section 1.1 defines it, in plain numpy."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n, outputs, widths[-1])) / math.sqrt(widths[-1])
    for fan_out, fan_in in zip(widths[:0:-1], widths[-2::-1], strict=True):
        mixing = mixing @ rng.standard_normal((n, fan_out, fan_in)) / math.sqrt(fan_in)
    q = mixing @ np.swapaxes(mixing, 1, 2)
    eigenvalues = np.linalg.eigvalsh(q)
    values = {
        "log_q11": np.log(q[:, 0, 0]),
        "log_det": np.linalg.slogdet(q)[1],
        "log_lambda_min": np.log(eigenvalues[:, 0]),
        "log_lambda_max": np.log(eigenvalues[:, -1]),
    }
    if outputs > 1:
        values["q12"] = q[:, 0, 1]
    return {name: value[:, None] for name, value in values.items()}


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize(
    ("widths", "outputs"), [((4, 4, 4), 2), ((2, 9), 2), ((9, 2), 2), ((3, 12, 5), 3), ((5, 7), 1)]
)
def test_samplers_have_the_law_of_the_definition(widths, outputs, sampler):
    # widths in the order of the layers, although the samplers multiply from the output side: the law is the same
    literal = literal_network(widths, outputs, 16_384, seed=5)
    drawn = DeepLinear(len(widths), widths=widths, outputs=outputs).sample(16_384, seed=6, sampler=sampler)
    assert largest_deviation({name: drawn[name].values[:, None] for name in literal}, literal) < CRITICAL
    other = DeepLinear(len(widths), widths=tuple(n + 2 for n in widths), outputs=outputs).sample(16_384, seed=7)
    assert largest_deviation({name: other[name].values[:, None] for name in literal}, literal) > POWERFUL


@pytest.mark.parametrize("outputs", [1, 2, 3, 8])
@pytest.mark.parametrize(("width", "depth"), [(9, 180), (12, 4)])
def test_extreme_eigenvalues_agree_with_arithmetic_of_200_digits(outputs, width, depth):
    stream = torch.Generator().manual_seed(1)
    factors = torch.randn(depth, 2, outputs, outputs, generator=stream, dtype=torch.float64).tril()
    product = TriangularProduct(2, outputs, torch.device("cpu"))
    for factor in factors / math.sqrt(width):
        product.append(factor)
    values = {name: value.numpy() for name, value in product.observables().items()}
    with mpmath.workdps(200):
        for network in range(2):
            g = mpmath.eye(outputs)
            for factor in factors[:, network] / math.sqrt(width):
                g = g * mpmath.matrix(factor.tolist())
            q = g * g.T
            eigenvalues = sorted(mpmath.eigsy(q, eigvals_only=True))
            expected = {
                "log_q11": mpmath.log(q[0, 0]),
                "log_det": mpmath.log(mpmath.det(q)),
                "log_lambda_min": mpmath.log(eigenvalues[0]),
                "log_lambda_max": mpmath.log(eigenvalues[-1]),
            }
            for name, value in expected.items():
                assert values[name][network] == pytest.approx(float(value), abs=1e-8), name
            if outputs > 1:
                assert values["q12"][network] == pytest.approx(float(q[0, 1]), rel=1e-8)
            if outputs == 8 and depth == 180:
                assert values["log_lambda_max"][network] - values["log_lambda_min"][network] > math.log(1e30)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_depth_3000_neither_overflows_nor_underflows(sampler):
    width, depth, outputs = 4, 3_000, 2
    n = 1024 if sampler == "exact" else 256
    drawn = DeepLinear(depth, width, outputs=outputs).sample(n, seed=1, sampler=sampler)
    mean, variance = log_det_moments([width] * depth, outputs)
    log_det, low, high = (drawn[name].values for name in ("log_det", "log_lambda_min", "log_lambda_max"))
    assert max(deviations_of_moments(log_det, mean, variance)) < 4.5
    np.testing.assert_allclose(low + high, log_det, rtol=1e-12)
    assert (high - low).min() > math.log(1e300)
    assert np.isfinite(drawn["q12"]).all()


def test_one_output_has_one_eigenvalue_and_no_coupling():
    drawn = DeepLinear(3, 4, outputs=1).sample(5)
    assert "q12" not in drawn
    for name in ("log_det", "log_lambda_min", "log_lambda_max"):
        np.testing.assert_allclose(drawn[name], drawn["log_q11"], atol=1e-12)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depth", {"depth": -1}),
        ("width", {"width": 1}),
        ("width", {"width": None}),
        ("widths", {"width": None, "widths": (5, 1)}),
        ("outputs", {"outputs": 0}),
        ("width", {"outputs": 5}),
    ],
)
def test_bad_parameters_are_named(field, values):
    with pytest.raises(InputError) as error:
        DeepLinear(**{"depth": 2, "width": 4} | values)
    assert error.value.field == field
