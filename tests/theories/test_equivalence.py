"""The residual equivalence: numbers of sheet A section 2, and its theories against independent dense networks.

Simulated numbers lie within 4.5 standard errors, both errors combined; each comparison has a companion that breaks the
formula and asserts that the test notices.
"""

import itertools
import math
from functools import cache

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.testing.theories import TheoryContract
from limitbench.theories.equivalence import (
    GaussianFluctuation,
    InfiniteWidth,
    KernelFluctuation,
    ShapingODE,
    kernel_fluctuation,
)
from limitbench.theories.equivalence.recursion import kernel_change, layer_kernel
from limitbench.theories.shaped_relu import FiniteWidthChain, InfiniteWidthCLT

PAIR = ((1.0, -0.2), (-0.2, 1.0))
ORTHOGONAL = ((1.0, 0.0), (0.0, 1.0))
THREE = ((1.0, -0.3, 0.4), (-0.3, 2.0, -0.1), (0.4, -0.1, 0.5))


def mlp(depth, plus, minus, gram=PAIR, width=0, layers=None):
    """Infinite width (with its CLT if `width`) of the MLP shaped with `depth`, after `layers` of its layers."""
    plus, minus = 1 + plus * depth**-0.5, 1 + minus * depth**-0.5
    block = (plus, minus, 0.0, math.sqrt(2 / (plus**2 + minus**2)), gram)
    layers = layers or depth
    return KernelFluctuation(layers, width, *block) if width else InfiniteWidth(layers, *block)


def resnet(depth, plus, minus, gram=PAIR, width=0, layers=None, normalised=False):
    """The same of a residual network of `depth` blocks."""
    scale = (1 + (plus**2 + minus**2) / (2 * depth)) ** -0.5 if normalised else 1.0
    block = (plus, minus, scale, scale * depth**-0.5, gram)
    layers = layers or depth
    return KernelFluctuation(layers, width, *block) if width else InfiniteWidth(layers, *block)


class TestShapingODE(TheoryContract):
    theories = (
        ShapingODE(1.0, 3.0, PAIR),
        ShapingODE(0.25, 1.0, THREE, growth=0.5),
        ShapingODE(2.0, 3.0, ((1.0, 1.0), (1.0, 1.0))),
        ShapingODE(2.0, 3.0, ((1.0, -2.0), (-2.0, 4.0))),
    )


class TestInfiniteWidth(TheoryContract):
    theories = (mlp(16, 1.5, -1.5), resnet(8, 1.0, 0.0, THREE), InfiniteWidth(3, 1.0, 0.0, 1.0, 0.0, PAIR))


class TestGaussianFluctuation(TheoryContract):
    theories = (GaussianFluctuation(1.0, 3.0, -0.2, 8, 64), GaussianFluctuation(1.0, 3.0, 1.0, 8, 64))


class TestKernelFluctuation(TheoryContract):
    theories = (
        mlp(4, 1.5, -1.5, width=64),
        resnet(4, 2.0, -1.0, THREE, width=64),
        resnet(4, 2.0, -1.0, ((1.0, 1.0), (1.0, 1.0)), width=64),
    )


# Sheet A, section 2: predicted numbers, to the digits shown. --------------------------------------------------------


def test_ode_and_fluctuation_of_the_sheet():
    assert round(ShapingODE(1.0, 3.0, PAIR).law("correlation").mean, 4) == 0.6163
    assert round(ShapingODE(1.0, 1.0, ORTHOGONAL).law("correlation").mean, 4) == 0.1413
    assert round(GaussianFluctuation(1.0, 3.0, -0.2, 8, 64).scaled_std, 4) == 0.4245


@pytest.mark.parametrize(("depth", "rho"), [(8, 0.6692), (32, 0.6593), (64, 0.6500)])
def test_infinite_width_recursion_of_asymmetric_shaping(depth, rho):
    assert round(mlp(depth, 1.0, -2.0).law("correlation").mean, 4) == rho


def test_growth_of_the_relu_residual_network():
    growth = [resnet(d, 1.0, 0.0, ORTHOGONAL).law("covariance_11").mean for d in (8, 64, 256)]
    np.testing.assert_allclose(growth, [(1 + 0.5 / d) ** d for d in (8, 64, 256)], rtol=1e-12)
    assert (round(growth[0], 3), round(growth[2], 3)) == (1.624, 1.648)
    limit = ShapingODE(1.0, 1.0, ORTHOGONAL, growth=0.5).law("covariance_11").mean
    assert abs(growth[2] - limit) < 0.001


# Identities between theories. ---------------------------------------------------------------------------------------


def test_symmetric_mlp_and_normalised_residual_network_have_one_recursion():
    for d in (4, 8, 64):
        a, b = mlp(d, 1.5, -1.5, THREE), resnet(d, 1.5, -1.5, THREE, normalised=True)
        np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-12)
    # the companions: not without normalisation, and not for asymmetric constants
    assert not np.allclose(mlp(8, 1.5, -1.5, THREE).covariance, resnet(8, 1.5, -1.5, THREE).covariance, rtol=0.1)
    skewed = resnet(8, 1.0, -2.0, THREE, normalised=True)
    assert not np.allclose(mlp(8, 1.0, -2.0, THREE).covariance, skewed.covariance, rtol=0.01)


