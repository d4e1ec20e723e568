"""Theories of unshaped networks: contracts, the sheet's tables, chains against their own simulation.

Moments are compared within 4.5 standard errors with fixed seeds, laws by Kolmogorov-Smirnov at 1e-7 a comparison.
"""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
from scipy.special import kolmogorov, ndtr

from limitbench.errors import InputError
from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.numerics.angle_law import layer_step
from limitbench.numerics.shaping import next_gap
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.testing.theories import TheoryContract
from limitbench.theories.unshaped_relu import (
    AngleLaw,
    FiniteStartSDE,
    FiniteWidthChain,
    InfiniteWidth,
    MatchedDiscrete,
    SingularStartSDE,
    WithoutItoDrift,
)

NETWORKS = {64: 8192, 256: 2048}
LAYERS = {0.25: 4, 0.5: 2, 1.0: 1}


class TestContracts(TheoryContract):
    theories = (
        InfiniteWidth(64, 64),
        SingularStartSDE(64, 64),
        SingularStartSDE(1, 64),
        SingularStartSDE(128, 512, slope_minus=0.5),
        FiniteStartSDE(16, 64),
        FiniteStartSDE(256, 64, slope_minus=-0.5, rho0=-1.0),
        WithoutItoDrift(32, 64),
        MatchedDiscrete(16, 64),
        MatchedDiscrete(128, 32, slope_minus=0.5, rho0=0.995),
        MatchedDiscrete(1024, 16),
        AngleLaw(64, 64),
        AngleLaw(16, 128, rho0=0.995, small_angles=True),
        FiniteWidthChain(32, 64),
        FiniteWidthChain(8, 16, slope_minus=0.5),
        FiniteWidthChain(64, 64, slope_minus=0.5, rho0=0.995),
    )


@cache
def networks(width, slope_minus=0.0, rho0=0.3):
    """ln q and ln V of networks of `width` at t = 1/4, 1/2 and 1."""
    drawn = UnshapedMLP(width, width, slope_minus=slope_minus, rho0=rho0).sample(
        NETWORKS[width], seed=21, depths=[width // 4, width // 2, width]
    )
    return {name: dict(zip(LAYERS, drawn[name].values.T, strict=True)) for name in ("log_q", "log_norm")}


# The limit and its table (sheet A 3). -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "mean", "std", "mean_w_"),
    [(0.25, 3.4562, 0.8428, 0.0487), (0.5, 3.1112, 1.2264, 0.1289), (1.0, 2.4008, 1.8228, 0.4793)],
)
def test_limit_of_log_q_and_w(time, mean, std, mean_w_):
    """10^6 independent stepped paths give 3.4569(8), 3.1122(12), 2.4012(18) and sd .8440, 1.2264, 1.8217."""
    law = SingularStartSDE(int(64 * time), 64).law("log_q")
    assert (law.mean, law.std) == pytest.approx((mean, std), abs=2e-4)
    z = np.linspace(-8.2, 8.2, 4097)
    w = time * np.exp(-law.quantile(ndtr(z)) / 2)
    assert np.exp(-z * z / 2) @ w / np.exp(-z * z / 2).sum() == pytest.approx(mean_w_, abs=6e-5)
    assert SingularStartSDE(int(64 * time), 64).sde.mean(time) == pytest.approx(mean_w_, abs=6e-5)
    assert abs(WithoutItoDrift(int(64 * time), 64).law("log_q").mean - mean) > 0.2


@pytest.mark.parametrize("theory", [SingularStartSDE, FiniteStartSDE, WithoutItoDrift])
def test_far_tails_continue_smoothly(theory):
    """The quantile's slope in normal scores changes slowly to 1e-15: no slope is taken from rounding noise."""
    z = np.linspace(-7.9, 7.9, 80)
    for layer in range(16, 257, 48):
        slope = np.diff(theory(layer, 256).law("log_q").quantile(ndtr(z)))
        assert np.abs(np.diff(np.log(slope))).max() < 0.15


