"""Outputs of deep linear networks against literal networks, fourth moments, and the streams they are drawn from.

Laws are compared as in `test_exact_against_dense`: false alarms below 1e-6 in all, power 99 % against planted defects.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import digamma, polygamma

from limitbench.errors import InputError
from limitbench.networks import deep_linear
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.linear_state import TriangularProduct
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation
from limitbench.theories.deep_linear import SecondMoments, finite_second_moments

SHAPES = [((4, 4, 4), 2), ((2, 9), 2), ((3, 12, 5), 3), ((5, 7), 1), ((64, 64), 2), ((8, 8, 8), 4)]
N = 16_384


def with_ratios(values):
    """The outputs, and their ratios to the scales of the same network's Q: the joint law of S and Q."""
    kept = {name: v for name, v in values.items() if "output" in name}
    kept["S1 given Q"] = values["output_1"] * np.exp(-values["log_q11"] / 2)
    kept["|S| given Q"] = values["log_output"] - values["log_lambda_max"]
    if "output_2" in values:
        kept["angle"] = np.arctan2(values["output_2"], values["output_1"])
        kept["sign"] = values["output_1"] * values["output_2"] * np.sign(values["q12"])
    return {name: v[:, None] for name, v in kept.items()}


def literal_network(widths, outputs, seed, n=N):
    """S = W_{L+1} ... W_1 x / sqrt(n_0 ... n_L) for an x with |x|^2 = n_0 = 3, and Q without W_1, in plain numpy."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n, outputs, widths[-1])) / math.sqrt(widths[-1])
    for fan_out, fan_in in itertools.pairwise(widths[::-1]):
        mixing = mixing @ rng.standard_normal((n, fan_out, fan_in)) / math.sqrt(fan_in)
    x = np.array([1.0, -1.0, 1.0])
    s = (mixing @ rng.standard_normal((n, widths[0], 3)) @ x) / math.sqrt(3)
    q = mixing @ np.swapaxes(mixing, 1, 2)
    values = {
        "log_q11": np.log(q[:, 0, 0]),
        "log_lambda_max": np.log(np.linalg.eigvalsh(q)[:, -1]),
        "log_output": np.log((s**2).sum(1)),
        "output_1": s[:, 0],
    }
    return values | ({"output_2": s[:, 1], "q12": q[:, 0, 1]} if outputs > 1 else {})


def drawn(network, sampler, seed=6, n=N):
    data = network.sample(n, seed=seed, sampler=sampler)
    return {name: data[name].values for name in network.observables}


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def literal(request):
    widths, outputs = request.param
    n = 4096 if max(widths) == 64 else N
    return widths, outputs, n, with_ratios(literal_network(widths, outputs, 5, n))


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_outputs_and_their_law_given_q_are_those_of_a_literal_network(literal, sampler):
    widths, outputs, n, expected = literal
    network = DeepLinear(len(widths), widths=widths, outputs=outputs)
    assert largest_deviation(with_ratios(drawn(network, sampler, n=n)), expected) < CRITICAL


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize("defect", ["another network's outputs", "no coupling", "depth one less"])
def test_defects_of_the_outputs_are_noticed(monkeypatch, sampler, defect):
    widths, outputs = (4, 4, 4), 2
    expected = with_ratios(literal_network(widths, outputs, 5))
    right = TriangularProduct.outputs

    def outputs_of_another(self, vector):
        return {name: values.roll(1) for name, values in right(self, vector).items()}

    def uncoupled(self, vector):
        rows, self._rows = self._rows, self._rows * torch.eye(outputs)
        values = right(self, vector)
        self._rows = rows
        return values

    if defect == "another network's outputs":
        monkeypatch.setattr(TriangularProduct, "outputs", outputs_of_another)
    elif defect == "no coupling":
        monkeypatch.setattr(TriangularProduct, "outputs", uncoupled)
    else:
        widths = widths[1:]
    network = DeepLinear(len(widths), widths=widths, outputs=outputs)
    assert largest_deviation(with_ratios(drawn(network, sampler)), expected) > POWERFUL


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_reading_out_does_not_touch_the_stream_of_q(monkeypatch, sampler):
    network = DeepLinear(5, 6)
    before = drawn(network, sampler, n=300)
    right = deep_linear._readout
    monkeypatch.setattr(deep_linear, "_readout", lambda seed, *kind: right(seed + 1, *kind))
    after = drawn(network, sampler, n=300)
    for name in network.observables:
        assert np.array_equal(before[name], after[name]) is ("output" not in name), name


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_log_output_keeps_its_law_where_the_outputs_underflow(sampler):
    """Depth 3000 at width 2: E ln |S|^2 = -1732, below the square of 1e-308; 4.5 standard errors."""
    width, depth = 2, 3000
    n = 1024 if sampler == "exact" else 256
    values = drawn(DeepLinear(depth, width), sampler, n=n)
    mean = digamma(1) + math.log(2) + depth * (digamma(width / 2) - math.log(width / 2))
    variance = (depth + 1) * polygamma(1, 1)
    error = math.sqrt(variance / n)
    assert abs(values["log_output"].mean() - mean) < 4.5 * error
    assert abs(values["log_output"].mean() - mean * (depth - 100) / depth) > 4.5 * error
    assert (values["output_1"] == 0).mean() > 0.9


GRAM = ((1.0, 0.5, -0.2), (0.5, 2.0, 0.3), (-0.2, 0.3, 0.7))


def fourth_moment(m, outputs, inputs):
    """E S_ia S_jb S_kc S_ld = sum over the three pairings of E[Q_.. Q_..] K_.. K_.. (sheet C 1.3)."""

    def of_q(pair, other):
        (i, j), (k, h) = pair, other
        return m.q11_q22 * (i == j) * (k == h) + m.q12_squared * ((i == k) * (j == h) + (i == h) * (j == k))

    total = 0.0
    for first, second in (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))):
        of_outputs = of_q(*([outputs[t] for t in pair] for pair in (first, second)))
        total += of_outputs * math.prod(GRAM[inputs[s]][inputs[t]] for s, t in (first, second))
    return total


@pytest.mark.parametrize(("sampler", "n"), [("exact", 200_704), ("dense", 65_536)])
def test_fourth_moments_of_outputs_for_three_inputs(sampler, n):
    """Width 16, depth 4, D = 2, P = 3 (sheet C 1.6 b); 4.5 standard errors, NNGP refused where outputs are coupled."""
    s = DeepLinear(4, 16).sample_outputs(n, gram=GRAM, seed=2, sampler=sampler)[:, 0]
    exact, nngp = finite_second_moments((16,) * 4), SecondMoments(1.0, 1.0, 0.0)
    refused = []
    for outputs, inputs in (
        ((0, 0, 0, 0), (0, 0, 1, 2)),
        ((0, 0, 1, 1), (0, 0, 0, 0)),
        ((0, 1, 0, 1), (0, 0, 1, 1)),
        ((0, 0, 1, 1), (0, 2, 1, 2)),
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((0, 0, 0, 1), (0, 1, 2, 0)),
    ):
        product = np.prod([s[:, i, a] for i, a in zip(outputs, inputs, strict=True)], axis=0)
        error = product.std() / math.sqrt(n)
        assert abs(product.mean() - fourth_moment(exact, outputs, inputs)) < 4.5 * error, (outputs, inputs)
        refused.append(abs(product.mean() - fourth_moment(nngp, outputs, inputs)) > 9 * error)
    assert refused[1]
    assert refused[2]
    assert sum(refused) >= 3


@pytest.mark.parametrize(("widths", "outputs"), [((2, 3), 2), ((3, 5, 4), 3), ((8, 8), 1), ((64, 64), 2)])
def test_exact_outputs_for_several_inputs_have_the_law_of_real_weights(widths, outputs):
    network = DeepLinear(len(widths), widths=widths, outputs=outputs)
    n = 4096 if max(widths) == 64 else N

    def values(sampler, gram):
        s = network.sample_outputs(n, gram=gram, seed=4, depths=[1, len(widths)], sampler=sampler)
        assert s.shape == (n, 2, outputs, len(gram))
        flat = s.reshape(n, 2, -1)
        size = flat.shape[2]
        entries = {f"entry {k}": flat[:, :, k] for k in range(size)}
        return entries | {f"pair 0 {k}": flat[:, :, 0] * flat[:, :, k] for k in range(1, size)}

    dense = values("dense", GRAM)
    assert largest_deviation(values("exact", GRAM), dense) < CRITICAL
    other = ((1.0, 0.0, -0.2), (0.0, 2.0, 0.3), (-0.2, 0.3, 0.7))
    assert largest_deviation(values("exact", other), dense) > POWERFUL


def test_several_inputs_read_out_the_networks_that_are_sampled():
    network = DeepLinear(5, 6, outputs=3)
    data = network.sample(2000, seed=9, depths=[2, 5])
    s = network.sample_outputs(2000, seed=9, depths=[2, 5])
    np.testing.assert_allclose(s[:, :, 0, 0], data["output_1"], rtol=1e-12)
    np.testing.assert_allclose(s[:, :, 1, 0], data["output_2"], rtol=1e-12)
    np.testing.assert_allclose(np.log((s**2).sum(axis=(2, 3))), data["log_output"], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(network.sample_outputs(30, seed=9)[:, 0], s[:30, 1])


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_equal_inputs_have_equal_outputs_and_scaled_inputs_scaled_ones(sampler):
    s = DeepLinear(3, 5).sample_outputs(100, gram=((1.0, 1.0, 2.0), (1.0, 1.0, 2.0), (2.0, 2.0, 4.0)), sampler=sampler)
    np.testing.assert_allclose(s[..., 0], s[..., 1], rtol=1e-9)
    np.testing.assert_allclose(2 * s[..., 0], s[..., 2], rtol=1e-9)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("n", {"n": 0}),
        ("gram", {"gram": ((1.0, 2.0), (2.0, 1.0))}),
        ("depths", {"depths": [4]}),
    ],
)
def test_bad_arguments_are_named(field, arguments):
    with pytest.raises(InputError) as error:
        DeepLinear(3, 5).sample_outputs(**{"n": 2} | arguments)
    assert error.value.field == field
