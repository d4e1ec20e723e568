"""Samplers with float32 elements against the same normals in float64, and where float32 would not do."""

import functools
import math

import numpy as np
import pytest
import torch

from limitbench.networks import relu_gradients, resnet, smooth_exact, smooth_single
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.resnet import ResNet
from limitbench.numerics.activations import ACTIVATIONS
from limitbench.numerics.random import Stream, stream_seed

TOLERANCE = 1e-4
SIZES = torch.logspace(-8, 1.7, 400, dtype=torch.float64)


# Activations in place. ----------------------------------------------------------------------------------------------


def relative_error(name, in_place):
    """Largest relative error at float32 numbers of either sign; absolute where the function is of order one."""
    x = torch.cat([SIZES, -SIZES]).float()[None]
    found = x.clone()
    in_place(found, torch.empty(2, *x.shape))
    exact = ACTIVATIONS[name].function(x.double())
    return float(((found.double() - exact) / exact.abs().clamp_max(1.0)).abs().max() / 2**-23)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_are_the_functions_to_a_few_units_in_the_last_place(name):
    scale = max(1.0, float(ACTIVATIONS[name].function(torch.cat([SIZES, -SIZES])).abs().max()))
    assert relative_error(name, smooth_single.IN_PLACE[name]) < 8.0 * scale


def test_a_difference_of_float32_numbers_would_be_noticed():
    """(tanh(x + b) - tanh b)/sech^2 b, by its definition."""
    b = torch.tensor(0.4)

    def naive(x, scratch):
        x.add_(b).tanh_().sub_(torch.tanh(b)).mul_(torch.cosh(b) ** 2)

    assert relative_error("shifted-tanh", naive) > 1e4


# Smooth networks. ---------------------------------------------------------------------------------------------------


def smooth(name, rho0, norm0=1.0):
    options = {"depths": (1, 32, 128), "batch": 4, "stream": Stream(5)}
    norms, gaps, _ = smooth_exact.sample_smooth(ACTIVATIONS[name], 8.0, 64, norm0, rho0, **options)
    return norms[:, :, 0].numpy(), None if gaps is None else gaps.numpy()


@pytest.mark.parametrize(
    ("name", "rho0"), [("tanh", None), ("silu", 0.3), ("softplus", 1 - 1e-3), ("root", 1 - 1e-11), ("tanh", -1.0)]
)
def test_smooth_networks_are_those_of_float64(monkeypatch, name, rho0):
    norms, gaps = smooth(name, rho0)
    monkeypatch.setattr(smooth_exact, "IN_PLACE", dict.fromkeys(ACTIVATIONS))
    exact_norms, exact_gaps = smooth(name, rho0)
    np.testing.assert_allclose(norms, exact_norms, atol=TOLERANCE)
    assert not np.array_equal(norms, exact_norms) or rho0 == 1 - 1e-11
    if gaps is not None:
        np.testing.assert_allclose(gaps, exact_gaps, atol=10 * TOLERANCE)


def test_float32_does_not_resolve_small_gaps(monkeypatch):
    _, exact = smooth("root", 1 - 1e-11)
    monkeypatch.setattr(smooth_exact, "_RESOLVED", 0.0)
    _, rounded = smooth("root", 1 - 1e-11)
    assert np.abs(rounded - exact).max() > 100 * TOLERANCE


# Residual networks and gradients. -----------------------------------------------------------------------------------


class Wide(Stream):
    """The float32 normals of a `Stream` in tensors of any kind, as they are or with `rounded` significant bits."""

    rounded = torch.float32

    def normal_(self, out):
        return out.copy_(super().normal_(torch.empty(out.shape, dtype=torch.float32)).to(self.rounded))

    def another(self, *parts):
        return type(self)(stream_seed(self.seed, *parts))


class Coarse(Wide):
    rounded = torch.bfloat16


NETWORKS = {
    "one input": ResNet(128, 40, jacobian=True),
    "no skip": ResNet(128, 40, skip=0.0, branch=math.sqrt(2.0)),
    "leaky": ResNet(128, 40, skip=1.0, branch=0.3, slope_plus=-0.5, slope_minus=2.0, rho0=0.3),
    "gradient": ResNet(96, 40, jacobian=True, gradient=True),
    "forward and backward": ReLUGradients(64, 40),
}


def batch(name, stream, dtype):
    network = NETWORKS[name]
    with pytest.MonkeyPatch.context() as patch:
        for module in (resnet, relu_gradients):
            patch.setattr(module, "Stream", lambda seed, *_: stream(seed))
        patch.setattr(type(network), "batch_size", lambda self, sampler: 4)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)  # that of every tensor of the samplers, which name none
        try:
            drawn = network.sample_batch(3, depths=[1, network.depth // 2, network.depth])
        finally:
            torch.set_default_dtype(before)
    return {key: value for key, value in drawn.items() if key not in ("active_fraction", "dead")}


@functools.cache
def in_float64(name):
    return batch(name, Wide, torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_elements_give_the_numbers_of_float64(name):
    found = batch(name, Wide, torch.float32)
    for key, exact in in_float64(name).items():
        np.testing.assert_allclose(found[key], exact, atol=TOLERANCE, err_msg=key)
    assert any(not np.array_equal(found[key], exact) for key, exact in in_float64(name).items())


@pytest.mark.parametrize("name", NETWORKS)
def test_elements_of_fewer_digits_would_be_noticed(name):
    found = batch(name, Coarse, torch.float32)
    assert max(np.abs(found[key] - exact).max() for key, exact in in_float64(name).items()) > 10 * TOLERANCE