def test_constants_of_the_slopes():
    """kappa = 2, 1.36, 1 and k0 = sqrt2/(3 pi) for ReLU; without + 2q E w_1 is .955."""
    relu, leaky = SingularStartSDE(64, 64), SingularStartSDE(64, 64, slope_minus=0.5)
    assert (relu.kappa, leaky.kappa) == pytest.approx((2.0, 1.36))
    assert relu.source == pytest.approx(math.sqrt(2) / (3 * math.pi))
    assert leaky.source == pytest.approx(0.25 / (1.25 * math.pi) * math.sqrt(2) / 3)
    assert WithoutItoDrift(64, 64).sde.mean(1.0) == pytest.approx(0.955, abs=5e-4)
    assert (relu.law("log_norm").mean, relu.law("log_norm").std ** 2) == pytest.approx((-2.5, 5.0))
    assert leaky.law("log_norm").std ** 2 == pytest.approx(3 * 1.36 - 1)


@pytest.mark.parametrize(("slope_minus", "tolerance"), [(0.0, 0.02), (0.5, 0.1)])
def test_infinite_width_tends_to_the_singular_start(slope_minus, tolerance):
    """l^2 (1 - rho_l) -> 1/k0^2, 9 pi^2/2 for ReLU, up to O(log l/l)."""
    theory = InfiniteWidth(4000, 4000, slope_minus=slope_minus)
    assert theory.law("log_q").mean == pytest.approx(-2 * math.log(theory.source), abs=tolerance)
    early = SingularStartSDE(100, 5000, slope_minus=slope_minus).law("log_q")
    assert early.mean == pytest.approx(-2 * math.log(theory.source), abs=0.05)


def test_finite_start_tends_to_the_singular_start():
    u = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
    limit = SingularStartSDE(64, 64).law("log_q").quantile(u)
    far, near = (np.abs(FiniteStartSDE(n, n).law("log_q").quantile(u) - limit).max() for n in (64, 10**6))
    assert near < 1e-3 < 0.2 < far


@pytest.mark.parametrize(
    "theory", [SingularStartSDE(32, 64), MatchedDiscrete(32, 64), AngleLaw(32, 64), FiniteWidthChain(32, 64)]
)
def test_log_gap_is_log_q_without_the_layer(theory):
    u = np.linspace(0.01, 0.99, 9)
    shifted = theory.law("log_q").quantile(u) - 2 * math.log(32)
    np.testing.assert_allclose(theory.law("log_gap").quantile(u), shifted, atol=1e-12)


# Networks against the theories: the sheet's simulated columns, ReLU from rho_0 = .3. --------------------------------


@pytest.mark.parametrize(
    ("width", "time", "mean", "se", "std"),
    [
        (64, 0.25, 2.421, 0.009, 0.930),
        (64, 1.0, 1.835, 0.020, 1.984),
        (256, 0.25, 3.085, 0.018, 0.897),
        (256, 1.0, 2.233, 0.038, 1.919),
    ],
)
def test_networks_have_the_moments_of_the_table(width, time, mean, se, std):
    x = networks(width)["log_q"][time]
    own = x.std() / math.sqrt(x.size)
    assert abs(x.mean() - mean) < 4.5 * math.hypot(own, se)
    spread = ((x - x.mean()) ** 2).std() / math.sqrt(x.size) / (2 * x.std())
    assert abs(x.std() - std) < 4.5 * math.hypot(spread, se)


@pytest.mark.parametrize(
    ("theory", "distances"),
    [
        (SingularStartSDE, {(64, 0.25): 0.429, (64, 1.0): 0.110, (256, 0.25): 0.176, (256, 1.0): 0.039}),
        (FiniteStartSDE, {(64, 0.25): 0.062, (64, 1.0): 0.035, (256, 0.25): 0.053, (256, 1.0): 0.020}),
        (MatchedDiscrete, {(64, 0.25): 0.036, (64, 1.0): 0.013, (256, 0.25): 0.023, (256, 1.0): 0.019}),
        (WithoutItoDrift, {(64, 0.25): 0.322, (64, 1.0): 0.146, (256, 0.25): 0.052, (256, 1.0): 0.226}),
    ],
)
def test_distances_of_the_table(theory, distances):
    """KS statistics of one law differ by at most both samples' own: each above 2.8 N^-1/2 with probability 3e-7."""
    for (width, time), expected in distances.items():
        ks, _ = ks_one_sample(networks(width)["log_q"][time], theory(int(width * time), width).law("log_q"))
        noise = 2.8 / math.sqrt(NETWORKS[width]) + 2.8 / math.sqrt({64: 10_000, 256: 2500}[width])
        assert abs(ks - expected) < noise


