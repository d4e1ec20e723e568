"""Neural tangent kernels: contract, and the law of real weight matrices differentiated automatically.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`).
"""

import math
from functools import cache

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import ntk_backward, ntk_pair, ntk_single
from limitbench.networks.base import Network
from limitbench.networks.ntk import TangentKernel
from limitbench.networks.ntk_sectors import Seen
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics.random import Stream
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

NETWORKS = {
    "relu-2": TangentKernel(3, 2),
    "relu-3": TangentKernel(4, 3, rho0=-0.5),
    "relu-8": TangentKernel(5, 8),
    "relu-close-8": TangentKernel(4, 8, rho0=1.0 - 1e-9),
    "relu-64": TangentKernel(3, 64),
    "relu-equal-4": TangentKernel(3, 4, rho0=1.0),
    "relu-opposite-4": TangentKernel(3, 4, rho0=-1.0),
    "shaped-1": TangentKernel(3, 1, rate=0.5),
    "shaped-3": TangentKernel(3, 3, rate=0.5, c_plus=0.5),
    "leaky-8": TangentKernel(4, 8, c_minus=-1.5),
    "leaky-close-40": TangentKernel(3, 40, c_minus=-0.6, rho0=1.0 - 1e-6),
    "leaky-opposite-4": TangentKernel(3, 4, c_minus=-0.1, rho0=-1.0),
    "shaped-unequal": TangentKernel(5, widths=(3, 40, 2, 8, 64), rate=0.5),
    "one-input-2": TangentKernel(3, 2, inputs=1),
    "one-input-leaky-8": TangentKernel(4, 8, inputs=1, c_minus=-1.5),
    "one-input-64": TangentKernel(3, 64, inputs=1),
    # deep enough to tell what a matrix remembers of the pass forward, an effect of order 1/n a layer
    "deep-leaky-2": TangentKernel(10, 2, c_minus=-1.5),
    "deep-relu-8": TangentKernel(20, 8, rho0=0.9),
    "deep-one-input-2": TangentKernel(12, 2, c_minus=-1.5, inputs=1),
}


class TestTangentKernel(NetworkContract):
    @pytest.fixture(
        params=[NETWORKS["shaped-unequal"], NETWORKS["one-input-leaky-8"], TangentKernel(3, 100)],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


def observables(network, sampler):
    n = 1_024 if max(network.layers, key=lambda layer: layer.width).width > 32 else 8_192
    drawn = network.sample(n, seed=3, depths=[1, network.depth], sampler=sampler)
    return {name: drawn[name].values for name in network.observables}


@cache
def dense_observables(name):
    return observables(NETWORKS[name], "dense")


def deviation(name):
    return largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert deviation(name) < CRITICAL


# Planted defects. ---------------------------------------------------------------------------------------------------


def with_seen(monkeypatch, change):
    """Both forward passes with `change` of what gradients see."""
    for module in (ntk_pair, ntk_single):
        right = module.forward

        def forward(*args, right=right, **options):
            found = right(*args, **options)
            return found._replace(seen=lambda chosen: change(found.seen(chosen)))

        monkeypatch.setattr(module, "forward", forward)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("deep")])
def test_fresh_matrices_on_the_way_back_are_noticed(monkeypatch, name):
    def fresh(seen: Seen) -> Seen:
        return seen._replace(drawn=torch.zeros_like(seen.drawn), basis=torch.zeros_like(seen.basis))

    with_seen(monkeypatch, fresh)
    assert deviation(name) > POWERFUL


@pytest.mark.parametrize("name", ["relu-2", "relu-8", "leaky-8", "shaped-3", "one-input-leaky-8"])
def test_missing_projector_is_noticed(monkeypatch, name):
    right = ntk_backward._maps

    def unprojected(seen, stream):
        without = right(seen._replace(basis=torch.zeros_like(seen.basis)), stream)
        maps = right(seen, stream)
        inputs = seen.basis.shape[2]
        return torch.cat([maps[:, :inputs], without[:, inputs:]], dim=1)

    monkeypatch.setattr(ntk_backward, "_maps", unprojected)
    assert deviation(name) > POWERFUL


