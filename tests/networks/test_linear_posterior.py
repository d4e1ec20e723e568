"""Prior draws, weights and posterior draws of deep linear networks: without weights as with real weight matrices.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects deviate by `POWERFUL`.
"""

import math
from functools import cache

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import linear_bartlett
from limitbench.networks.linear_posterior import LinearPosterior
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

ONE = GaussianRegression(
    ((1.0, 0.3, -0.2, 0.5), (0.3, 1.2, 0.1, -0.4), (-0.2, 0.1, 0.8, 0.2), (0.5, -0.4, 0.2, 1.0)),
    ((0.5, -0.4, 0.2),),
    0.2,
)
TWO_INPUTS = ((1.0, 0.4, 0.7), (0.4, 1.0, 0.5), (0.7, 0.5, 1.0))
EQUAL = GaussianRegression(TWO_INPUTS, ((1.0, 0.6), (1.0, 0.6)), 0.5)
THREE = GaussianRegression(TWO_INPUTS, ((1.0, 0.6), (-0.3, 0.6), (0.2, 0.1)), 0.5)
NETWORKS = {
    "one-2": LinearPosterior(4, 2, ONE),
    "one-8": LinearPosterior(8, 8, ONE),
    "equal-2": LinearPosterior(3, 2, EQUAL),
    "equal-8": LinearPosterior(8, 8, EQUAL),
    "equal-32": LinearPosterior(6, 32, EQUAL),
    "three-4": LinearPosterior(4, 4, THREE),
}


class TestLinearPosterior(NetworkContract):
    @pytest.fixture(params=[LinearPosterior(5, 6, ONE), LinearPosterior(3, 40, EQUAL)], ids=["one", "equal"])
    def network(self, request):
        return request.param


def drawn(network, sampler):
    n = {2: 32_768, 32: 8_192}.get(network.width, 16_384)
    data = network.sample(n, seed=5, depths=[network.depth // 2, network.depth], sampler=sampler)
    values = {name: data[name].values for name in network.observables}
    if network.task.outputs > 1:
        values["product"] = values["output_1"] * values["output_2"]
    # which outputs go with which weights
    return values | {"weighted": np.exp(values["log_weight"]) * (values["output_1"] - 0.5)}


@cache
def dense(name):
    return drawn(NETWORKS[name], "dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(drawn(NETWORKS[name], "exact"), dense(name)) < CRITICAL


def independent_rows(sample):
    """Every output with a Q of its own: outputs that do not share the hidden layers."""

    def broken(widths, outputs, root, **options):
        return torch.cat([sample(widths, 1, root, **options) for _ in range(outputs)], dim=2)

    return broken


def one_layer_less(sample):
    def broken(widths, outputs, root, *, depths, **options):
        depths = [max(depth - 1, 1) for depth in depths]
        return sample(widths, outputs, root, depths=depths, **options)

    return broken


def input_of_its_own(sample):
    """The test input sees another network than the training inputs do."""

    def broken(widths, outputs, root, **options):
        one, other = (sample(widths, outputs, root, **options) for _ in range(2))
        return torch.cat([one[..., :-1], other[..., -1:]], dim=3)

    return broken


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        (independent_rows, "equal-2"),
        (one_layer_less, "one-2"),
        (one_layer_less, "equal-2"),
        (input_of_its_own, "one-8"),
        (input_of_its_own, "equal-8"),
    ],
)
def test_defect_is_noticed(monkeypatch, defect, name):
    monkeypatch.setattr(linear_bartlett, "sample_outputs", defect(linear_bartlett.sample_outputs))
    assert largest_deviation(drawn(NETWORKS[name], "exact"), dense(name)) > POWERFUL


@pytest.mark.parametrize("name", ["one-8", "equal-8"])
def test_accepted_networks_are_those_that_the_likelihood_accepts(name):
    network = NETWORKS[name]
    data = network.sample(32_768, seed=2)
    weight = np.exp(data["log_weight"].values)
    assert weight.max() <= 1
    accepted = ~np.isnan(data["posterior_output_1"].values)
    np.testing.assert_array_equal(data["posterior_output_1"].values[accepted], data["output_1"].values[accepted])
    if network.task.outputs > 1:
        np.testing.assert_array_equal(np.isnan(data["posterior_output_2"].values), ~accepted)
    # unlikely and likely networks alike: each half by weight has its own share (4.5 standard errors, 4 comparisons)
    likely = weight > np.median(weight)
    for half in (likely, ~likely):
        excess = (accepted - weight)[half]
        se = math.sqrt((weight * (1 - weight))[half].mean() / half.sum())
        assert abs(excess.mean()) < 4.5 * se
        assert abs((accepted - np.sqrt(weight))[half].mean()) > 20 * se, "the companion: half the log likelihood"


def test_all_networks_are_drawn_once_whatever_the_labels():
    """The labels choose the stream, not the law of the prior: weights enter nowhere but in what is accepted."""
    data = NETWORKS["equal-8"].sample(32_768, seed=1)
    for name in ("output_1", "output_2"):
        x = data[name].values
        assert abs((x**2).mean() - 1) < 4.5 * (x**2).std() / math.sqrt(len(x))


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("depth", (0, 8, ONE)),
        ("width", (4, 1, EQUAL)),
        ("noise", (4, 8, GaussianRegression(ONE.gram, ONE.labels, 0.0))),
    ],
)
def test_bad_values_are_named(field, arguments):
    with pytest.raises(InputError, match=field):
        LinearPosterior(*arguments)
