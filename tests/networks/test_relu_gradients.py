"""Gradients without weights have the law of automatic differentiation, jointly over layers; defects are noticed.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`).
"""

import math
from functools import cache, partial

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import relu_gradients_exact
from limitbench.networks.base import Network
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.relu_gradients_layers import Gradients
from limitbench.networks.relu_gradients_residual import ResidualGradients
from limitbench.networks.resnet import ResNet
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation


class TestReLUGradients(NetworkContract):
    @pytest.fixture(
        params=[
            ReLUGradients(5, 4),
            ReLUGradients(3, 70, keep=0.8),
            ReLUGradients(4, widths=(9, 3, 33, 5), activation="linear", keep=0.5),
            ReLUGradients(3, 6, weights="orthogonal"),
        ],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


class TestResidualGradients(NetworkContract):
    @pytest.fixture(params=[{}, {"balanced": True}, {"skip": 0.0, "branch": math.sqrt(2.0)}], ids=str)
    def network(self, request: pytest.FixtureRequest) -> Network:
        return ResidualGradients(ResNet(3, 5, jacobian=True, gradient=True, **request.param))


NETWORKS = {
    "relu-2": ReLUGradients(3, 2),
    "relu-3": ReLUGradients(4, 3),
    "relu-4": ReLUGradients(5, 4),
    "relu-8": ReLUGradients(6, 8),
    "relu-64": ReLUGradients(4, 64),
    "relu-unequal": ReLUGradients(4, widths=(3, 8, 2, 5)),
    "relu-4-dropout": ReLUGradients(3, 4, keep=0.7),
    "linear-2": ReLUGradients(4, 2, activation="linear"),
    "linear-8": ReLUGradients(16, 8, activation="linear"),
    "linear-8-dropout": ReLUGradients(5, 8, activation="linear", keep=0.5),
}
LOGS = ("log_norm", "log_jacobian", "log_gradient", "log_weight_gradient")


def observables(network, sampler):
    """All layers, and what their joint law shows: pairs of quantities and fixed random sums over all layers."""
    # a defect of the deep network that is of second order shows on that many only
    n = 49_152 if network.depth > 8 else 12_288
    drawn = network.sample(n, seed=3, depths=range(1, network.depth + 1), sampler=sampler)
    values = {name: drawn[name].values for name in network.observables}
    norm, tangent, back = values["log_norm"][:, -1], values["log_jacobian"][:, -1], values["log_gradient"][:, 0]
    pairs = np.stack([norm + back, norm - back, tangent + back, norm - tangent], axis=1)
    joined = np.concatenate([values[name] for name in LOGS[:3]], axis=1)
    sums = joined @ np.random.default_rng(1).choice([-1.0, 1.0], (joined.shape[1], 4))
    ends = [0, network.depth // 2, network.depth - 1]
    return {name: array[:, ends] for name, array in values.items()} | {"pairs": pairs, "sums": sums}


@cache
def dense_observables(name):
    return observables(NETWORKS[name], "dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_joint_law_of_dense(name):
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


# Planted defects, put into a plain sampler without weights that passes without them. ---------------------------------


def plain_gradients(layers, *, batch, stream, defect=None):
    """The sampler without weights in its plainest form, with `defect`."""
    normals = partial(torch.randn, dtype=torch.float64, generator=stream.torch)
    before = layers.widths[0]
    features = normals(batch, before, 2)
    features[:, :, 0] = torch.eye(before, dtype=torch.float64)[0] * math.sqrt(before)
    start, tape, norms, alive = (features**2).mean(1).log(), [], [], []
    for units in layers.widths:
        basis, triangle = torch.linalg.qr(features)
        drawn = normals(batch, units, 2)
        z = drawn @ triangle
        mask = layers.mask(z[:, :, 0], stream)
        features = layers.scale(before) * mask[:, :, None] * z
        if defect == "backward given the input alone":
            basis, drawn = basis[:, :, :1], drawn[:, :, :1]
        tape.append((basis, drawn, mask, layers.scale(before)))
        norms.append((features**2).mean(1).log() - start)
        alive.append(mask.any(dim=1))
        before = units
    gradient, backward = normals(batch, before) * layers.scale(before), []
    for basis, drawn, mask, scale in reversed(tape):
        if defect == "gradient with a mask of its own":
            own = (torch.rand(mask.shape, generator=stream.torch) < layers.passing).double()
            mask = torch.where(own.any(dim=1, keepdim=True), own, mask)
        gradient = mask * gradient
        backward.append((gradient**2).sum(1).log())
        fresh = (gradient**2).sum(1).sqrt()[:, None] * normals(batch, basis.shape[1])
        if defect != "fresh matrix on the way back":
            known = torch.einsum("buk,bu->bk", drawn, gradient) - torch.einsum("bnk,bn->bk", basis, fresh)
            fresh = fresh + torch.einsum("bnk,bk->bn", basis, known)
        gradient = scale * fresh
    norm, jacobian = torch.stack(norms, dim=2).unbind(dim=1)
    log_gradient = torch.stack(backward[::-1], dim=1)
    below = torch.cat([torch.zeros_like(norm[:, :1]), norm[:, :-1]], dim=1)
    return Gradients(norm, jacobian, log_gradient, below + log_gradient, torch.stack(alive, dim=1))


@pytest.mark.parametrize("name", ["relu-2", "relu-3", "relu-8", "relu-64", "relu-unequal", "linear-8-dropout"])
def test_plain_sampler_without_a_defect_passes(monkeypatch, name):
    monkeypatch.setattr(relu_gradients_exact, "sample_gradients", plain_gradients)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        # the matrix that both directions share correlates them at relative order 1/n: not seen at n = 64 here
        ("fresh matrix on the way back", "relu-2"),
        ("fresh matrix on the way back", "relu-4"),
        ("fresh matrix on the way back", "relu-8"),
        ("fresh matrix on the way back", "relu-unequal"),
        ("fresh matrix on the way back", "linear-8"),
        # of second order in the sum of inverse widths, and nothing where tangent and input align: not seen at n = 2
        ("backward given the input alone", "linear-8"),
        # the number of units that are on is shared at leading order: seen at every width
        ("gradient with a mask of its own", "relu-2"),
        ("gradient with a mask of its own", "relu-3"),
        ("gradient with a mask of its own", "relu-8"),
        ("gradient with a mask of its own", "relu-64"),
        ("gradient with a mask of its own", "linear-8-dropout"),
    ],
)
def test_defect_is_noticed(monkeypatch, defect, name):
    monkeypatch.setattr(relu_gradients_exact, "sample_gradients", partial(plain_gradients, defect=defect))
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) > POWERFUL


