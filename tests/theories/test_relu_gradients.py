"""Laws of gradients: contracts, sheet C section 4, independent dense networks, which layers enter, death."""

import math

import numpy as np
import pytest
from scipy.special import loggamma, logsumexp
from scipy.stats import binom

from limitbench.errors import InputError
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.resnet import ResNet
from limitbench.numerics.log_relu_norm import LogReLUNorm
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.testing.theories import TheoryContract
from limitbench.theories.relu_gradients import BalancedLogNormal, ChiSquareProducts, InfiniteWidth, Layers, LogNormal
from limitbench.theories.relu_gradients.layers import LOGS

#: Family-wise false alarms stay below 1e-6 for a hundred comparisons.
ALARM = 1e-8


class TestContracts(TheoryContract):
    theories = (
        LogNormal(Layers((8, 3, 64), 2)),
        LogNormal(Layers((16,) * 4, 4, 1.0)),
        ChiSquareProducts(Layers((2, 2, 3), 2)),
        ChiSquareProducts(Layers((4, 64), 1, 0.4)),
        ChiSquareProducts(Layers((5, 4), 2, 1.0)),
        InfiniteWidth(),
        InfiniteWidth(dies=False),
        BalancedLogNormal(0.5),
        BalancedLogNormal(2.0, 0.9),
    )


# Sheet C section 4: exact n x mean and n x variance of one layer, to the digits given. -------------------------------

TABLE = {
    16: (-2.822, 6.714),
    32: (-2.641, 5.680),
    64: (-2.567, 5.312),
    128: (-2.533, 5.150),
    256: (-2.516, 5.074),
    1024: (-2.504, 5.018),
}


@pytest.mark.parametrize("width", TABLE)
def test_moments_of_one_relu_layer_are_those_of_the_sheet(width):
    exact = ChiSquareProducts(Layers((width,) * 3, 1))
    found = width * exact.mean("log_norm"), width * exact.variance("log_norm")
    np.testing.assert_allclose(found, TABLE[width], atol=6e-4)
    # every third of a weight gradient, whatever the layer
    assert exact.mean("log_weight_gradient") == pytest.approx(3 * exact.mean("log_norm"))
    # corrections of about -4.2/n and 19/n to the log-normal law
    assert found[0] < -2.5 < 5 < found[1]


@pytest.mark.parametrize(("passing", "rate"), [(0.5, 5.0), (1.0, 2.0), (0.4, 6.5), (0.25, 11.0)])
def test_variance_of_a_wide_layer_is_three_over_p_less_one(passing, rate):
    layers = Layers((4096,) * 2, 1, passing)
    assert layers.variance_rate == pytest.approx(rate)
    exact = ChiSquareProducts(layers)
    assert 4096 * exact.variance("log_jacobian") == pytest.approx(rate, rel=60 / 4096)
    assert 4096 * exact.mean("log_jacobian") == pytest.approx(-rate / 2, rel=60 / 4096)
    assert LogNormal(layers).law("log_jacobian").mean == pytest.approx(-rate / 2 / 4096)


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.4, 0.8, 1.0])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 25, 48, 64, 256])
def test_generating_function_is_the_sum_over_units_that_are_on(width, keep):
    k = np.arange(1, width + 1)
    weight = binom.logpmf(k, width, keep)
    weight = weight - logsumexp(weight)
    for s in (-0.4, 0.5, 2.0, 0.7 + 3j, 20j):
        terms = weight + s * math.log(2 / (keep * width)) + loggamma(k / 2 + s) - loggamma(k / 2)
        found = complex(LogReLUNorm(1, width, keep).log_mgf(np.array(s, dtype=complex)))
        assert abs(np.exp(found) - np.exp(logsumexp(terms.astype(complex)))) < 1e-7


# Against real weights and automatic differentiation. -----------------------------------------------------------------

NETWORKS = {
    "relu-3": ReLUGradients(4, 3),
    "relu-unequal": ReLUGradients(4, widths=(2, 8, 3, 5)),
    "relu-16-dropout": ReLUGradients(3, 16, keep=0.6),
    "linear-2": ReLUGradients(5, 2, activation="linear"),
    "linear-4-dropout": ReLUGradients(4, 4, activation="linear", keep=0.5),
}


