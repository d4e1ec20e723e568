"""Residual networks against their definition in plain numpy, exact identities, numbers of sheet C section 2.7."""

import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.networks.resnet import ResNet
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

THREE = ((1.0, 0.5, -0.3), (0.5, 2.0, 0.0), (-0.3, 0.0, 1.0))


class TestResNet(NetworkContract):
    @pytest.fixture(
        params=[
            ResNet(40, 5),
            ResNet(4, 70, balanced=True, jacobian=True, outputs=3),
            ResNet(3, 33, skip=1.0, branch=0.2, slope_plus=2.0, slope_minus=-1.0, balanced=True, rho0=0.4),
            ResNet(4, 6, gram=THREE),
            ResNet(3, 9, weights="rademacher", jacobian=True),
            ResNet(3, 8, weights="pytorch", balanced=True, rho0=0.4),
            ResNet(20, 5, jacobian=True, gradient=True, balanced=True),
            ResNet(3, 6, gradient=True, gram=THREE),
            ResNet(3, 7, gradient=True, weights="uniform"),
        ],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


def literal_network(network, n, seed, branch=1.0):
    """Networks as the docstring defines them, one input: weights, no change of scale."""
    rng, width = np.random.default_rng(seed), network.width
    z, u, v = rng.standard_normal((3, n, width))
    start, direction, back, blocks = (z**2).sum(1), (u**2).sum(1), v, []

    def phi(x):
        return network.slope_plus * np.maximum(x, 0) + network.slope_minus * np.minimum(x, 0)

    def signs():
        return rng.choice([-1.0, 1.0], (n, width)) if network.balanced else np.ones((n, width))

    for _ in range(network.depth):
        weights = branch * network.branch / math.sqrt(width) * rng.standard_normal((n, width, width))
        sigma = signs()
        slopes = np.where(sigma * z > 0, network.slope_plus, network.slope_minus)
        u = network.skip * u + np.einsum("nij,nj->ni", weights, slopes * sigma * u)
        blocks.append((weights, slopes * sigma))
        z = network.skip * z + np.einsum("nij,nj->ni", weights, phi(sigma * z))
    for weights, slopes in reversed(blocks):
        back = network.skip * back + slopes * np.einsum("nij,ni->nj", weights, back)
    out = np.einsum("noj,nj->no", rng.standard_normal((n, network.outputs, width)), z) / math.sqrt(width)
    decay = network.depth * math.log(network.growth)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "log_norm": np.log((z**2).sum(1) / start)[:, None] - decay,
            "log_output": np.log((out**2).sum(1))[:, None],
            "log_jacobian": np.log((u**2).sum(1) / direction)[:, None] - decay,
            "log_gradient": np.log((back**2).sum(1) / (v**2).sum(1))[:, None] - decay,
            "active_fraction": (z > 0).mean(1)[:, None],
            "relu_share": ((np.maximum(signs() * z, 0) ** 2).sum(1) / (z**2).sum(1))[:, None],
        }


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize(
    "network",
    [
        ResNet(4, 8, jacobian=True, gradient=True, outputs=2),
        ResNet(3, 3, skip=0.0, branch=math.sqrt(2.0), jacobian=True, gradient=True),
        ResNet(4, 5, balanced=True, jacobian=True),
        ResNet(3, 20, skip=0.5, branch=1.2, slope_plus=2.0, slope_minus=-1.0, balanced=True, gradient=True),
    ],
    ids=str,
)
def test_samplers_have_the_law_of_the_definition(network, sampler):
    drawn = network.sample(8192, seed=1, sampler=sampler)
    values = {name: drawn[name].values[:, None] for name in network.observables}

    def deviation(branch):
        literal = literal_network(network, 8192, seed=2, branch=branch)
        return largest_deviation(values, {name: literal[name] for name in values})

    assert deviation(1.0) < CRITICAL
    assert deviation(1.15) > POWERFUL