@pytest.mark.parametrize("network", [mlp, resnet])
def test_infinite_width_approaches_the_ode_as_one_over_d(network):
    limit = ShapingODE(1.0, 3.0, PAIR).law("correlation").mean
    errors = [d * (limit - network(d, 1.5, -1.5).law("correlation").mean) for d in (64, 128, 256)]
    assert abs(errors[2] / errors[1] - 1) < 0.02
    assert abs(errors[1] / errors[0] - 1) < 0.02
    wrong = ShapingODE(1.0, 3.05, PAIR).law("correlation").mean
    assert abs((wrong - limit) * 256 / errors[2]) > 3  # the companion


def test_infinite_width_of_an_mlp_with_asymmetric_constants_errs_by_the_root_of_d():
    limit = ShapingODE(1.0, 3.0, PAIR).law("correlation").mean
    errors = [math.sqrt(d) * (mlp(d, 1.0, -2.0).law("correlation").mean - limit) for d in (1024, 4096)]
    assert abs(errors[1] / errors[0] - 1) < 0.03
    assert errors[1] > 0.3


def test_slopes_of_either_order_give_one_residual_network():
    a, b = resnet(8, 2.0, -1.0, THREE), resnet(8, 1.0, -2.0, THREE)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-12)


def test_fluctuation_of_the_mlp_is_that_of_infinite_width_with_clt():
    """Two derivations: particles with influences here, layer-by-layer quadrature there; 1 % of simulation."""
    for plus, minus in ((1.5, -1.5), (1.0, -2.0)):
        ours = mlp(8, plus, minus, width=64).law("correlation")
        theirs = InfiniteWidthCLT(8, 64, plus * 8**-0.5, minus * 8**-0.5, 0.0, -0.2).law("correlation")
        assert abs(ours.mean - theirs.mean) < 1e-12
        assert abs(ours.std / theirs.std - 1) < 0.03
        log_norm = mlp(8, plus, minus, width=64).law("log_norm").std
        exact = InfiniteWidthCLT(8, 64, plus * 8**-0.5, minus * 8**-0.5, 0.0, -0.2).law("log_norm").std
        assert abs(log_norm / exact - 1) < 0.03


def test_scaled_fluctuation_of_the_mlp_approaches_that_of_the_ode():
    limit = GaussianFluctuation(1.0, 3.0, -0.2, 8, 64).scaled_std
    scaled = [
        InfiniteWidthCLT(d, d * d, 1.5 * d**-0.5, -1.5 * d**-0.5, 0.0, -0.2).law("correlation").std * math.sqrt(d)
        for d in (8, 16, 32, 64, 128)
    ]
    assert all(a > b > limit for a, b in itertools.pairwise(scaled))
    assert abs(2 * scaled[-1] - scaled[-2] - limit) < 0.001  # Richardson in 1/d
    assert abs(2 * scaled[-1] - scaled[-2] - 1.02 * limit) > 0.005  # the companion


# Simulated numbers of the sheet, (64, 8), (256, 16), (1024, 32), by the finite-width chain. --------------------------


@pytest.mark.parametrize(
    ("n", "d", "rho", "rho_se", "scaled", "scaled_se"),
    [
        (64, 8, 0.5626, 0.0013, 0.515, 0.003),
        (256, 16, 0.5866, 0.0014, 0.485, 0.004),
        (1024, 32, 0.6047, 0.0018, 0.4535, 0.0072),
        (4096, 64, 0.6105, 0.0027, 0.434, 0.016),
    ],
)
def test_simulated_table_of_the_sheet(n, d, rho, rho_se, scaled, scaled_se):
    law = FiniteWidthChain(d, n, 1.5 * d**-0.5, -1.5 * d**-0.5, 0.0, -0.2).law("correlation")
    assert abs(law.mean - rho) < 4.5 * rho_se
    assert abs(law.std * math.sqrt(n / d) - scaled) < 4.5 * scaled_se


@pytest.mark.parametrize(
    ("n", "d", "rho", "se"), [(64, 8, 0.6657, 0.0011), (1024, 32, 0.6570, 0.0016), (4096, 64, 0.6483, 0.0025)]
)
def test_simulated_table_of_asymmetric_constants(n, d, rho, se):
    law = FiniteWidthChain(d, n, d**-0.5, -2 * d**-0.5, 0.0, -0.2).law("correlation")
    assert abs(law.mean - rho) < 4.5 * se


# Fluctuation of residual networks against real weight matrices. -----------------------------------------------------

WIDTH, NETWORKS = 96, 2048