def pvalues(network, layers_at):
    """Kolmogorov-Smirnov p-values of all logs at all layers, dense networks against `layers_at`(layer)."""
    depths = range(1, network.depth + 1)
    drawn = network.sample(8_192, seed=3, depths=depths, sampler="dense")
    found = {}
    for name in LOGS:
        for layer in depths:
            x = drawn[name].sel(depth=layer).values
            law = ChiSquareProducts(layers_at(layer)).law(name)
            found[name, layer] = ks_one_sample(x[~np.isnan(x)], law)[1]
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_dense_networks_have_the_exact_law_in_every_layer(name):
    network = NETWORKS[name]
    widths, passing = network.layers.widths, network.layers.passing
    assert min(pvalues(network, lambda layer: Layers(widths, layer, passing)).values()) > ALARM


def test_wrong_layers_and_wrong_probabilities_are_noticed():
    network = NETWORKS["relu-unequal"]
    widths = network.layers.widths
    turned = pvalues(network, lambda layer: Layers(widths[::-1], layer))
    # of all layers together only the widths matter, not their order: the others are noticed
    assert min(turned["log_weight_gradient", layer] for layer in range(1, 5)) > ALARM
    assert turned["log_jacobian", 1] < 1e-12
    assert turned["log_gradient", 4] < 1e-12
    shifted = pvalues(network, lambda layer: Layers(widths, min(layer + 1, 4)))
    assert max(shifted["log_norm", 1], shifted["log_gradient", 1]) < 1e-12
    dropout = NETWORKS["relu-16-dropout"]
    without = pvalues(dropout, lambda layer: Layers(dropout.layers.widths, layer))
    assert max(without["log_weight_gradient", layer] for layer in range(1, 4)) < 1e-12


def test_norms_and_gradients_of_balanced_networks_share_the_log_normal_law():
    """The companion: vanilla networks have other laws, and their gradients another than their norms."""
    n, law = 32, BalancedLogNormal(1.0).law("log_gradient")
    assert (law.mean, law.std**2) == pytest.approx((-1.125, 2.25))

    def deviations(balanced):
        drawn = ResNet(n, n, balanced=balanced, jacobian=True, gradient=True).sample(4_096, seed=2)
        found = {}
        for name in ("log_norm", "log_jacobian", "log_gradient"):
            x = drawn[name].values
            spread = (x - x.mean()) ** 2
            # the law is a limit: 3 % of the variance and of the mean's scale are left to n = 32
            off = max(abs(spread.mean() - 2.25) - 0.07, 0), max(abs(x.mean() + 1.125) - 0.04, 0)
            found[name] = max(math.sqrt(x.size) * a / v.std() for a, v in zip(off, (spread, x), strict=True))
        return found

    assert max(deviations(True).values()) < 4.5
    assert min(deviations(False).values()) > 9


# Which layers enter; death. ------------------------------------------------------------------------------------------


def test_layers_that_enter():
    layers = Layers((2, 3, 4, 5), 3)
    assert layers.entering("log_norm") == layers.entering("log_jacobian") == (2, 3, 4)
    assert layers.entering("log_gradient") == (4, 5)
    assert layers.entering("log_weight_gradient") == (2, 3, 4, 5)
    assert layers.time("log_gradient") == pytest.approx(0.45)
    # the norm below and the gradient above make the weight gradient, each layer once
    below = Layers((2, 3, 4, 5), 2)
    assert below.entering("log_norm") + layers.entering("log_gradient") == layers.widths


def test_probability_of_death():
    assert Layers((3, 6, 2), 3).death == pytest.approx(1 - (1 - 2**-3) * (1 - 2**-6) * (1 - 2**-2))
    assert Layers((3, 6, 2), 1, 0.25).death == pytest.approx(0.75**3)
    assert Layers((3, 6), 2, 1.0).death == 0.0
    assert Layers((40,) * 10, 10).death == pytest.approx(10 * 2.0**-40, rel=1e-9)
    law = ChiSquareProducts(Layers((3, 6), 2, 1.0)).law("dead")
    assert law.is_point_mass


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"widths": ()}, "widths"),
        ({"widths": (4, 0)}, "widths"),
        ({"layer": 0}, "layer"),
        ({"layer": 3}, "layer"),
        ({"passing": 0.0}, "passing"),
        ({"passing": 1.1}, "passing"),
        ({"passing": math.nan}, "passing"),
    ],
)
def test_bad_values_are_named(values, name):
    with pytest.raises(InputError, match=f"{name}: got"):
        Layers(**{"widths": (4, 4), "layer": 1} | values)
    with pytest.raises(InputError, match="time: got"):
        BalancedLogNormal(0.0)