def literal_gram(network, n, seed):
    """V_d of two inputs, as the docstring defines it."""
    rng, width = np.random.default_rng(seed), network.width
    root = np.linalg.cholesky(np.array(network.input_gram)).T
    z = rng.standard_normal((n, width, len(root))) @ root
    start = (z[:, :, 0] ** 2).sum(1)
    for _ in range(network.depth):
        sigma = rng.choice([-1.0, 1.0], (n, width, 1)) if network.balanced else 1.0
        features = network.slope_plus * np.maximum(sigma * z, 0) + network.slope_minus * np.minimum(sigma * z, 0)
        weights = rng.standard_normal((n, width, width)) / math.sqrt(width)
        z = network.skip * z + network.branch * weights @ features
    gram = np.swapaxes(z, 1, 2) @ z / width
    correlation = gram[:, 0, 1] / np.sqrt(gram[:, 0, 0] * gram[:, 1, 1])
    decay = network.depth * math.log(network.growth)
    values = {"correlation": correlation, "log_norm": np.log(gram[:, 0, 0] * width / start) - decay}
    for a in range(len(root)):
        values |= {f"covariance_{a + 1}{b + 1}": gram[:, a, b] for b in range(a, len(root))}
    return {name: value[:, None] for name, value in values.items()}


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize(
    "network", [ResNet(3, 6, rho0=-0.2), ResNet(4, 4, gram=THREE, balanced=True, slope_minus=-0.5)], ids=str
)
def test_several_inputs_have_the_law_of_the_definition(network, sampler):
    drawn, literal = network.sample(8192, seed=1, sampler=sampler), literal_gram(network, 8192, seed=2)
    values = {name: drawn[name].values[:, None] for name in network.observables}
    assert largest_deviation(values, literal) < CRITICAL


# Exact identities. --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize(
    "values", [{"jacobian": True}, {"balanced": True, "gradient": True}, {"rho0": 0.3, "slope_minus": -0.5}]
)
def test_only_the_ratio_of_the_paths_enters_a_normalised_law(values, sampler):
    # alpha = lambda = 1 and alpha = lambda = sqrt(1/2): the same numbers from the same stream, s = 2 and s = 1
    one, two = ResNet(40, 8, **values), ResNet(40, 8, skip=1.0, branch=math.sqrt(2.0), **values)
    first, second = (net.sample_batch(7, depths=[3, 40], sampler=sampler) for net in (one, two))
    assert two.growth == pytest.approx(2.0 * one.growth)
    if one.inputs == 1:
        second["log_output"] -= np.array([3, 40]) * math.log(2.0)
    for name in one.observables:
        tolerance = 1e-4 if sampler == "exact" else 1e-9  # float32, float64
        np.testing.assert_allclose(first[name], second[name], rtol=tolerance, atol=tolerance)


def test_scale_of_the_input_enters_the_output_alone():
    one, four = (ResNet(5, 8, gram=((scale,),)).sample_batch(3, depths=[5]) for scale in (1.0, 4.0))
    np.testing.assert_allclose(four["log_output"] - one["log_output"], math.log(4.0))
    np.testing.assert_allclose(four["log_norm"], one["log_norm"], atol=1e-5)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_duplicated_and_opposite_inputs_stay_so(sampler):
    network = ResNet(30, 4, gram=((1.0, 1.0, 0.2), (1.0, 1.0, 0.2), (0.2, 0.2, 1.0)), balanced=True)
    drawn = network.sample(64, sampler=sampler)
    np.testing.assert_allclose(drawn["correlation"], 1.0, atol=1e-12)
    np.testing.assert_allclose(drawn["covariance_13"], drawn["covariance_23"], rtol=1e-4)  # float32
    # slopes 1, 1: a linear network, so that opposite inputs stay opposite
    opposite = ResNet(30, 4, rho0=-1.0, slope_minus=1.0).sample(64, sampler=sampler)
    np.testing.assert_allclose(opposite["correlation"], -1.0, atol=1e-12)


def test_a_network_without_skip_dies_with_all_of_its_units():
    drawn = ResNet(2, 2, skip=0.0, jacobian=True).sample(20_000, depths=[1, 2], seed=2)
    dead = np.isneginf(drawn["log_norm"].values)
    # a layer of two units is off with probability 1/4
    assert abs(dead[:, 0].mean() - 0.25) < 4.5 * math.sqrt(0.25 * 0.75 / 20_000)
    assert np.isneginf(drawn["log_jacobian"].values[dead]).all()
    assert np.isneginf(drawn["log_output"].values[dead]).all()
    assert np.isnan(drawn["relu_share"].values[dead]).all()
    assert (drawn["active_fraction"].values[dead] == 0.0).all()
    assert all(np.isfinite(drawn[name].values[~dead]).all() for name in drawn)


