"""Theories of smooth shaped networks: contract, the numbers of theory sheet A 1.4, 1.5 and 2, and real networks.

Predicted numbers to the digits shown; simulated ones within 4.5 combined standard errors (the sheet's own simulations
have the errors that it states), with fixed seeds. Companions break the formula.
"""

import math
from functools import cache

import numpy as np
import pytest
from scipy.special import digamma

from limitbench.errors import InputError
from limitbench.networks.smooth_mlp import SmoothMLP
from limitbench.numerics.activations import ACTIVATIONS, SmoothActivation
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.testing.theories import TheoryContract
from limitbench.theories.shaped_relu import DriftlessCovarianceSDE
from limitbench.theories.shaped_smooth import (
    CovarianceODE,
    ExplosionProbability,
    NormSDE,
    SmoothCovarianceSDE,
    SmoothInfiniteWidth,
    StationaryNorm,
    infinite_width,
    norm_sde,
)


def derivatives(name):
    return {"second": ACTIVATIONS[name].second, "third": ACTIVATIONS[name].third}


SHIFTED = derivatives("shifted-tanh")


class TestSmoothCovarianceSDE(TheoryContract):
    theories = (
        SmoothCovarianceSDE(0.5, **SHIFTED, scale=0.6, paths=4096),
        SmoothCovarianceSDE(1.0, **derivatives("root"), norm0=3.0, paths=4096),
        SmoothCovarianceSDE(0.5, **derivatives("tanh"), rho0=1.0, paths=4096),
    )


class TestNormSDE(TheoryContract):
    theories = (
        NormSDE(3.0, 0.75),
        NormSDE(1.0, -0.4, 2.0),
        NormSDE(4.0, -4.08),
        NormSDE(1 / 16, 0.75),
        NormSDE(1.0, 0.0),
    )


class TestExplosionProbability(TheoryContract):
    theories = (ExplosionProbability(0.75), ExplosionProbability(2.08, 3.0))


class TestStationaryNorm(TheoryContract):
    theories = (StationaryNorm(-4.08), StationaryNorm(-1.01, 3.0), StationaryNorm(-90.0))


class TestCovarianceODE(TheoryContract):
    theories = (
        CovarianceODE(1.0, **SHIFTED, scale=0.5, norm0=2.0, rho0=0.0),
        CovarianceODE(1.0, **derivatives("tanh"), rho0=1.0),
        CovarianceODE(2.0, **derivatives("root"), norm0=3.0),
    )


class TestSmoothInfiniteWidth(TheoryContract):
    theories = (
        SmoothInfiniteWidth(8, 64),
        SmoothInfiniteWidth(40, 32, activation="root", norm0=3.0),
        SmoothInfiniteWidth(5, 4, activation="silu", scale=0.3, rate=0.0, rho0=1.0),
    )


PARAMETERS = {
    SmoothCovarianceSDE: {"time": 1.0, "second": 0.0, "third": -2.0},
    NormSDE: {"time": 1.0, "beta": -2.0},
    ExplosionProbability: {"beta": 1.0},
    StationaryNorm: {"beta": -2.0},
    CovarianceODE: {"time": 1.0, "second": 0.0, "third": -2.0},
    SmoothInfiniteWidth: {"depth": 4, "width": 8},
}
BAD = {
    "time": (0.0, math.inf, math.nan, 65.0),
    "norm0": (0.0, -1.0, math.nan, 1e5),
    "rho0": (1.2, math.nan),
    "scale": (0.0, math.nan),
    "second": (math.nan,),
    "third": (math.inf,),
    "beta": (math.nan, 1e4),
    "depth": (0,),
    "width": (-3,),
    "rate": (-0.1,),
    "steps": (-1,),
    "paths": (0,),
    "activation": ("relu", "math:pi"),
}
CASES = [
    (theory, field, value)
    for theory in PARAMETERS
    for field, bad in BAD.items()
    if field in theory.__dataclass_fields__
    for value in bad
]


