"""Mean-field networks against their definition in plain numpy, exact identities, the recurrence at large width.

Laws are compared at a family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`), means at 4.5
standard errors.
"""

import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

THREE = ((1.0, 0.5, -0.3), (0.5, 2.0, 0.0), (-0.3, 0.0, 1.0))
NONE = {"sigma_b2": 0.0, "sigma_a2": 0.0}
SAMPLERS = ["exact", "dense"]


class TestMeanFieldNet(NetworkContract):
    @pytest.fixture(
        params=[
            MeanFieldNet(9, 5),
            MeanFieldNet(3, 70, rho0=0.2, activation="relu"),
            MeanFieldNet(3, 33, network="reduced", activation="relu-0.85", gram=THREE, loss="squared", outputs=3),
            MeanFieldNet(9, 6, network="plain", activation="erf", sigma_b2=0.0),
        ],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


# The definition. -----------------------------------------------------------------------------------------------------


def literal_network(network, n, seed, *, factor=1.0):
    """Networks as the docstring defines them: gradients are central differences of the loss, entry by entry."""
    rng, width, m = np.random.default_rng(seed), network.width, network.inputs
    draw = lambda *shape: rng.standard_normal((n, *shape))  # noqa: E731
    phi = {"tanh": np.tanh, "relu-0.85": lambda x: np.maximum(x, 0.0) ** 0.85}[network.activation]
    blocks = [
        {
            "w": math.sqrt(factor * network.sigma_w2 / width) * draw(width, width),
            "b": math.sqrt(network.sigma_b2) * draw(width, 1),
            "v": math.sqrt(network.sigma_v2 / width) * draw(width, width),
            "a": math.sqrt(network.sigma_a2) * draw(width, 1),
        }
        for _ in range(network.depth)
    ]
    start = draw(width, m) @ np.linalg.cholesky(np.array(network.input_gram)).T
    readout = draw(network.outputs, width) / math.sqrt(width)
    targets, u = np.array([1.0, -1.0, 1.0])[:m], draw(width)

    def step(x, block):
        branch = phi(block["w"] @ x + block["b"])
        return {"full": x + block["v"] @ branch + block["a"], "reduced": x + branch, "plain": branch}[network.network]

    def loss(x, layer, blocks):
        """From x_{layer-1} on."""
        for block in blocks[layer - 1 :]:
            x = step(x, block)
        if network.loss == "independent":
            return (u * x[:, :, 0]).sum(1)
        return ((readout @ x - targets) ** 2).sum((1, 2)) / 2.0

    def chi(at, entries):
        """Mean over entries of the square of the central difference of `at`(shift), shift of one entry."""
        h = 1e-6
        changes = [(at(i, j, h) - at(i, j, -h)) / (2.0 * h) for i, j in entries]
        return np.mean(np.square(changes), axis=0)

    def shifted(array, i, j, h):
        array = array.copy()
        array[:, i, j] += h
        return array

    streams = [start]
    for block in blocks:
        streams.append(step(streams[-1], block))
    first = [(i, 0) for i in range(width)]
    every = [(i, j) for i in range(width) for j in range(width)]
    last = chi(lambda i, j, h: loss(shifted(streams[-1], i, j, h), network.depth + 1, blocks), first)
    values = {}
    for layer in (1, network.depth):
        x, before = streams[layer], streams[layer - 1]

        def moved(name, i, j, h, layer=layer, before=before):
            changed = blocks[layer - 1] | {name: shifted(blocks[layer - 1][name], i, j, h)}
            return loss(before, layer, [*blocks[: layer - 1], changed, *blocks[layer:]])

        found = {
            "log_chi": chi(lambda i, j, h, y=before, at=layer: loss(shifted(y, i, j, h), at, blocks), first) / last,
            "log_length": (x[:, :, 0] ** 2).mean(1),
            "log_preactivation": ((blocks[layer - 1]["w"] @ before + blocks[layer - 1]["b"])[:, :, 0] ** 2).mean(1),
        }
        for name in "wbva":
            entries = every if name in "wv" else first
            found[f"log_chi_{name}"] = chi(lambda i, j, h, p=name, moved=moved: moved(p, i, j, h), entries) / last
        if m > 1:
            found["log_distance"] = ((x[:, :, 0] - x[:, :, 1]) ** 2).mean(1)
            overlap = (x[:, :, 0] * x[:, :, 1]).mean(1)
            lengths = (x[:, :, :2] ** 2).mean(1)
            found |= {"covariance_12": overlap, "cosine": overlap / np.sqrt(lengths[:, 0] * lengths[:, 1])}
        for name, value in found.items():
            with np.errstate(divide="ignore"):
                values.setdefault(name, []).append(np.log(value) if name.startswith("log_") else value)
    # the differences are good to 1e-9, and some logs are 0
    return {name: np.stack(columns, axis=1).round(6) for name, columns in values.items() if name in network.observables}


@pytest.mark.parametrize(
    "network",
    [
        MeanFieldNet(3, 3),
        MeanFieldNet(3, 2, gram=THREE, loss="squared", outputs=2),
        MeanFieldNet(3, 3, network="reduced", rho0=0.4, activation="relu-0.85", loss="squared"),
        MeanFieldNet(3, 3, network="plain", rho0=-0.4),
    ],
    ids=str,
)
def test_samplers_have_the_law_of_the_definition(network):
    literal, wrong = (literal_network(network, 4_096, seed=2, factor=factor) for factor in (1.0, 1.7))
    for sampler in SAMPLERS:
        drawn = network.sample(4_096, seed=1, depths=[1, network.depth], sampler=sampler)
        values = {name: drawn[name].values.round(6) for name in network.observables}
        assert set(values) == set(literal)
        assert largest_deviation(values, literal) < CRITICAL
        assert largest_deviation(values, wrong) > POWERFUL


def recurrence(network, *, cross=1.0):
    """ln chi_0 / chi_L of erf networks at infinite width (arXiv 1712.08969); `cross` alters the factor of a block."""
    p, total = network.norm0, 0.0
    for _ in range(network.depth):
        q = network.sigma_w2 * p + network.sigma_b2
        total += math.log1p(cross * network.sigma_v2 * network.sigma_w2 * 4.0 / math.pi / math.sqrt(1.0 + 4.0 * q))
        p += network.sigma_v2 * 2.0 / math.pi * math.asin(2.0 * q / (1.0 + 2.0 * q)) + network.sigma_a2
    return math.exp(total), p


def test_means_at_large_width_follow_the_recurrence():
    network = MeanFieldNet(15, 400, activation="erf")
    drawn = network.sample(1_024, depths=[1, 15], seed=4)
    gain, length = np.exp(drawn["log_chi"].values[:, 0]), np.exp(drawn["log_length"].values[:, 1])

    def errors(value, prediction):
        return abs(value.mean() - prediction) / (value.std(ddof=1) / math.sqrt(len(value)))

    predicted, p = recurrence(network)
    assert errors(gain, predicted) < 4.5
    assert abs(length.mean() / p - 1.0) < 4.5 * length.std(ddof=1) / math.sqrt(len(length)) / p + 1.0 / network.width
    assert errors(gain, recurrence(network, cross=1.05)[0]) > POWERFUL


# Exact identities. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("activation", ["tanh", "relu", "relu-0.7"])
def test_gradients_of_one_input_are_outer_products(sampler, activation):
    """chi_w = chi_b p_{l-1}, and chi_a of a block is chi at the input of the next, in every network."""
    network = MeanFieldNet(40, 6, activation=activation)
    drawn = network.sample_batch(3, depths=range(1, 41), sampler=sampler)
    product = drawn["log_chi_b"][:, 1:] + drawn["log_length"][:, :-1]
    np.testing.assert_allclose(drawn["log_chi_w"][:, 1:], product, rtol=0, atol=1e-12 * 40)
    np.testing.assert_allclose(drawn["log_chi_a"][:, :-1], drawn["log_chi"][:, 1:], rtol=0, atol=1e-12 * 40)
    np.testing.assert_allclose(drawn["log_chi_a"][:, -1], 0.0, atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_scale_of_the_inputs_is_that_of_a_relu_network_without_biases(sampler):
    one, four = (
        MeanFieldNet(20, 5, activation="relu", rho0=0.3, norm0=norm0, **NONE).sample_batch(
            3, depths=[1, 20], sampler=sampler
        )
        for norm0 in (1.0, 4.0)
    )
    for name, gain in {
        "log_length": 4.0,
        "log_distance": 4.0,
        "log_chi_w": 4.0,
        "log_chi": 1.0,
        "log_chi_b": 1.0,
    }.items():
        np.testing.assert_allclose(four[name], one[name] + math.log(gain), rtol=0, atol=1e-9)
    np.testing.assert_allclose(four["cosine"], one["cosine"], atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("network", ["full", "reduced", "plain"])
def test_equal_and_opposite_inputs_stay_so_in_chaos(sampler, network):
    values = {"network": network, "sigma_w2": 30.0}
    equal = MeanFieldNet(40, 16, rho0=1.0, **values).sample_batch(3, depths=[40], sampler=sampler)
    assert (equal["cosine"] > 1.0 - 1e-12).all()
    assert np.isneginf(equal["log_distance"]).all()
    opposite = MeanFieldNet(40, 16, rho0=-1.0, **values, **NONE).sample_batch(3, depths=[40], sampler=sampler)
    np.testing.assert_allclose(opposite["cosine"], -1.0, atol=1e-12)
    near = MeanFieldNet(40, 16, rho0=1.0 - 1e-9, **values).sample_batch(3, depths=[40], sampler=sampler)
    assert np.isfinite(near["log_distance"]).all()


def test_parameters_that_a_network_lacks_do_not_alter_it():
    drawn = [
        MeanFieldNet(3, 4, network="reduced", sigma_v2=sv2, sigma_a2=sa2, outputs=outputs).sample(16, seed=2)
        for sv2, sa2, outputs in ((1.5, 0.5, 1), (1.0, 0.0, 7))
    ]
    assert drawn[0].drop_attrs().identical(drawn[1].drop_attrs())
    assert (
        MeanFieldNet(3, 4, activation="relu-0.850").parameters == MeanFieldNet(3, 4, activation="relu-.85").parameters
    )
    assert MeanFieldNet(3, 4, network="plain", rho0=0.1).observables == (
        *("log_length", "log_preactivation", "log_chi", "log_chi_b", "log_chi_w"),
        *("cosine", "covariance_12", "log_distance"),
    )


# The edge. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "rate"),
    [
        (MeanFieldNet(250, 4, network="plain", sigma_w2=0.01), None),
        (MeanFieldNet(120, 64, activation="relu", rho0=0.3, sigma_w2=1e3), math.log1p(1.5 * 1e3 / 2.0)),
        (MeanFieldNet(90, 32, activation="relu", network="plain", sigma_w2=1e-12, **NONE), math.log(1e-12 / 2.0)),
        (
            MeanFieldNet(90, 32, activation="relu", network="plain", sigma_w2=1e12, loss="squared"),
            math.log(1e12 / 2.0),
        ),
        (MeanFieldNet(60, 8, activation="relu-0.99", sigma_w2=1e12, sigma_v2=1e12), None),
    ],
    ids=str,
)
def test_no_depth_overflows_or_underflows(network, rate):
    drawn = network.sample(16, depths=[1, network.depth // 2, network.depth])
    for name in network.observables:
        assert not np.isnan(drawn[name]).any()
        assert name == "covariance_12" or np.isfinite(drawn[name]).all()
    if rate is not None:
        gain = (drawn["log_length"][:, 2] - drawn["log_length"][:, 0]).values / (network.depth - 1)
        np.testing.assert_allclose(gain, rate, rtol=0.15)
        np.testing.assert_allclose(drawn["log_chi"][:, 0] / network.depth, rate, rtol=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loss", ["independent", "squared"])
def test_dead_layers_have_no_gradient_and_no_angle(sampler, loss):
    network = MeanFieldNet(9, 2, activation="relu", network="plain", rho0=0.3, loss=loss, **NONE)
    drawn = network.sample(512, depths=[1, 9], sampler=sampler)
    dead = np.isneginf(drawn["log_length"].values)
    assert 0.1 < dead[:, 0].mean() < dead[:, 1].mean()
    assert np.isnan(drawn["cosine"].values[dead]).all()
    # a dead layer stops the gradient of every layer before it
    assert np.isneginf(drawn["log_chi"].values[dead[:, 1], 0]).all()
    assert np.isfinite(drawn["log_chi"].values[~dead[:, 1]]).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_saturated_units_have_no_gradient(sampler):
    drawn = MeanFieldNet(2, 3, activation="erf", network="plain", sigma_w2=1e12).sample(64, sampler=sampler)
    assert np.isneginf(drawn["log_chi"]).all()
    skipped = MeanFieldNet(9, 3, sigma_w2=1e12).sample(64, depths=[1], sampler=sampler)
    np.testing.assert_allclose(skipped["log_chi"], 0.0, atol=1e-5)


def test_a_batch_stays_within_memory_at_any_depth():
    network = MeanFieldNet(200, 512)
    assert network.batch_size("exact") == 128
    assert MeanFieldNet(2_000, 4_096, rho0=0.3).batch_size("exact") == 8
    assert MeanFieldNet(3, 2).batch_size("exact") == 2_048
    assert MeanFieldNet(50, 256).batch_size("dense") == 2


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depth", {"depth": 0}),
        ("width", {"width": 0}),
        ("network", {"network": "residual"}),
        ("activation", {"activation": "relu-0.5"}),
        ("sigma_w2", {"sigma_w2": 0.0}),
        ("sigma_v2", {"sigma_v2": -1.0}),
        ("sigma_b2", {"sigma_b2": -0.1}),
        ("sigma_a2", {"sigma_a2": math.nan}),
        ("norm0", {"norm0": 0.0}),
        ("rho0", {"rho0": 1.1}),
        ("rho0", {"rho0": 0.2, "gram": THREE}),
        ("norm0", {"norm0": 2.0, "gram": THREE}),
        ("gram", {"gram": ((1.0, 2.0), (2.0, 1.0))}),
        ("loss", {"loss": "hinge"}),
        ("outputs", {"outputs": 0}),
    ],
)
def test_bad_parameters_are_named(field, values):
    with pytest.raises(InputError, match=f"{field}: got"):
        MeanFieldNet(**{"depth": 3, "width": 4} | values)