@pytest.mark.parametrize("slopes", [{}, {"skip": 3.0, "branch": 2.0, "balanced": True}])
def test_norms_far_outside_of_the_range_of_floats_are_kept(slopes):
    drawn = ResNet(2_500, 4, jacobian=True, **slopes).sample(32, depths=[1, 2_500])
    assert all(np.isfinite(drawn[name]).all() for name in drawn)
    # ln V/d is about m / n to a few sd sqrt(v / (n d)), some -0.3 for either set of constants of sheet C 2.3
    assert (np.abs(drawn["log_norm"].values[:, 1] / 2_500 + 0.4) < 0.4).all()


# Sheet C section 2.7, alpha = lambda, 4.5 standard errors. ----------------------------------------------------------


def z_score(values, expected):
    return (values.mean(axis=0) - expected) / (values.std(axis=0) / math.sqrt(len(values)))


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_mean_norm_of_a_balanced_network_is_one_at_any_size(sampler):
    depths = [1, 2, 4, 8]
    balanced = np.exp(ResNet(8, 32, balanced=True).sample(16_384, depths=depths, sampler=sampler)["log_norm"].values)
    assert (np.abs(z_score(balanced, 1.0)) < 4.5).all()
    vanilla = np.exp(ResNet(8, 32).sample(16_384, depths=depths, sampler=sampler)["log_norm"].values)
    # sheet C 2.7 (e): 1.1093 +- .0031 at n = 32
    assert abs(vanilla[:, 3].mean() - 1.1093) < 4.5 * math.hypot(0.0031, vanilla[:, 3].std() / 128)
    assert z_score(vanilla[:, 3], 1.0) > 9.0


def scaled_covariances(network, start, lags, seed):
    """4 n Cov(A_l, A_{l+r}) at l = `start` with standard errors."""
    drawn = network.sample(8_192, seed=seed, depths=[start + lag for lag in lags])["relu_share"].values
    centred = drawn - drawn.mean(axis=0)
    products = 4 * network.width * centred[:, :1] * centred
    return products.mean(axis=0), products.std(axis=0) / math.sqrt(len(products))


def test_interlayer_covariances_are_those_of_the_sheet():
    lags = (0, 1, 2, 3, 5, 8)
    sheet = np.array([2.981, 1.970, 1.351, 0.951, 0.477, 0.164])  # vanilla, n = 128
    vanilla, se = scaled_covariances(ResNet(40, 128), 32, lags, seed=5)
    assert (np.abs(vanilla - sheet) < 4.5 * np.hypot(se, 0.017)).all()
    balanced, se = scaled_covariances(ResNet(40, 128, balanced=True), 32, lags, seed=5)
    assert abs(balanced[0] - 3.0) < 4.5 * se[0] + 10 / 128
    assert (np.abs(balanced[1:]) < 4.5 * se[1:]).all()
    assert (vanilla[1:5] > 9.0 * se[1:5]).all()


def test_fewer_than_half_of_the_units_of_a_vanilla_network_are_active():
    layers, n = [1, 2, 4, 8, 16], 64
    drawn = ResNet(16, n).sample(32_768, seed=6, depths=layers)
    share, active = n * (drawn["relu_share"].values - 0.5), n * (drawn["active_fraction"].values - 0.5)
    # sheet C 2.7 (d), n = 64, standard errors .028 and .016
    for values, sheet, se in (
        (share, [-0.288, -0.439, -0.682, -0.848, -0.937], 0.028),
        (active, [-0.076, -0.149, -0.265, -0.344, -0.388], 0.016),
    ):
        combined = np.hypot(se, values.std(axis=0) / math.sqrt(len(values)))
        assert (np.abs(values.mean(axis=0) - np.array(sheet)) < 4.5 * combined).all()
        assert (z_score(values, 0.0) < -9.0)[2:].all()
    balanced = ResNet(16, n, balanced=True).sample(32_768, seed=6, depths=layers)
    for name in ("relu_share", "active_fraction"):
        assert (np.abs(z_score(balanced[name].values, 0.5)) < 4.5).all()