@pytest.mark.parametrize("time", LAYERS)
def test_finite_width_chain_is_the_law_of_wide_networks(time):
    drawn = networks(256)
    for name in ("log_q", "log_norm"):
        _, pvalue = ks_one_sample(drawn[name][time], FiniteWidthChain(int(256 * time), 256).law(name))
        assert pvalue > 1e-6
    _, pvalue = ks_one_sample(drawn["log_q"][time], SingularStartSDE(int(256 * time), 256).law("log_q"))
    assert pvalue < 1e-3


def test_exact_norm_at_width_64_where_the_limit_is_rejected():
    """ReLU, t = 1: mean -2.513(23) and variance 5.33(8) in the sheet, limit N(-2.5, 5)."""
    x = networks(64)["log_norm"][1.0]
    law = FiniteWidthChain(64, 64).law("log_norm")
    assert (law.mean, law.std**2) == pytest.approx((-2.567, 5.312), abs=2e-3)
    assert ks_one_sample(x, law)[1] > 1e-6
    variance_se = ((x - x.mean()) ** 2).std() / math.sqrt(x.size)
    assert abs(x.var() - law.std**2) < 4.5 * variance_se
    assert abs(x.mean() - law.mean) < 4.5 * x.std() / math.sqrt(x.size)


def test_leaky_slopes_hold_from_a_small_angle_and_not_from_a_wide_one():
    """(1, 1/2), kappa = 1.36, n = 64: KS about .01 from rho_0 = .995 and .09 from .3."""
    for time in (0.5, 1.0):
        layer = int(64 * time)
        small, _ = ks_one_sample(
            networks(64, 0.5, 0.995)["log_q"][time], FiniteStartSDE(layer, 64, 0.5, 0.995).law("log_q")
        )
        assert small < 0.025
    wide, pvalue = ks_one_sample(networks(64, 0.5)["log_q"][0.5], FiniteStartSDE(32, 64, 0.5).law("log_q"))
    assert wide == pytest.approx(0.09, abs=0.025)
    assert pvalue < 1e-12


# Chains against their own simulation. -------------------------------------------------------------------------------


def simulated(step, start, depth, paths=20_000):
    rng, x = np.random.default_rng(5), np.full(paths, start)
    for _ in range(depth):
        mean, std = step(x)
        x = mean + std * rng.standard_normal(paths)
    return x


def pvalue(x, law):
    rank, cdf = np.arange(x.size + 1) / x.size, law.cdf(np.sort(x))
    return kolmogorov(max((rank[1:] - cdf).max(), (cdf - rank[:-1]).max()) * math.sqrt(x.size))


@pytest.mark.parametrize(("slope_minus", "kappa"), [(0.0, 2.0), (0.5, 1.36)])
def test_matched_discrete_is_its_own_chain(slope_minus, kappa):
    def step(x):
        gap = np.minimum(np.exp(x), 2.0)
        return np.log(next_gap(gap, 1.0, slope_minus)) - kappa / 64, math.sqrt(4 * kappa / 64)

    x = simulated(step, math.log(0.7), 48)
    assert pvalue(x, MatchedDiscrete(48, 64, slope_minus).law("log_gap")) > 1e-7
    assert pvalue(x + 0.1, MatchedDiscrete(48, 64, slope_minus).law("log_gap")) < 1e-7


