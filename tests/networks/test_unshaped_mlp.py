"""Unshaped networks: the contract, their identity with shaped networks at rate 0, and dense weights."""

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks import shaped_pair
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation


class TestReLU(NetworkContract):
    @pytest.fixture
    def network(self):
        return UnshapedMLP(5, 40)


class TestNarrowLeaky(NetworkContract):
    @pytest.fixture
    def network(self):
        return UnshapedMLP(4, 3, slope_minus=0.5, rho0=-0.2)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_a_batch_is_that_of_a_shaped_network_at_rate_zero(sampler):
    ours = UnshapedMLP(6, 40, slope_minus=0.25, rho0=0.9)
    shaped = ShapedMLP(6, 40, c_minus=-0.75, rate=0.0, rho0=0.9)
    depths = (1, 3, 6)
    a = ours.sample_batch(5, depths=depths, sampler=sampler)
    b = shaped.sample_batch(5, depths=depths, sampler=sampler)
    np.testing.assert_array_equal(a["log_norm"], b["log_norm"])
    np.testing.assert_allclose(a["log_q"], b["log_gap"] + np.log(np.square(depths)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(a["log_q"], np.log(np.square(depths) * (1 - b["correlation"])), rtol=0, atol=1e-9)


@pytest.mark.parametrize("width", [2, 3, 4, 8, 64])
@pytest.mark.parametrize("slope_minus", [0.0, 0.5])
def test_exact_has_the_law_of_dense(width, slope_minus):
    """Family-wise false alarm below 1e-6 (`CRITICAL`)."""
    assert largest_deviation(*both(width, slope_minus)) < CRITICAL


@pytest.mark.parametrize("width", [8, 64])
def test_a_lost_conditional_mean_is_noticed(monkeypatch, width):
    """The companion, with 99 % power: h_2 without its mean rho h_1."""
    right = {"narrow_layer": shaped_pair.narrow_layer, "wide_layer": shaped_pair.wide_layer}

    def narrow(normals, ratio, log_gap):
        normals[1] = normals[1] - normals[0] * (log_gap.exp() / (2.0 - log_gap.exp())).sqrt()[:, None]
        return right["narrow_layer"](normals, ratio, log_gap)

    def wide(normals, scratch, ratio, log_gap):
        lost = (log_gap.exp() / (2.0 - log_gap.exp())).sqrt().float()
        normals[1] = normals[1] - normals[0] * lost[:, None]
        return right["wide_layer"](normals, scratch, ratio, log_gap)

    monkeypatch.setattr(shaped_pair, "narrow_layer", narrow)
    monkeypatch.setattr(shaped_pair, "wide_layer", wide)
    assert largest_deviation(*both(width, 0.0)) > POWERFUL


def both(width, slope_minus):
    n = 4096 if width == 64 else 8192
    network = UnshapedMLP(4, width, slope_minus=slope_minus)
    drawn = (network.sample(n, seed=3, depths=[1, 4], sampler=sampler) for sampler in ("exact", "dense"))
    return [{name: d[name].values for name in network.observables} for d in drawn]


@pytest.mark.parametrize(
    ("field", "value"), [("depth", 0), ("width", 0), ("slope_minus", 1.5), ("slope_minus", -1.1), ("rho0", 1.1)]
)
def test_bad_values_are_named(field, value):
    with pytest.raises(InputError, match=field):
        UnshapedMLP(**({"depth": 4, "width": 8} | {field: value}))


def test_parallel_inputs_stay_parallel():
    drawn = UnshapedMLP(3, 8, rho0=1.0).sample(4)
    assert (drawn["log_q"] == -np.inf).all()