def moments(values):
    """Mean and variance with their standard errors."""
    squares = (values - values.mean()) ** 2
    return values.mean(), squares.mean(), values.std() / math.sqrt(len(values)), squares.std() / math.sqrt(len(values))


def test_jacobians_and_gradients_have_the_moments_of_the_sheet():
    """2.7 (g): exact weights, n = d = 32, 1500 networks; variances to 5.2 % there, means +-.039 (vanilla: .055)."""
    sheet = {
        True: {"log_norm": (-1.086, 2.30), "log_jacobian": (-1.128, 2.18), "log_gradient": (-1.126, 2.29)},
        False: {"log_norm": (-2.05, 6.75), "log_jacobian": (-1.54, 4.54), "log_gradient": (-1.50, 4.36)},
    }
    found = {}
    for balanced, expected in sheet.items():
        drawn = ResNet(32, 32, balanced=balanced, jacobian=True, gradient=True).sample(6_144, seed=4)
        for name, (mean, variance) in expected.items():
            m, v, m_se, v_se = found[balanced, name] = moments(drawn[name].values)
            assert abs(m - mean) < 4.5 * math.hypot(m_se, math.sqrt(variance / 1_500)), (balanced, name)
            assert abs(v - variance) < 4.5 * math.hypot(v_se, 0.052 * variance), (balanced, name)
    # the norms of vanilla networks spread more than their gradients
    assert found[False, "log_norm"][1] - found[False, "log_gradient"][1] > 9 * found[False, "log_norm"][3]


def test_gradients_of_vanilla_networks_have_the_variance_of_the_sheet():
    """2.6, n = 128, d = 32: .948(15); the diffusion that was derived there has .882 and is not claimed to hold."""
    _, variance, _, se = moments(ResNet(32, 128, gradient=True).sample(6_144, seed=4)["log_gradient"].values)
    assert abs(variance - 0.948) < 4.5 * math.hypot(se, 0.015)
    forward = ResNet(32, 128).sample(16_384, seed=4)["log_norm"].values
    assert moments(forward)[1] - variance > 9 * se


# Input checks. ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"depth": 0}, "depth"),
        ({"width": 0}, "width"),
        ({"outputs": 0}, "outputs"),
        ({"skip": math.nan}, "skip"),
        ({"branch": -math.inf}, "branch"),
        ({"slope_plus": math.inf}, "slope_plus"),
        ({"skip": 0.0, "branch": 0.0}, "skip"),
        ({"branch": 1e200}, "branch"),
        ({"skip": 1e-200, "branch": 0.0}, "skip"),
        ({"jacobian": True, "rho0": 0.3}, "jacobian"),
        ({"rho0": 1.5}, "rho0"),
        ({"rho0": 0.5, "gram": ((1.0,),)}, "rho0"),
        ({"gram": ((1.0, 2.0), (2.0, 1.0))}, "gram"),
        ({"weights": "cauchy"}, "weights"),
    ],
)
def test_bad_values_are_named(values, name):
    with pytest.raises(InputError, match=f"{name}: got"):
        ResNet(**{"depth": 3, "width": 4} | values)


def test_parameters_are_converted_and_name_the_stream():
    assert ResNet(3, 8, skip=1, rho0=-0.0) == ResNet(3, 8, skip=1.0, rho0=0.0)
    correlated = ResNet(3, 8, rho0=0.5)
    assert correlated.parameters == ResNet(3, 8, gram=((1, 0.5), (0.5, 1))).parameters
    assert not {"weights", "jacobian", "gradient"} & set(correlated.parameters)  # streams from before these options
    changed = [
        {},
        {"width": 9},
        {"skip": 1.0},
        {"branch": 2.0},
        {"slope_plus": 2.0},
        {"slope_minus": 0.5},
        {"balanced": True},
        {"outputs": 2},
        {"jacobian": True},
        {"gradient": True},
        {"rho0": 0.5},
        {"gram": ((2.0,),)},
        {"weights": "uniform"},
    ]
    networks = [ResNet(**{"depth": 3, "width": 8} | values) for values in changed]
    seeds = {network.batch_seed(0, 0, sampler) for network in networks for sampler in ("exact", "dense")}
    assert len(seeds) == 2 * len(changed)