def test_angle_law_is_its_own_chain():
    def step(x):
        moments = layer_step(np.arcsin(np.exp(np.minimum(x, 0) / 2)), 64)
        return moments.mean, np.sqrt(moments.variance)

    x = simulated(step, math.log(1 - 0.995**2), 32)
    log_gap = x - np.log1p(np.sqrt(-np.expm1(np.minimum(x, 0))))
    assert pvalue(log_gap, AngleLaw(32, 64, rho0=0.995).law("log_gap")) > 1e-7
    assert pvalue(log_gap, MatchedDiscrete(32, 64, rho0=0.995).law("log_gap")) < 1e-7


def test_figure_one_of_the_angle_paper():
    """n = 256, theta_0 = 0.1, 5000 networks: mean and sd of ln sin^2 theta at layers 1, 10, 30 (sheet A 4)."""
    depths, networks_ = (1, 10, 30), 4096
    log_gap = UnshapedMLP(30, 256, rho0=math.cos(0.1)).sample(networks_, seed=2, depths=depths)["log_q"].values
    log_gap -= 2 * np.log(depths)
    x = log_gap + np.log(2 - np.exp(log_gap))
    for column, mean, se, std, published in zip(
        x.T,
        (-4.6433, -4.8958, -5.3975),
        (0.0025, 0.0074, 0.0122),
        (0.1778, 0.5260, 0.863),
        (-4.639, -4.9, -5.41),
        strict=True,
    ):
        own = column.std() / math.sqrt(networks_)
        assert abs(column.mean() - mean) < 4.5 * math.hypot(own, se)
        assert abs(column.mean() - published) < 4.5 * own
        assert column.std() == pytest.approx(std, rel=4.5 * math.hypot(1 / math.sqrt(2 * networks_), 0.01))
    # infinite width is -4.813 and -5.1668 there
    assert abs(x[:, 2].mean() + 5.1668) > 10 * x[:, 2].std() / math.sqrt(networks_)


@pytest.mark.parametrize(
    ("theory", "bad"),
    [
        (SingularStartSDE, {"depth": 0}),
        (SingularStartSDE, {"depth": 65 * 64}),
        (FiniteStartSDE, {"rho0": 1.0}),
        (FiniteStartSDE, {"rho0": -1.0, "slope_minus": -1.0}),
        (MatchedDiscrete, {"slope_minus": 1.0}),
        (MatchedDiscrete, {"slope_minus": -1.0}),
        (InfiniteWidth, {"width": 0}),
        (FiniteWidthChain, {"width": 7}),
        (AngleLaw, {"slope_minus": 0.5}),
        (AngleLaw, {"rho0": -0.1}),
        (AngleLaw, {"width": 4}),
    ],
)
def test_bad_values_are_named(theory, bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        theory(**({"depth": 8, "width": 64} | bad))


def test_norm_of_nearly_dead_slopes_is_left_out():
    assert "log_norm" not in FiniteWidthChain(8, 64, slope_minus=0.05).observables
    assert "log_norm" not in FiniteWidthChain(8, 16).observables
    assert "log_norm" in FiniteWidthChain(8, 64, slope_minus=-0.2).observables


@pytest.mark.parametrize(
    ("theory", "enough"),
    [
        (SingularStartSDE(1, 1), 8),
        (SingularStartSDE(16, 64, slope_minus=0.5), 33),
        (WithoutItoDrift(1, 1), 5),
        (FiniteStartSDE(1, 1), 2),
    ],
)
def test_a_law_beyond_the_largest_gap_is_refused_with_the_layers_that_it_needs(theory, enough):
    """q/l^2 of SingularStartSDE(1, 1) has the median 12.4, where 1 - rho is at most 2."""
    assert not {"log_q", "log_gap"} & set(theory.observables)
    with pytest.raises(InputError, match=f"observable.*about {enough} layers"):
        theory.law("log_gap")
    found = dataclasses.replace(theory, depth=enough, width=round(enough / theory.time))
    few = dataclasses.replace(found, depth=enough - 1, width=round((enough - 1) / theory.time))
    assert float(found.law("log_gap").cdf(math.log(2))) >= 0.9
    assert not few.observables or few.observables == ("log_norm",)
    assert SingularStartSDE(1, 1).observables == ("log_norm",)
