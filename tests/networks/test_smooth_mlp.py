"""Smooth shaped networks: contract, exact against dense sampling with planted defects, explosions, extreme depths.

False-alarm probability below 1e-6 in all (`testing.networks.CRITICAL`); defects deviate beyond `POWERFUL` (99 % power).
"""

import math
from functools import cache

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import smooth_dense, smooth_exact
from limitbench.networks.base import Network
from limitbench.networks.smooth_mlp import SmoothMLP
from limitbench.numerics.activations import ACTIVATIONS, SmoothActivation
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

NETWORKS = {
    "root-2": SmoothMLP(4, 2, activation="root", norm0=2000.0),
    "shifted-tanh-3": SmoothMLP(6, 3, activation="shifted-tanh", scale=0.6, rho0=-0.4),
    "silu-4": SmoothMLP(6, 4, activation="silu", scale=0.5, norm0=300.0),
    "tanh-8": SmoothMLP(8, 8, scale=0.5, norm0=2.0),
    "tanh-8-close": SmoothMLP(6, 8, scale=0.5, rho0=1 - 1e-9),
    "unshaped-softplus-8": SmoothMLP(3, 8, activation="softplus", rate=0.0),
    "root-64": SmoothMLP(4, 64, activation="root", scale=0.25, norm0=10.0, rho0=0.5),
    "one-input-8": SmoothMLP(6, 8, activation="arcsinh", scale=0.5, rho0=None, norm0=2.0),
}
CUBIC = SmoothActivation("sinh", torch.sinh)


