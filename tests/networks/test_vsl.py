"""Networks drawn with Intel's VSL have the law of those drawn with torch, in every family and with either sampler.

False alarms: CRITICAL is 6.5 standard deviations, 1e-10 a statistic.
"""

import pytest

from limitbench.networks.covariances import CovarianceMLP
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.resnet import ResNet
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.smooth_mlp import SmoothMLP
from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.numerics import vsl
from limitbench.testing.networks import CRITICAL, largest_deviation

pytestmark = [pytest.mark.vsl, pytest.mark.skipif(vsl.version() is None, reason="needs limitbench[fast]")]

THREE = ((1.0, 0.3, -0.2), (0.3, 1.0, 0.5), (-0.2, 0.5, 1.0))
NETWORKS = {
    "shaped-wide": ShapedMLP(4, 40),
    "shaped-narrow": ShapedMLP(4, 5),
    "unshaped": UnshapedMLP(4, 40),
    "smooth": SmoothMLP(4, 24, activation="tanh"),
    "resnet": ResNet(4, 24),
    "resnet-balanced": ResNet(4, 24, balanced=True, jacobian=True),
    "resnet-gradient": ResNet(4, 12, jacobian=True, gradient=True),
    "resnet-three": ResNet(4, 24, gram=THREE),
    "mean-field": MeanFieldNet(4, 16, activation="tanh"),
    "relu-gradients": ReLUGradients(4, 12, keep=0.8),
    "deep-linear": DeepLinear(4, 12),
    "covariances": CovarianceMLP(4, 12, gram=THREE),
}


def drawn(name, sampler, generator, seed):
    network = NETWORKS[name]
    found = network.sample(1024, seed=seed, depths=[2, network.depth], sampler=sampler, generator=generator)
    return {observable: found[observable].values for observable in network.observables}


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize("name", NETWORKS)
def test_both_generators_give_one_law(name, sampler):
    fast, plain = (drawn(name, sampler, generator, 3) for generator in ("vsl", "torch"))
    assert largest_deviation(fast, plain) < CRITICAL
    assert any(not (fast[observable] == plain[observable]).all() for observable in fast)


def test_the_comparison_notices_another_width():
    wider = ShapedMLP(4, 60).sample(1024, depths=[2, 4], generator="vsl")
    plain = drawn("shaped-narrow", "exact", "torch", 3)
    assert largest_deviation(plain, {name: wider[name].values for name in plain}) > CRITICAL


def test_a_batch_is_a_function_of_its_seed():
    network = NETWORKS["resnet-three"]
    options = {"depths": [1, 4], "generator": "vsl"}
    first, again, other = (network.sample_batch(seed, **options) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert not (first["log_norm"] == other["log_norm"]).any()