@pytest.mark.parametrize("name", ["relu-2", "relu-8", "linear-2"])
def test_gradients_that_do_not_depend_on_the_forward_pass_are_noticed(name):
    """The product law for all layers: right in every marginal, wrong jointly (the next network's gradients)."""
    drawn, dense = observables(NETWORKS[name], "exact"), dense_observables(name)
    alive = ~np.isnan(drawn["log_norm"][:, -1])
    norm, back = drawn["log_norm"][alive, -1], np.roll(drawn["log_gradient"][alive, 0], 1)
    known = dense["pairs"][~np.isnan(dense["pairs"]).any(axis=1), :2]
    pairs = np.stack([norm + back, norm - back], axis=1)
    count = min(len(pairs), len(known))
    assert largest_deviation({"pairs": pairs[:count]}, {"pairs": known[:count]}) > POWERFUL


# Exact identities. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_gradient_of_the_weights_is_norm_below_times_gradient_above(sampler):
    """For every network, by automatic differentiation if dense."""
    network = ReLUGradients(4, widths=(5, 9, 4, 7), keep=0.9)
    drawn = network.sample(256, depths=range(1, 5), sampler=sampler)
    below = np.pad(drawn["log_norm"].values[:, :-1], ((0, 0), (1, 0)))
    below[np.isnan(drawn["log_gradient"].values)] = np.nan
    np.testing.assert_allclose(drawn["log_weight_gradient"], below + drawn["log_gradient"].values, atol=1e-10)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_a_dead_layer_leaves_no_norm_and_no_gradient(sampler):
    network = ReLUGradients(4, widths=(3, 6, 2, 4))
    drawn = network.sample(16_384, depths=range(1, 5), sampler=sampler, seed=1)
    dead = drawn["dead"].values
    expected = 1 - np.cumprod(1 - 0.5 ** np.array([3, 6, 2, 4]))
    assert (np.abs(dead.mean(0) - expected) < 4.5 * np.sqrt(expected * (1 - expected) / len(dead))).all()
    assert (np.diff(dead, axis=1) >= 0).all()
    for name in LOGS:
        values = drawn[name].values
        assert np.isnan(values[dead[:, -1] == 1]).all()
        assert np.isfinite(values[dead[:, -1] == 0]).all()