@pytest.mark.parametrize("name", ["relu-8", "relu-64", "leaky-close-40", "one-input-64"])
def test_missing_matrix_in_the_sum_is_noticed(monkeypatch, name):
    right = ntk_backward._total

    def without_readout(forward, log_gradients, cosines):
        log_gradients[-1] = -math.inf
        return right(forward, log_gradients, cosines)

    monkeypatch.setattr(ntk_backward, "_total", without_readout)
    assert deviation(name) > POWERFUL


@pytest.mark.parametrize(("name", "lost"), [("leaky-8", 1.0), ("deep-one-input-2", 1.0), ("relu-64", 4.0)])
def test_wishart_of_too_few_degrees_is_noticed(monkeypatch, name, lost):
    right = ntk_backward._rests
    monkeypatch.setattr(
        ntk_backward,
        "_rests",
        lambda seen, stream: right(seen._replace(counts=(seen.counts - lost).clamp_min(0.0)), stream),
    )
    assert deviation(name) > POWERFUL


# What must hold in every network. -----------------------------------------------------------------------------------


@pytest.mark.parametrize("c_minus", [-1.0, -0.7])
@pytest.mark.parametrize(("width", "rho0"), [(5, 0.3), (64, 0.3), (64, 1.0 - 1e-9), (64, -0.999), (300, 0.9)])
def test_basis_of_a_layer_is_orthonormal_and_its_sums_give_the_features(width, rho0, c_minus):
    layers = TangentKernel(6, width, c_minus=c_minus).layers
    passed = ntk_pair.forward(layers, rho0, batch=64, stream=Stream(1))
    seen = passed.seen(range(1, 7))
    gram = torch.einsum("lsiab,lsicb->lacb", seen.basis, seen.basis)
    regular = (torch.minimum(seen.counts, (seen.slopes != 0.0).sum(2)[:, :, None]).sum(1) >= 2)[:, None, None]
    assert regular.double().mean() > 0.5
    identity = torch.eye(2, dtype=torch.float64)[:, :, None]
    assert ((gram - identity) * regular).abs().max() < 1e-6


def test_two_equal_inputs_have_one_gradient_and_dead_networks_have_none():
    equal = TangentKernel(5, 100, rho0=1.0).sample(64)
    np.testing.assert_allclose(equal["ntk_ratio"], 1.0, atol=1e-12)
    drawn = TangentKernel(4, 2).sample(20_000, seed=1)
    alive = (1.0 - 2.0**-2) ** 4
    dead = np.isnan(drawn["log_ntk"].values)
    assert abs(dead.mean() - (1.0 - alive)) < 4.5 * math.sqrt(alive * (1.0 - alive) / 20_000)
    assert np.isnan(drawn["ntk_ratio"].values[dead]).all()
    assert not np.isnan(drawn["ntk_ratio"].values).all()


@pytest.mark.parametrize("width", [3, 40])
def test_forward_pass_has_the_law_of_the_shaped_network(width):
    passed = ntk_pair.forward(TangentKernel(6, width, c_minus=-0.8).layers, 0.5, batch=8_192, stream=Stream(1))
    other = ShapedMLP(6, width, c_minus=-0.8, rate=0.0, rho0=0.5).sample(8_192, seed=2)
    found = {"log_norm": passed.log_norms[-1, :1].T.numpy(), "correlation": passed.cosines[-1:].T.numpy()}
    assert largest_deviation(found, {name: other[name].values[:, None] for name in found}) < CRITICAL


def test_no_depth_overflows():
    drawn = TangentKernel(700, 1, c_minus=-0.1).sample(64)
    assert np.isfinite(drawn["log_ntk"].values).all()
    assert drawn["log_ntk"].values.mean() < math.log(1e-300)
    assert np.isfinite(drawn["ntk_ratio"].values).all()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depth", {"depth": 0}),
        ("width", {"width": 0}),
        ("widths", {"width": None, "widths": (3,)}),
        ("c_plus", {"c_plus": math.nan}),
        ("c_minus", {"c_plus": -1.0, "c_minus": -1.0}),
        ("rate", {"rate": -0.5}),
        ("rho0", {"rho0": 1.2}),
        ("inputs", {"inputs": 3}),
    ],
)
def test_bad_parameters_are_named(field, values):
    with pytest.raises(InputError) as error:
        TangentKernel(**{"depth": 2, "width": 4} | values)
    assert error.value.field == field
