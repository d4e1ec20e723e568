"""Shaped ReLU networks against their definition: literal weights, exact identities, edges of correlation and norm."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import digamma, polygamma

from limitbench.errors import InputError
from limitbench.networks import shaped_pair
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation

DUPLICATED = ((1.0, 1.0, 0.2), (1.0, 1.0, 0.2), (0.2, 0.2, 1.0))


def literal_network(widths, c_plus, c_minus, rate, rho0, n, seed, constant=2.0):
    """Networks as sheet A section 0 defines them, in plain numpy: weights, no renormalisation, Gram entries."""
    rng = np.random.default_rng(seed)
    inputs = np.linalg.cholesky(np.array([[1.0, rho0], [rho0, 1.0]])).T
    features, fan_in, c_before = np.broadcast_to(inputs, (n, 2, 2)), 1.0, 1.0
    for width in widths:
        z = math.sqrt(c_before / fan_in) * rng.standard_normal((n, width, features.shape[1])) @ features
        plus, minus = 1 + c_plus * width**-rate, 1 + c_minus * width**-rate
        c_before, fan_in = constant / (plus**2 + minus**2), width
        features = plus * np.maximum(z, 0) + minus * np.minimum(z, 0)
    gram = c_before / fan_in * np.swapaxes(features, 1, 2) @ features
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.minimum(gram[:, 0, 1] / np.sqrt(gram[:, 0, 0] * gram[:, 1, 1]), 1.0)
        return {"correlation": correlation[:, None], "log_norm": np.log(gram[:, 0, 0])[:, None]}


@pytest.mark.parametrize("sampler", ["exact", "dense"])
@pytest.mark.parametrize(
    ("widths", "c_plus", "c_minus", "rate", "rho0"),
    [
        ((4, 4, 4), 0.0, -1.0, 0.5, 0.3),
        ((40, 36, 50), 1.0, -1.0, 0.5, -0.5),
        ((5, 2, 8, 3), 0.0, -1.0, 0.0, 0.6),
        ((3, 9), -2.0, 0.3, 0.0, 0.2),
    ],
)
def test_samplers_have_the_law_of_the_definition(widths, c_plus, c_minus, rate, rho0, sampler):
    network = ShapedMLP(len(widths), widths=widths, c_plus=c_plus, c_minus=c_minus, rate=rate, rho0=rho0)
    drawn = network.sample(8192, seed=1, sampler=sampler)

    def deviation(constant):
        literal = literal_network(widths, c_plus, c_minus, rate, rho0, 8192, seed=2, constant=constant)
        sample = {name: drawn[name].values[:, None] for name in literal}
        return largest_deviation(sample, literal)

    assert deviation(2.0) < CRITICAL
    assert deviation(2.5) > POWERFUL


@pytest.mark.parametrize("network", [ShapedMLP(1, 3, c_minus=-1.5), ShapedMLP(1, 50, c_plus=1.0, rate=0.25)], ids=str)
def test_mean_gram_matrix_of_a_layer_is_the_finite_size_identity(network):
    # E V_{l+1}^12 = V^12 + c nu n^{-2p} sqrt(V^11 V^22), nu = (c_+ - c_-)^2 (sin t - t cos t) / (2 pi), t = acos rho
    drawn = network.sample_gram(200_000, seed=4)
    cross = np.exp(drawn.log_norms[:, 0].mean(axis=1)) * drawn.correlations[:, 0, 0, 1]
    cross = np.where(np.isnan(cross), 0.0, cross)
    norm = np.exp(drawn.log_norms[:, 0, 0])
    layer, angle = network.layers[0], math.acos(network.rho0)
    nu = (network.c_plus - network.c_minus) ** 2 / (2 * math.pi) * (math.sin(angle) - angle * network.rho0)
    drift = nu * network.width ** (-2 * network.rate)

    def deviation(values, expected):
        return abs(values.mean() - expected) / (values.std() / math.sqrt(len(values)))

    assert deviation(norm, 1.0) < 4.5
    assert deviation(cross, network.rho0 + layer.constant * drift) < 4.5
    assert deviation(cross, network.rho0) > 9.0
    assert deviation(cross, network.rho0 + drift) > 4.5  # without the factor c


@pytest.mark.parametrize(("inputs", "depth"), [(1, 4_000), (2, 2_500)])
def test_norm_of_an_unshaped_linear_network_has_its_exact_moments_where_it_underflows(inputs, depth):
    gram = ((1.0,),) if inputs == 1 else None
    width = 4
    network = ShapedMLP(depth, width, c_plus=0.0, c_minus=0.0, gram=gram, rho0=0.3)
    values = network.sample(2048, seed=1)["log_norm"].values
    mean = depth * (digamma(width / 2) - math.log(width / 2))
    sd = math.sqrt(depth * polygamma(1, width / 2))
    assert abs(values.mean() - mean) < 4.5 * sd / math.sqrt(2048)
    assert abs(values.var() / sd**2 - 1) < 4.5 * math.sqrt(2 / 2048)
    assert mean < math.log(1e-270)


@pytest.mark.parametrize(("width", "depth", "rho0"), [(4, 2000, 1 - 1e-9), (40, 600, 1 - 1e-9)])
def test_gap_of_an_unshaped_linear_network_has_its_exact_mean(width, depth, rho0):
    # det V is a product of chi2_n chi2_{n-1}, so E ln(1 - rho_d^2) = ln(1 - rho_0^2) + d (psi((n-1)/2) - psi(n/2))
    log_gap = ShapedMLP(depth, width, c_minus=0.0, rho0=rho0).sample(2048, seed=1)["log_gap"].values
    log_det = log_gap + np.log(2 - np.exp(log_gap))
    mean = math.log((1 - rho0) * (1 + rho0)) + depth * (digamma((width - 1) / 2) - digamma(width / 2))
    assert abs(log_det.mean() - mean) < 4.5 * log_det.std() / math.sqrt(2048)
    without_one_degree = depth * (digamma(width / 2) - digamma((width - 1) / 2))
    assert abs(log_det.mean() - mean - without_one_degree) > 9.0 * log_det.std() / math.sqrt(2048)
    if width == 4:
        assert log_gap.max() < math.log(1e-100)


def difference_chain(normals, ratio, gap):
    """1 - rho layer by layer in float64 from the features and (|h_2| - |h_1|) = delta (h_1 + h_2) / (|h_1| + |h_2|)."""
    even, odd = (1 + ratio) / 2, (1 - ratio) / 2
    for g, xi in normals:
        e = gap[:, None]
        delta = e * g + np.sqrt(e * (2 - e)) * xi
        first, second = -g, delta - g
        total = np.maximum(np.abs(first) + np.abs(second), 1e-300)
        jump = even * delta + odd * delta * (first + second) / total
        f_1 = even * first + odd * np.abs(first)
        one, two = np.sqrt((f_1**2).sum(1)), np.sqrt(((f_1 + jump) ** 2).sum(1))
        gap = ((jump**2).sum(1) - ((2 * f_1 * jump + jump**2).sum(1) / (one + two)) ** 2) / (2 * one * two)
    return gap


@pytest.mark.parametrize("ratio", [0.0, 0.9, -0.5])
@pytest.mark.parametrize(("width", "gap"), [(64, 1e-12), (64, 0.7), (200, 1e-12), (33, 1e-8), (33, 1.9)])
def test_float32_elements_keep_the_gap_over_512_layers(ratio, width, gap):
    # the state differs by rounding only: 1e-3 relative after 512 layers, where Gram entries in float32 keep no digit
    normals = torch.randn(512, 2, 32, width, generator=torch.Generator().manual_seed(3))
    scratch, log_gap = torch.empty(2, 32, width), torch.full((32,), math.log(gap), dtype=torch.float64)
    expected = difference_chain(normals.double().numpy(), ratio, np.full(32, gap))
    for drawn in normals.clone():
        log_gap = shaped_pair.wide_layer(drawn, scratch, ratio, log_gap).log_gap
    np.testing.assert_allclose(log_gap.exp().numpy(), expected, rtol=1e-3)
    if gap < 1e-6:
        assert expected.max() < 1e-3


@pytest.mark.parametrize("gap", [1e-30, 1e-12, 1e-3, 1.5])
@pytest.mark.parametrize("ratio", [0.0, 0.7])
def test_narrow_layer_agrees_with_arithmetic_of_80_digits(gap, ratio):
    normals = torch.randn(2, 64, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = shaped_pair.narrow_layer(normals, ratio, torch.full((64,), math.log(gap), dtype=torch.float64))
    with mpmath.workdps(80):
        e = mpmath.exp(mpmath.mpf(math.log(gap)))
        for network in range(64):
            g, xi = ([mpmath.mpf(v) for v in normals[i, network].tolist()] for i in range(2))
            h = [[-a for a in g], [-a + e * a + mpmath.sqrt(e * (2 - e)) * b for a, b in zip(g, xi, strict=True)]]
            f = [[v if v > 0 else ratio * v for v in row] for row in h]
            v_11, v_22, v_12 = (mpmath.fdot(f[a], f[b]) for a, b in ((0, 0), (1, 1), (0, 1)))
            assert bool(step.dead[network]) == (v_11 * v_22 == 0)
            if v_11 * v_22 == 0:
                continue
            next_gap = 1 - v_12 / mpmath.sqrt(v_11 * v_22)
            assert float(step.growth[network]) == pytest.approx(float(mpmath.log(v_11)), abs=1e-12)
            if abs(next_gap) < mpmath.mpf(10) ** -70:
                assert step.log_gap[network] == -math.inf
            else:
                assert float(step.log_gap[network]) == pytest.approx(float(mpmath.log(next_gap)), abs=1e-9)


def test_dead_and_parallel_features_of_a_narrow_relu_network():
    n, width = 100_000, 3
    drawn = ShapedMLP(6, width, rate=0.0, rho0=0.5).sample(n, seed=1, depths=[1, 6])
    log_norm, log_gap, rho = (drawn[name].values for name in ("log_norm", "log_gap", "correlation"))
    dead = np.isneginf(log_norm[:, 0]).mean()
    assert abs(dead - 2.0**-width) < 4.5 * math.sqrt(2.0**-width / n)
    assert np.isneginf(log_norm[:, 1])[np.isneginf(log_norm[:, 0])].all()  # dead stays dead
    np.testing.assert_array_equal(np.isnan(log_gap), np.isnan(rho))
    assert np.isnan(log_gap)[np.isneginf(log_norm)].all()
    assert (np.isnan(log_gap) & np.isfinite(log_norm)).any()  # the second input alone is dead
    assert (rho[np.isneginf(log_gap)] == 1.0).all()
    # parallel after one layer: one unit is on in either input, and it is the same one; of each unit both are on with
    # probability 1/4 + asin(rho_0) / (2 pi) = 1/3 and both off with 1/3
    assert abs(np.isneginf(log_gap[:, 0]).mean() - 1 / 9) < 4.5 * math.sqrt(1 / 9 / n)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_equal_inputs_stay_equal_and_opposite_inputs_of_a_relu_network_are_orthogonal(sampler):
    equal = ShapedMLP(4, 50, rho0=1.0).sample(4, sampler=sampler)
    assert (equal["correlation"].values == 1.0).all()
    assert (equal["log_gap"].values < math.log(1e-28)).all()
    opposite = ShapedMLP(1, 50, rate=0.0, rho0=-1.0).sample(4, sampler=sampler)
    np.testing.assert_allclose(opposite["correlation"], 0.0, atol=1e-6)
    linear = ShapedMLP(30, 50, c_minus=0.0, rho0=-1.0).sample(64, sampler=sampler)
    np.testing.assert_allclose(linear["correlation"], -1.0, atol=1e-12)


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_gram_of_duplicated_inputs_and_more_inputs_than_units(sampler):
    network = ShapedMLP(20, 2, gram=DUPLICATED)
    drawn = network.sample_gram(300, depths=[1, 20], sampler=sampler)
    assert drawn.log_norms.shape == (300, 2, 3)
    assert drawn.correlations.shape == (300, 2, 3, 3)
    np.testing.assert_allclose(drawn.correlations[..., 0, 1], 1.0, atol=1e-12)
    np.testing.assert_allclose(drawn.log_norms[..., 0], drawn.log_norms[..., 1], atol=1e-9)
    assert np.linalg.eigvalsh(drawn.correlations).min() > -1e-12
    more = network.sample_gram(400, depths=[20], sampler=sampler)
    np.testing.assert_array_equal(more.correlations[:300, 0], drawn.correlations[:, 1])


def test_gram_sampler_and_pair_kernel_have_the_same_law():
    network = ShapedMLP(6, 12, c_plus=0.5, rho0=0.8)
    gram, pair = network.sample_gram(16_384, seed=1), network.sample(16_384, seed=2)
    correlation = gram.correlations[:, :, 0, 1]
    first = {"correlation": correlation, "log_norm": gram.log_norms[:, :, 0]}
    assert largest_deviation(first, {name: pair[name].values[:, None] for name in first}) < CRITICAL


def test_gram_overrides_rho0_and_only_correlations_matter():
    network = ShapedMLP(3, 8, gram=((4.0, 1.0), (1.0, 1.0)))
    assert network.rho0 == pytest.approx(0.5)
    np.testing.assert_array_equal(network.sample(5)["log_gap"], ShapedMLP(3, 8, rho0=0.5).sample(5)["log_gap"])


def test_depth_and_spelling_of_widths_stay_out_of_the_stream():
    shallow, deep = ShapedMLP(3, 40), ShapedMLP(6, 40)
    np.testing.assert_array_equal(shallow.sample(8)["log_norm"], deep.sample(8, depths=[3])["log_norm"][:, 0])
    assert ShapedMLP(2, widths=(8, 8)).parameters == ShapedMLP(2, 8).parameters
    assert ShapedMLP(2, 8, c_plus=1).parameters == ShapedMLP(2, 8, c_plus=1.0).parameters
    # the layers shared by networks of equal width only
    assert ShapedMLP(2, widths=(8, 9)).parameters != ShapedMLP(2, widths=(9, 8)).parameters


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depth", {"depth": 0}),
        ("depth", {"depth": True}),
        ("width", {"width": 0}),
        ("width", {"width": None}),
        ("width", {"widths": (3, 3)}),
        ("widths", {"width": None, "widths": (3,)}),
        ("widths", {"width": None, "widths": (3, -1)}),
        ("c_plus", {"c_plus": math.nan}),
        ("c_minus", {"c_minus": math.inf}),
        ("c_minus", {"c_plus": -1.0, "c_minus": -1.0, "rate": 0.0}),
        ("c_minus", {"c_plus": -3.0, "c_minus": -3.0, "width": 9}),
        ("rate", {"rate": -0.5}),
        ("rho0", {"rho0": 1.2}),
        ("gram", {"gram": ((1.0, 2.0), (2.0, 1.0))}),
        ("gram", {"gram": ((1.0, 0.2), (0.3, 1.0))}),
        ("gram", {"gram": ((0.0,),)}),
        ("gram", {"gram": ((1.0, 0.5),)}),
    ],
)
def test_bad_parameters_are_named(field, values):
    with pytest.raises(InputError) as error:
        ShapedMLP(**{"depth": 2, "width": 4} | values)
    assert error.value.field == field
    assert "\n" not in str(error.value)