def test_norms_far_outside_of_the_range_of_floats_are_kept():
    drawn = ReLUGradients(1_500, 2, activation="linear").sample(8, depths=[1, 1_500])
    assert all(np.isfinite(drawn[name]).all() for name in LOGS)
    # E ln(chi2_2 / 2) = -0.5772, variance pi^2/6 a layer: 6 sd of a mean of 1500
    for name, layer in (("log_norm", 1_500), ("log_gradient", 1), ("log_weight_gradient", 1)):
        assert (np.abs(drawn[name].sel(depth=layer) / 1_500 + 0.5772) < 6 * 1.2826 / math.sqrt(1_500)).all()


# Sheet C section 4, other weights: n = d = 32, 4.5 standard errors. --------------------------------------------------


def test_rademacher_weights_have_corrections_of_the_opposite_sign():
    """Gradients by automatic differentiation: mean -2.27(5), variance 4.77(15); Gaussian -2.75(5), 5.75(18)."""
    found = {}
    sheet = (("rademacher", (-2.27, 0.05), (4.77, 0.15)), ("gaussian", (-2.75, 0.05), (5.75, 0.18)))
    for weights, mean, variance in sheet:
        network = ReLUGradients(32, 32, weights=weights)
        n = 2_048 if weights == "rademacher" else 16_384
        x = network.sample(n, depths=[32])  # real matrices for weights that are not Gaussian
        x = x["log_weight_gradient"].values[:, 0]
        squares = (x - x.mean()) ** 2
        ses = [v.std() / math.sqrt(len(x)) for v in (x, squares)]
        assert abs(x.mean() - mean[0]) < 4.5 * math.hypot(ses[0], mean[1])
        assert abs(squares.mean() - variance[0]) < 4.5 * math.hypot(ses[1], variance[1])
        found[weights] = (x.mean(), squares.mean(), *ses)
    one, other = found["rademacher"], found["gaussian"]
    assert one[0] - other[0] > 4.5 * math.hypot(one[2], other[2])
    assert other[1] - one[1] > 4.5 * math.hypot(one[3], other[3])
    # both sides of the limit N(-5/2, 5)
    assert one[0] > -2.5 > other[0]
    assert one[1] < 5 < other[1]


# Input checks. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"depth": 0}, "depth"),
        ({"width": 0}, "width"),
        ({"width": None}, "width"),
        ({"width": None, "widths": (3, 4)}, "widths"),
        ({"activation": "tanh"}, "activation"),
        ({"keep": 0.0}, "keep"),
        ({"keep": 1.5}, "keep"),
        ({"keep": math.nan}, "keep"),
        ({"weights": "pytorch"}, "weights"),
    ],
)
def test_bad_values_are_named(values, name):
    with pytest.raises(InputError, match=f"{name}: got"):
        ReLUGradients(**{"depth": 3, "width": 4} | values)


@pytest.mark.parametrize("values", [{}, {"jacobian": True}, {"gradient": True}, {"gradient": True, "rho0": 0.3}])
def test_residual_networks_without_gradients_are_refused(values):
    with pytest.raises(InputError, match="network: got"):
        ResidualGradients(ResNet(3, 4, **values))


def test_parameters_name_the_stream():
    networks = [
        ReLUGradients(3, 8),
        ReLUGradients(4, 8),
        ReLUGradients(3, 9),
        ReLUGradients(3, widths=(8, 8, 9)),
        ReLUGradients(3, 8, keep=0.5),
        ReLUGradients(3, 8, activation="linear"),
        ReLUGradients(3, 8, weights="rademacher"),
    ]
    seeds = {network.batch_seed(0, 0, sampler) for network in networks for sampler in ("exact", "dense")}
    assert len(seeds) == 2 * len(networks)
    assert ReLUGradients(2, widths=(8, 8)).parameters == ReLUGradients(2, 8).parameters