@pytest.mark.parametrize(("theory", "field", "value"), CASES)
def test_bad_value_is_an_input_error_that_names_the_field(theory, field, value):
    with pytest.raises(InputError, match=field):
        theory(**(PARAMETERS[theory] | {field: value}))


def test_a_strong_drift_is_solved_and_a_law_solved_too_badly_is_refused(monkeypatch):
    limit, other = ExplosionProbability(90.0), ExplosionProbability(90.1)
    assert NormSDE(1.0, 90.0).exploded_share == pytest.approx(limit.probability, abs=1e-6)
    assert abs(other.probability - limit.probability) > 1e-5
    monkeypatch.setattr(norm_sde, "_LARGEST_ERROR", 1e-9)
    with pytest.raises(InputError, match="beta"):
        NormSDE(1.0, 40.0).law("log_norm")


# Predicted numbers of the sheet. -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "norm0", "closed", "simulated"),
    [(1.0, 1.0, 0.2374, 0.2222), (0.6, 1.0, 0.3265, 0.3250), (1.0, 3.0, 0.7245, 0.7107)],
)
def test_explosion_probabilities_of_the_sheet(scale, norm0, closed, simulated):
    beta = ACTIVATIONS["root"].norm_drift(scale)
    assert ExplosionProbability(beta, norm0).probability == pytest.approx(closed, abs=5e-5)
    assert ExplosionProbability(1.1 * beta, norm0).probability != pytest.approx(closed, abs=5e-5)
    solved = NormSDE(3.0, beta, norm0).exploded_share
    assert abs(solved - simulated) < 4.5 * math.sqrt(solved * (1 - solved) / 60_000)


def test_gamma_law_of_the_sheet():
    law = StationaryNorm(ACTIVATIONS["tanh"].norm_drift(0.7))
    assert (law.mean_norm, law.std_norm) == pytest.approx((0.7550, 0.4301), abs=5e-5)
    u = np.linspace(0.01, 0.99, 99)
    x = NormSDE(4.0, law.beta).law("log_norm").quantile(u)
    assert np.abs(law.law("log_norm").cdf(x) - u).max() < 1e-3  # relaxed by e^-8
    assert np.abs(StationaryNorm(1.1 * law.beta).law("log_norm").cdf(x) - u).max() > 0.01


@pytest.mark.parametrize(("time", "simulated"), [(1.0, -0.949), (2.0, -1.775), (4.0, -3.210)])
def test_collapsing_norms_of_the_sheet(time, simulated):
    law = NormSDE(time, ACTIVATIONS["arcsinh"].norm_drift(1.5)).law("log_norm")
    assert abs(law.mean - simulated) < 4.5 * law.std / math.sqrt(60_000)


@pytest.mark.parametrize(
    ("name", "scale", "mean", "sd"), [("tanh", 1.0, 0.2371, 0.6606), ("shifted-tanh", 0.6, 0.3643, 0.5144)]
)
def test_correlations_of_the_sheet(name, scale, mean, sd):
    law = SmoothCovarianceSDE(1.0, **derivatives(name), scale=scale).law("correlation")
    error = math.sqrt(1 / law.reference_size + 1 / 60_000)
    assert abs(law.mean - mean) < 4.5 * sd * error
    assert abs(law.std - sd) < 4.5 * sd * error
    if name != "tanh":  # without the phi'' term
        blind = SmoothCovarianceSDE(1.0, 0.0, ACTIVATIONS[name].third, scale=scale).law("correlation")
        assert abs(blind.mean - mean) > 4.5 * sd * error