class TestSmoothMLP(NetworkContract):
    @pytest.fixture(
        params=[
            SmoothMLP(5, 4, activation="root", norm0=2.0),
            SmoothMLP(4, 100),
            SmoothMLP(3, 9, rho0=None),
            SmoothMLP(3, 8, activation=CUBIC, scale=4.0),
        ],
        ids=lambda n: f"{n.width}",
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


def values(network, sampler):
    n = 8_192 if network.width < 40 else 4_096
    drawn = network.sample(n, seed=3, depths=sorted({1, network.depth // 2, network.depth}), sampler=sampler)
    return {name: drawn[name].values for name in network.observables}


@cache
def dense(name):
    return values(NETWORKS[name], "dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(values(NETWORKS[name], "exact"), dense(name)) < CRITICAL


def test_samples_hold_explosions_so_that_their_law_is_compared():
    for name in ("root-2", "silu-4"):
        assert 0.02 < dense(name)["exploded"][:, -1].mean() < 0.98


@pytest.mark.parametrize("name", ["shifted-tanh-3", "tanh-8", "root-64"])
def test_dropped_correlation_is_noticed(monkeypatch, name):
    monkeypatch.setattr(smooth_exact, "correlate", lambda z, gap: None)
    assert largest_deviation(values(NETWORKS[name], "exact"), dense(name)) > POWERFUL


@pytest.mark.parametrize("name", ["root-2", "shifted-tanh-3", "tanh-8", "root-64", "one-input-8"])
def test_wrong_normalising_constant_is_noticed(monkeypatch, name):
    expected, right = dense(name), SmoothActivation.normaliser
    monkeypatch.setattr(SmoothActivation, "normaliser", lambda self, s: 1.15 * right(self, s))
    assert largest_deviation(values(NETWORKS[name], "exact"), expected) > POWERFUL


@pytest.mark.parametrize("name", ["root-2", "shifted-tanh-3", "tanh-8", "root-64", "one-input-8"])
def test_wrong_stretch_is_noticed(monkeypatch, name):
    right = smooth_exact.sample_smooth
    monkeypatch.setattr(smooth_exact, "sample_smooth", lambda a, s, *args, **kwargs: right(a, 1.6 * s, *args, **kwargs))
    assert largest_deviation(values(NETWORKS[name], "exact"), dense(name)) > POWERFUL


@pytest.mark.parametrize("name", ["tanh-8-close"])
def test_gap_by_difference_of_gram_entries_is_noticed(monkeypatch, name):
    """1 - rho from rounded correlations, as float32 would give it."""
    found = values(NETWORKS[name], "exact")
    rounded = 1.0 - np.exp(found["log_gap"]).astype(np.float32).astype(float)
    found["log_gap"] = np.log(np.maximum((1 - rounded.astype(np.float32)).astype(float), 1e-12))
    assert largest_deviation(found, dense(name)) > POWERFUL


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_exploded_networks_stay_exploded_and_have_no_other_value(sampler):
    network = SmoothMLP(40, 8, activation="root", scale=0.5, norm0=30.0)
    drawn = network.sample(256, depths=[1, 10, 20, 40], sampler=sampler)
    exploded = drawn["exploded"].values
    assert 0.2 < exploded[:, -1].mean() < 0.4
    assert (np.diff(exploded, axis=1) >= 0).all()
    np.testing.assert_array_equal(np.isnan(drawn["log_norm"].values), exploded == 1)
    undefined = np.isnan(drawn["correlation"].values)
    assert undefined[exploded == 1].all()
    assert undefined.mean() > exploded.mean()  # the second input explodes too
    norm = drawn["log_norm"].values + math.log(30.0)
    assert np.nanmax(norm) <= math.log(1e4)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_no_depth_underflows(activation):
    """Norms fall like e^-t: at t = 700 and V = e^-700 no norm is NaN or infinite but where it has exploded."""
    network = SmoothMLP(1400, 2, activation=activation, scale=2.0)
    drawn = network.sample(32, depths=[700, 1400])
    alive = drawn["exploded"].values == 0
    assert alive.any()
    assert np.isfinite(drawn["log_norm"].values[alive]).all()
    if ACTIVATIONS[activation].norm_drift(1.0) > -1:
        assert np.nanmin(drawn["log_norm"].values) < -500
    if not drawn["exploded"].values.any():
        assert not np.isnan(drawn["log_gap"].values).any()


def test_small_norms_are_those_of_a_linear_network():
    """V = 1e-30: phi_s is the identity, so ln V falls by the mean of ln(c chi^2_n/n) a layer."""
    width, depth, n = 4, 20, 4096
    x = SmoothMLP(depth, width, activation="silu", norm0=1e-30).sample(n)["log_norm"].values
    c = ACTIVATIONS["silu"].normaliser(2.0)
    mean = math.log(2 * c / width) + float(torch.special.digamma(torch.tensor(width / 2)))
    assert abs(x.mean() / depth - mean) < 4.5 * x.std() / math.sqrt(n) / depth
    assert abs(x.mean() / depth - mean - math.log(1.1)) > 4.5 * x.std() / math.sqrt(n) / depth


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", 0),
        ("width", 0),
        ("scale", 0.0),
        ("rate", -0.1),
        ("norm0", 0.0),
        ("norm0", 1e5),
        ("rho0", 1.5),
        ("activation", "relu"),
    ],
)
def test_bad_value_is_named(field, value):
    with pytest.raises(InputError, match=field):
        SmoothMLP(**({"depth": 2, "width": 2} | {field: value}))


def test_parameters_name_a_users_activation_by_its_derivatives():
    ours, theirs = SmoothMLP(2, 4).parameters, SmoothMLP(2, 4, activation=CUBIC).parameters
    assert "third" not in ours
    assert (theirs["activation"], theirs["second"], theirs["third"]) == ("sinh", 0.0, 1.0)


def test_equal_inputs_stay_equal():
    for sampler in ("exact", "dense"):
        drawn = SmoothMLP(3, 5, rho0=1.0).sample(16, sampler=sampler)
        assert (drawn["correlation"] == 1.0).all()


def test_the_two_samplers_share_the_threshold():
    assert smooth_dense.EXPLODED == smooth_exact.EXPLODED