@cache
def dense(depth, plus, minus):
    """V_d of three inputs in `NETWORKS` plain residual networks, with real weights."""
    rng = np.random.default_rng(5)
    root = np.linalg.cholesky(np.array(THREE))
    found = []
    for _ in range(NETWORKS // 256):
        z = first = rng.standard_normal((256, WIDTH, 3)) @ root.T
        for _ in range(depth):
            weights = rng.standard_normal((256, WIDTH, WIDTH), dtype=np.float32)
            passed = (plus * np.maximum(z, 0) + minus * np.minimum(z, 0)).astype(np.float32)
            z = z + (depth * WIDTH) ** -0.5 * (weights @ passed)
        v = np.swapaxes(z, 1, 2) @ z / WIDTH
        found.append((v, (first[:, :, 0] ** 2).mean(axis=1)))
    v, start = (np.concatenate(part) for part in zip(*found, strict=True))
    values = {f"covariance_{a + 1}{b + 1}": v[:, a, b] for a in range(3) for b in range(a, 3)}
    values["correlation"] = v[:, 0, 1] / np.sqrt(v[:, 0, 0] * v[:, 1, 1])
    values["log_norm"] = np.log(v[:, 0, 0] / start) - depth * math.log1p((plus**2 + minus**2) / (2 * depth))
    return values


def deviations(theory, values):
    """Deviation of each standard deviation in standard errors: sampling, 1 % of simulated units, 3 % of O(1/n)."""
    found = {}
    for name, x in values.items():
        square = (x - x.mean()) ** 2
        se = square.std() / square.mean() / 2 / math.sqrt(len(x))
        off = x.std() * math.sqrt(WIDTH) / theory.scaled_std(name) - 1
        found[name] = max(abs(off) - 0.03, 0.0) / math.hypot(se, 0.01)
    return found


@pytest.mark.parametrize(("plus", "minus"), [(2.0, -1.0), (1.0, 0.0)])
def test_fluctuation_of_a_residual_network_is_that_of_dense_weights(plus, minus):
    theory = resnet(6, plus, minus, THREE, width=WIDTH)
    assert max(deviations(theory, dense(6, plus, minus)).values()) < 4.5


def test_noise_of_a_residual_network_that_forgets_its_past_is_noticed(monkeypatch):
    """The companion: without the influence of a unit on later kernels the standard deviations are too small."""
    monkeypatch.setattr(kernel_fluctuation, "kernel_change", lambda covariance, change, slopes: 0.0 * change)
    kernel_fluctuation._relative_stds.cache_clear()
    theory = resnet(6, 2.0, -1.0, THREE, width=WIDTH)
    off = deviations(theory, dense(6, 2.0, -1.0))
    kernel_fluctuation._relative_stds.cache_clear()
    assert off["covariance_11"] > 9


@pytest.mark.parametrize("slopes", [(1.0, 0.0), (2.0, -1.0)])
def test_derivative_of_the_kernel_is_that_of_central_differences(slopes):
    """At unequal norms, in directions that change norms and angles; truncation is about 1e-9."""
    change = np.random.default_rng(2).standard_normal((4, 3, 3))
    change = change + np.swapaxes(change, 1, 2)
    covariance, step = np.array(THREE), 1e-5
    ends = [[layer_kernel(covariance + sign * step * c, slopes) for c in change] for sign in (1, -1)]
    differences = (np.array(ends[0]) - np.array(ends[1])) / (2 * step)
    np.testing.assert_allclose(kernel_change(covariance, change, slopes), differences, rtol=1e-6, atol=1e-8)


def test_fluctuation_of_a_residual_network_does_not_grow_with_depth():
    shallow, deep = (resnet(d, 1.5, -1.5, width=64).scaled_std("correlation") for d in (8, 32))
    assert abs(deep / shallow - 1) < 0.05
    shallow, deep = (mlp(d, 1.5, -1.5, width=64).scaled_std("correlation") for d in (8, 32))
    assert 1.6 < deep / shallow < 2.0


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("time", lambda: ShapingODE(0.0, 1.0, PAIR)),
        ("growth", lambda: ShapingODE(1.0, 1.0, PAIR, growth=10_000.0)),
        ("gram", lambda: ShapingODE(1.0, 1.0, ((1.0,),))),
        ("gram", lambda: ShapingODE(1.0, 1.0, ((1.0, 2.0), (2.0, 1.0)))),
        ("depth", lambda: InfiniteWidth(0, 1.0, 0.0, 1.0, 1.0, PAIR)),
        ("skip", lambda: InfiniteWidth(1, 1.0, 0.0, -1.0, 1.0, PAIR)),
        ("branch", lambda: InfiniteWidth(1, 1.0, 0.0, 0.0, 0.0, PAIR)),
        ("width", lambda: KernelFluctuation(1, 0, 1.0, 0.0, 1.0, 1.0, PAIR)),
        ("rho0", lambda: GaussianFluctuation(1.0, 3.0, -1.2, 8, 64)),
    ],
)
def test_bad_values_are_named(field, build):
    with pytest.raises(InputError, match=field):
        build()