@pytest.mark.parametrize(("name", "scale"), [("tanh", 1.0), ("arcsinh", 0.7)])
def test_odd_activations_do_not_move_the_correlation(name, scale):
    """phi'' = 0: rho obeys the driftless SDE, which is solved; false alarm 1e-7 each."""
    driftless = DriftlessCovarianceSDE(time=1.0, rho0=0.3)
    law = SmoothCovarianceSDE(1.0, **derivatives(name), scale=scale).law("correlation")
    assert ks_one_sample(law.draws, driftless.law("correlation"))[1] > 1e-7
    assert (driftless.law("correlation").mean, driftless.law("correlation").std) == pytest.approx(
        (0.2407, 0.6595), abs=5e-5
    )
    moved = SmoothCovarianceSDE(1.0, **SHIFTED, scale=0.6).law("correlation")
    assert ks_one_sample(moved.draws, driftless.law("correlation"))[1] < 1e-7


def test_ode_of_the_sheet():
    plain, falling = (CovarianceODE(1.0, **SHIFTED, scale=0.5, norm0=v, rho0=0.0) for v in (1.0, 2.0))
    assert plain.correlation == pytest.approx(0.3049, abs=5e-5)
    assert falling.correlation == pytest.approx(0.3379, abs=5e-5)
    assert falling.norm == pytest.approx(1.0313, abs=5e-5)
    assert CovarianceODE(1.0, SHIFTED["second"], 0.0, scale=0.5, norm0=2.0, rho0=0.0).norm > 1.1


def test_ode_draws_correlations_to_one_half_and_blows_up_in_finite_time():
    for rho0 in (-1.0, 0.0, 0.7, 0.999):
        assert CovarianceODE(60.0, 1.0, 0.0, scale=0.5, rho0=rho0).correlation == pytest.approx(0.5, abs=1e-3)
    assert CovarianceODE(60.0, 1.0, 0.0, rho0=1.0).correlation == 1.0
    blow_up = -math.log(1 - 1 / 3) / 0.75
    assert CovarianceODE(0.99 * blow_up, 1.0, 0.0, norm0=3.0).law("exploded").mean == 0
    after = CovarianceODE(1.01 * blow_up, 1.0, 0.0, norm0=3.0)
    assert after.observables == ("exploded",)
    assert after.law("exploded").mean == 1


