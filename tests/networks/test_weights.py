"""Ensembles of weights against their definitions and against `torch.nn.Linear`, alone and inside the three families."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from limitbench.errors import InputError
from limitbench.networks import weights as weights_module
from limitbench.networks.base import Network
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.resnet import ResNet
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.weights import WEIGHTS, WeightStream
from limitbench.numerics.random import Stream
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, deviations, largest_deviation

#: E W^4 of entries of variance 1; sqrt(n) times an entry of an orthogonal n x n matrix has 3 n / (n + 2).
FOURTH_MOMENT = {"gaussian": 3.0, "uniform": 1.8, "rademacher": 1.0, "orthogonal": 3.0 * 8 / 10}


class TestOtherWeights(NetworkContract):
    @pytest.fixture(
        params=[
            ShapedMLP(4, 6, weights="uniform"),
            ShapedMLP(3, widths=(4, 9, 5), weights="orthogonal", gram=((1.0,),)),
            ShapedMLP(3, 6, weights="pytorch"),
            DeepLinear(4, 16, weights="rademacher"),
        ],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


def matrices(name, batch, n_out, n_in, seed=0):
    return WeightStream(name, Stream(seed), batch * n_out * n_in).matrices(batch, n_out, n_in).numpy().copy()


@pytest.mark.parametrize("name", FOURTH_MOMENT)
def test_entries_have_variance_one(name):
    drawn = matrices(name, 20_000, 8, 8)[:, 2, 3]
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, FOURTH_MOMENT[name])):
        values = drawn**power
        error = values.std() / math.sqrt(len(values)) + 1e-6
        assert abs(values.mean() - moment) < 4.5 * error, power
        if power == 4 and name != "gaussian":
            assert abs(values.mean() - 3.0) > 9.0 * error


@pytest.mark.parametrize(("n_out", "n_in"), [(6, 6), (2, 6), (6, 2)])
def test_orthogonal_matrices_are_scaled_isometries_in_every_direction(n_out, n_in):
    drawn = matrices("orthogonal", 10_000, n_out, n_in)
    product = drawn @ drawn.mT if n_out <= n_in else drawn.mT @ drawn
    np.testing.assert_allclose(product, max(n_out, n_in) * np.eye(min(n_out, n_in))[None].repeat(10_000, 0), atol=1e-12)
    # Haar: an entry on the diagonal has the law of one beside it
    assert max(map(abs, deviations(drawn[:, 0, 0], drawn[:, 1, 0]).values())) < CRITICAL


@pytest.mark.parametrize(("n_out", "n_in"), [(6, 6), (9, 6), (2, 2), (6, 1)])
def test_products_with_orthogonal_matrices_keep_angles_and_equal_columns(n_out, n_in):
    x = torch.randn(50, n_in, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    columns = torch.cat([x, x[:, :, :1], -x[:, :, :1], torch.zeros_like(x[:, :, :1])], dim=2)
    images = WeightStream("orthogonal", Stream(2), 1).product(n_out, columns)
    torch.testing.assert_close(images.mT @ images, max(n_out, n_in) * columns.mT @ columns, rtol=1e-12, atol=1e-12)
    assert torch.equal(images[:, :, 0], images[:, :, 2])


def test_orthogonal_matrices_without_the_sign_of_the_diagonal_are_noticed(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "sgn", lambda diagonal: torch.ones_like(diagonal))
    drawn = matrices("orthogonal", 10_000, 6, 6)
    assert max(map(abs, deviations(drawn[:, 0, 0], drawn[:, 1, 0]).values())) > POWERFUL


def test_pytorch_draws_the_default_weights_and_biases_of_a_linear_layer():
    torch.manual_seed(1)
    layers = [nn.Linear(7, 5) for _ in range(2_000)]
    with torch.no_grad():
        literal = {
            "weights": torch.stack([layer.weight for layer in layers]).numpy().reshape(-1, 1),
            "biases": torch.stack([layer.bias for layer in layers]).numpy().reshape(-1, 1),
        }
    stream = WeightStream("pytorch", Stream(2), 2_000 * 35)
    drawn = {"weights": stream.matrices(2_000, 5, 7).numpy().reshape(-1, 1)}
    drawn["biases"] = stream.biases(2_000, 5, 7).numpy().reshape(-1, 1)
    assert largest_deviation(drawn, literal) < CRITICAL
    assert largest_deviation({name: values * 1.1 for name, values in drawn.items()}, literal) > POWERFUL
    for name in drawn:
        assert abs(literal[name]).max() <= 7**-0.5


# Families. ----------------------------------------------------------------------------------------------------------


def literal_inputs(rng, n, width, rho0):
    """Two inputs in random directions, |x|^2 = n_in = width, correlation rho0."""
    frame = np.linalg.qr(rng.standard_normal((n, width, 2)))[0]
    return math.sqrt(width) * frame @ np.array([[1.0, rho0], [0.0, math.sqrt(1.0 - rho0**2)]])


def literal_matrix(name, rng, n, width):
    """Square matrices of entries with variance 1, and biases, by numpy."""
    shape = (n, width, width)
    if name == "uniform":
        return math.sqrt(3.0) * rng.uniform(-1, 1, shape), 0.0
    if name == "rademacher":
        return rng.choice([-1.0, 1.0], shape), 0.0
    if name == "pytorch":
        # in units in which a layer divides by sqrt(width)
        return rng.uniform(-1, 1, shape), rng.uniform(-1, 1, (n, width, 1))
    basis, upper = np.linalg.qr(rng.standard_normal(shape))
    return math.sqrt(width) * basis * np.sign(np.einsum("nii->ni", upper))[:, None, :], 0.0


def literal_mlp(network, n, seed):
    rng, width, constant = np.random.default_rng(seed), network.width, network.layers[0].constant
    x = literal_inputs(rng, n, width, network.rho0)
    for layer in range(network.depth):
        weights, bias = literal_matrix(network.weights, rng, n, width)
        scale = constant if layer and network.weights != "pytorch" else 1.0
        z = math.sqrt(scale / width) * (weights @ x + bias)
        x = network.layers[0].slope_plus * np.maximum(z, 0) + network.layers[0].slope_minus * np.minimum(z, 0)
    gram = constant / width * np.swapaxes(x, 1, 2) @ x
    return literal_values(gram, np.log(gram[:, 0, 0]))


def literal_resnet(network, n, seed):
    rng, width = np.random.default_rng(seed), network.width
    weights, bias = literal_matrix(network.weights, rng, n, width)
    z = (weights @ literal_inputs(rng, n, width, network.rho0) + bias) / math.sqrt(width)
    start = (z[:, :, 0] ** 2).sum(1)
    for _ in range(network.depth):
        weights, bias = literal_matrix(network.weights, rng, n, width)
        sigma = rng.choice([-1.0, 1.0], (n, width, 1)) if network.balanced else 1.0
        z = network.skip * z + network.branch / math.sqrt(width) * (weights @ np.maximum(sigma * z, 0) + bias)
    gram = np.swapaxes(z, 1, 2) @ z
    return literal_values(gram, np.log(gram[:, 0, 0] / start) - network.depth * math.log(network.growth))


def literal_values(gram, log_norm):
    correlation = gram[:, 0, 1] / np.sqrt(gram[:, 0, 0] * gram[:, 1, 1])
    return {"correlation": correlation[:, None], "log_norm": log_norm[:, None]}


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "gaussian"])
@pytest.mark.parametrize(
    ("network", "literal"),
    [
        (ShapedMLP(4, 6, c_plus=0.5, c_minus=-1.0, rho0=0.4), literal_mlp),
        (ResNet(4, 5, rho0=0.4), literal_resnet),
        (ResNet(3, 6, rho0=-0.3, balanced=True), literal_resnet),
    ],
    ids=["shaped", "resnet", "balanced"],
)
def test_networks_with_other_weights_have_the_law_of_the_definition(name, network, literal):
    network = type(network)(**vars(network) | {"weights": name})
    drawn = network.sample(4_096, seed=1, sampler="dense")
    values = {key: drawn[key].values[:, None] for key in ("correlation", "log_norm")}
    assert largest_deviation(values, literal(network, 4_096, seed=2)) < CRITICAL


@pytest.mark.parametrize("family", [ShapedMLP, ResNet])
@pytest.mark.parametrize("name", ["orthogonal", "pytorch"])
def test_gaussian_weights_in_place_of_others_are_noticed(monkeypatch, family, name):
    def gaussian(self, batch, n_out, n_in):
        scale = 1.0 if self.scaled else (3.0 * n_in) ** -0.5
        return scale * torch.randn(batch, n_out, n_in, dtype=torch.float64, generator=self.stream.torch)

    def product(self, n_out, x, *, apart=False):
        return gaussian(self, x.shape[0], n_out, x.shape[1]) @ x

    network = family(4, 4, rho0=0.4, weights=name)
    right = {key: value.values[:, None] for key, value in network.sample(12_288, seed=1).items()}
    monkeypatch.setattr(weights_module.WeightStream, "matrices", gaussian)
    monkeypatch.setattr(weights_module.WeightStream, "product", product)
    if name == "pytorch":
        monkeypatch.setattr(weights_module.WeightStream, "biases", lambda self, batch, n_out, n_in: None)
    wrong = {key: value.values[:, None] for key, value in network.sample(12_288, seed=2).items()}
    assert largest_deviation(right, wrong) > POWERFUL


def test_a_shaped_network_with_pytorch_weights_is_a_stack_of_linear_layers():
    network, n = ShapedMLP(3, 8, rate=0.0, gram=((1.0,),), weights="pytorch"), 2_048
    torch.manual_seed(3)
    norms = []
    with torch.no_grad():
        for _ in range(n):
            stack = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3)))
            x = torch.randn(8)
            norms.append(2.0 / 8 * (stack(x * math.sqrt(8.0) / x.norm()) ** 2).sum())
    literal = {"log_norm": torch.stack(norms).double().log().numpy()[:, None]}
    drawn = network.sample(n, sampler="dense")["log_norm"].values[:, None]
    assert largest_deviation({"log_norm": drawn}, literal) < CRITICAL
    assert largest_deviation({"log_norm": drawn + 0.5}, literal) > POWERFUL


def test_tangents_carry_no_bias():
    # slopes 1, 1: z_d is affine in z_0 and its Jacobian the product of (skip + branch W)
    network = ResNet(3, 4, skip=1.0, slope_minus=1.0, weights="pytorch", jacobian=True)
    drawn = network.sample(8_192, seed=1)["log_jacobian"].values[:, None]
    rng = np.random.default_rng(2)
    u = rng.standard_normal((8_192, 4))
    start = (u**2).sum(1)
    for _ in range(3):
        u = u + np.einsum("nij,nj->ni", rng.uniform(-0.5, 0.5, (8_192, 4, 4)), u)
    literal = (np.log((u**2).sum(1) / start) - 3 * math.log(network.growth))[:, None]
    assert largest_deviation({"log_jacobian": drawn}, {"log_jacobian": literal}) < CRITICAL
    assert largest_deviation({"log_jacobian": drawn}, {"log_jacobian": literal + 0.2}) > POWERFUL


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_orthogonal_weights_leave_a_linear_network_without_fluctuation(sampler):
    drawn = DeepLinear(20, 8, outputs=3, weights="orthogonal").sample(64, depths=[1, 20], sampler=sampler)
    for name in ("log_q11", "q12", "log_det", "log_lambda_min", "log_lambda_max"):
        np.testing.assert_allclose(drawn[name], 0.0, atol=1e-12)
    norm = ShapedMLP(20, 8, c_minus=0.0, gram=((1.0,),), weights="orthogonal").sample(64, sampler=sampler)["log_norm"]
    np.testing.assert_allclose(norm, 0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["uniform", "rademacher"])
def test_deep_linear_networks_with_other_weights_have_the_law_of_the_definition(name):
    rng, n, width = np.random.default_rng(4), 4_096, 16
    product = np.eye(2, width)
    for _ in range(3):
        product = product @ literal_matrix(name, rng, n, width)[0] / math.sqrt(width)
    mixing = np.einsum("nai,nbi->nab", product, product)
    literal = {"log_q11": np.log(mixing[:, 0, 0])[:, None], "q12": mixing[:, 0, 1][:, None]}
    drawn = DeepLinear(3, width, weights=name).sample(n, seed=5)
    values = {key: drawn[key].values[:, None] for key in literal}
    assert largest_deviation(values, literal) < CRITICAL
    assert largest_deviation(values, {key: value + 0.3 for key, value in literal.items()}) > POWERFUL


# Seeds and input checks. --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [ShapedMLP, DeepLinear, ResNet])
def test_ensembles_have_streams_of_their_own_and_gaussian_weights_are_unnamed(family):
    names = [name for name in WEIGHTS if family is not DeepLinear or name != "pytorch"]
    networks = [family(3, 8, weights=name) for name in names]
    assert len({network.batch_seed(0, 0, "dense") for network in networks}) == len(names)
    assert "weights" not in networks[0].parameters
    assert networks[0].batch_size("exact") > networks[1].batch_size("exact") == networks[1].batch_size("dense")


@pytest.mark.parametrize(
    ("family", "values", "field"),
    [
        (ShapedMLP, {"weights": "normal"}, "weights"),
        (ShapedMLP, {"weights": "pytorch", "gram": ((2.0,),)}, "gram"),
        (ResNet, {"weights": "Gaussian"}, "weights"),
        (DeepLinear, {"weights": "pytorch"}, "weights"),
        (DeepLinear, {"weights": "uniform", "width": None, "widths": (8, 9, 8)}, "widths"),
    ],
)
def test_weights_that_a_family_cannot_have_are_named(family, values, field):
    with pytest.raises(InputError, match=f"{field}: got"):
        family(**{"depth": 3, "width": 8} | values)


def test_outputs_of_several_inputs_need_gaussian_weights():
    with pytest.raises(InputError, match="weights: got"):
        DeepLinear(3, 8, weights="uniform").sample_outputs(4)