def test_infinite_width_recursion_tends_to_the_ode_at_rate_one_over_s_squared():
    ode = CovarianceODE(1.0, **SHIFTED, scale=0.5, norm0=2.0, rho0=0.0)
    errors = []
    for width in (2**12, 2**16):
        recursion = SmoothInfiniteWidth(int(width**0.5), width, "shifted-tanh", 0.5, 0.25, 2.0, 0.0)
        errors.append(recursion.law("correlation").mean - ode.correlation)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_infinite_width_of_an_unshaped_network_is_its_kernel():
    """One layer against Gauss-Hermite quadrature in two dimensions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    u, v = np.sqrt(1.7) * nodes[:, None], np.sqrt(1.7) * (0.3 * nodes[:, None] + math.sqrt(0.91) * nodes)
    product = weights @ (np.tanh(u) * np.tanh(v)) @ weights
    square = weights @ np.tanh(u[:, 0]) ** 2
    theory = SmoothInfiniteWidth(1, 7, rate=0.0, norm0=1.7, rho0=0.3)
    assert theory.law("correlation").mean == pytest.approx(product / square, abs=1e-7)
    c = ACTIVATIONS["tanh"].normaliser(1.0)
    assert theory.law("log_norm").mean == pytest.approx(math.log(c * square / 1.7), abs=1e-7)


def test_a_users_activation_is_answered():
    theory = SmoothInfiniteWidth(4, 16, activation=SmoothActivation("cubic", lambda x: x + x**2 / 4 - x**3 / 9))
    assert 0.3 < theory.law("correlation").mean < 0.5


# Real networks. ------------------------------------------------------------------------------------------------------


@cache
def drawn(n, depth, networks, activation, scale, norm0=1.0, rho0=0.3, rate=0.5):
    network = SmoothMLP(depth, n, activation=activation, scale=scale, norm0=norm0, rho0=rho0, rate=rate)
    found = network.sample(networks, seed=11)
    return {name: found[name].values for name in network.observables}


def agree(x, theirs, their_se):
    x = x[~np.isnan(x)]
    return abs(x.mean() - theirs) < 4.5 * math.hypot(x.std() / math.sqrt(x.size), their_se)


@pytest.mark.parametrize(
    ("n", "networks", "scale", "norm0", "share", "se"),
    [
        (32, 4096, 1.0, 1.0, 0.1005, 0.0030),
        (32, 4096, 0.6, 1.0, 0.1537, 0.0036),
        (32, 4096, 1.0, 3.0, 0.3773, 0.0048),
        (128, 512, 1.0, 1.0, 0.1800, 0.0061),
        (128, 512, 0.6, 1.0, 0.2605, 0.0069),
        (128, 512, 1.0, 3.0, 0.6178, 0.0077),
    ],
)
def test_exploded_shares_of_narrow_networks_are_the_sheets_and_not_converged(n, networks, scale, norm0, share, se):
    x = drawn(n, 3 * n, networks, "root", scale, norm0)["exploded"]
    assert agree(x, share, se)
    limit = NormSDE(3.0, ACTIVATIONS["root"].norm_drift(scale), norm0).exploded_share
    off = (limit - x.mean()) / math.sqrt(limit * (1 - limit) / x.size)
    assert off > (4.5 if n == 32 else 0.0)


@pytest.mark.parametrize(
    ("name", "scale", "n", "networks", "mean", "se"),
    [
        ("tanh", 1.0, 32, 8192, 0.2385, 0.0067),
        ("tanh", 1.0, 128, 1024, 0.2363, 0.0105),
        ("shifted-tanh", 0.6, 32, 8192, 0.3455, 0.0056),
        ("shifted-tanh", 0.6, 128, 2048, 0.3687, 0.0083),
    ],
)
def test_correlations_of_networks_are_the_sheets(name, scale, n, networks, mean, se):
    assert agree(drawn(n, n, networks, name, scale)["correlation"], mean, se)


def test_law_of_the_correlation_at_width_128_is_that_of_the_sde():
    x = drawn(128, 128, 2048, "shifted-tanh", 0.6)["correlation"]
    law = SmoothCovarianceSDE(1.0, **SHIFTED, scale=0.6).law("correlation")
    blind = SmoothCovarianceSDE(1.0, 0.0, SHIFTED["third"], scale=0.6).law("correlation")
    size = x.size * law.reference_size / (x.size + law.reference_size)
    distance = [np.abs(law.cdf(np.sort(x)) - np.arange(1, x.size + 1) / x.size).max() for law in (law, blind)]
    assert distance[0] < 0.03 + 2.7 / math.sqrt(size)  # two-sided size 1e-6, and what is left of 1/n
    assert distance[1] > 0.03 + 2.7 / math.sqrt(size)


def test_norms_of_networks_are_the_sheets():
    gamma = np.exp(drawn(32, 128, 2048, "tanh", 0.7)["log_norm"])
    assert agree(gamma, 0.7659, 0.0051)
    collapsing = drawn(128, 128, 1024, "arcsinh", 1.5)["log_norm"]
    law = NormSDE(1.0, ACTIVATIONS["arcsinh"].norm_drift(1.5)).law("log_norm")
    assert ks_one_sample(collapsing, law)[1] > 1e-7
    assert ks_one_sample(collapsing, NormSDE(1.0, -2.0).law("log_norm"))[1] < 1e-7


@pytest.mark.parametrize(
    ("n", "networks", "norm0", "rho", "se"),
    [(256, 4096, 1.0, 0.2480, 0.0028), (256, 4096, 2.0, 0.2734, 0.0027), (4096, 128, 1.0, 0.2922, 0.0049)],
)
def test_networks_below_the_critical_rate_are_the_sheets_and_slow(n, networks, norm0, rho, se):
    x = drawn(n, int(n**0.5), networks, "shifted-tanh", 0.5, norm0, 0.0, 0.25)["correlation"]
    assert agree(x, rho, se)
    ode = CovarianceODE(1.0, **SHIFTED, scale=0.5, norm0=norm0, rho0=0.0).correlation
    assert agree(x, ode, 0.0) == (n > 256)


@pytest.mark.parametrize(("norm0", "late"), [(0.5, 1 / 3), (1.0, 1 / 2)])
def test_the_ode_answers_at_any_size_of_its_exponent(norm0, late):
    """beta t = 6000: variances below 1 are long gone and have moved the correlation by all they could; 1 stays 1."""
    theory = CovarianceODE(time=2.0, second=5.0, third=9.0, scale=0.1, norm0=norm0, rho0=0.3)
    assert theory.beta * theory.time > 5000
    k = theory.second**2 / (4 * theory.scale**2)
    moved = 0.0 if norm0 == 1 else (1 - 2 * 0.3) / 0.7 * math.exp(k * math.log(1 - norm0) / theory.beta)
    assert theory.correlation == pytest.approx((1 - moved) / (2 - moved), rel=1e-9)
    assert theory.correlation >= late


@pytest.mark.parametrize("rho", [0.3, -0.9, 0.999])
@pytest.mark.parametrize("name", ["root", "shifted-tanh"])
def test_sharp_turns_are_integrated_on_nodes_of_their_own(name, rho, monkeypatch):
    """One layer at s = 0.2, on the nodes of sharp turns and on the plain mesh: two rules, 1e-12."""
    theory = SmoothInfiniteWidth(1, 4, activation=name, scale=0.2, rate=0.0, norm0=1.7, rho0=rho)
    sharp = infinite_width._propagate.__wrapped__(theory)
    monkeypatch.setattr(infinite_width, "_SHARP", 0.0)
    plain = infinite_width._propagate.__wrapped__(theory)
    assert sharp == pytest.approx(plain, rel=1e-12, abs=1e-12)


def test_the_sharpest_turn_is_that_of_relu():
    """s -> 0: root is 2 max(x, 0), the arc-cosine map of any norm, and tanh the sign, 2/pi asin(rho); errors O(s)."""
    theta = math.acos(0.3)
    root = SmoothInfiniteWidth(1, 4, activation="root", scale=1e-3, rate=0.01, norm0=1000.0, rho0=0.3)
    arc = (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / math.pi
    assert root.law("correlation").mean == pytest.approx(arc, abs=3e-4)
    assert root.law("log_norm").mean == pytest.approx(0.0, abs=3e-3)
    tanh = SmoothInfiniteWidth(3, 3, activation="tanh", scale=1e-3, rate=0.01)
    rho = 0.3
    for _ in range(3):
        rho = 2 / math.pi * math.asin(rho)
    assert tanh.law("correlation").mean == pytest.approx(rho, abs=2e-3)


def test_log_norm_is_relative_to_the_start():
    """V_0 = 2: psi(k) - ln(|beta| V_0) late, N(-t, 2t) without drift; ln 2 is 6.9 standard errors of the paths."""
    stationary = StationaryNorm(-4.08, 2.0).law("log_norm")
    assert stationary.mean == pytest.approx(digamma(3.08) - math.log(4.08 * 2.0), abs=1e-12)
    assert NormSDE(12.0, -4.08, 2.0).law("log_norm").mean == pytest.approx(stationary.mean, abs=1e-4)
    free = NormSDE(1.0, 0.0, 2.0).law("log_norm")
    assert (free.mean, free.std) == pytest.approx((-1.0, math.sqrt(2)), abs=1e-4)
    paths = SmoothCovarianceSDE(1.0, 0.0, 0.0, norm0=2.0, paths=4096).law("log_norm")
    assert abs(paths.mean + 1.0) < 4.5 * paths.std / 64


def test_simulated_explosions_say_how_many_paths_they_rest_on():
    law = SmoothCovarianceSDE(1.0, **derivatives("root"), norm0=3.0, paths=4096).law("exploded")
    assert 0 < law.mean < 1
    assert law.reference_size == 4096
