"""The finite-width chain against direct simulation of finite networks, layer by layer from Gaussian rows."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float
from scipy.stats import kstest
from scipy.stats import t as student

from limitbench.errors import InputError
from limitbench.numerics.sample_correlation import FisherZExpansion, fisher_z_expansion
from limitbench.statistics.laws import Law, Tabulated
from limitbench.testing.theories import TheoryContract
from limitbench.theories.shaped_relu.covariance_sde import CovarianceSDE
from limitbench.theories.shaped_relu.finite_width_chain import FiniteWidthChain, chain_law

#: With two simulations and fixed seeds: family-wise false alarm below 1e-6 for each kind of comparison.
SIGMAS, P_VALUE = 5.2, 2e-7


class Shape(NamedTuple):
    """A finite network, as many layers as rows a layer, and the number of networks to draw."""

    width: int
    c_plus: float
    c_minus: float
    rho0: float
    rate: float
    networks: int

    @property
    def slopes(self) -> tuple[float, float]:
        scale = self.width**-self.rate
        return 1 + self.c_plus * scale, 1 + self.c_minus * scale

    @property
    def theory(self) -> FiniteWidthChain:
        return FiniteWidthChain(self.width, self.width, self.c_plus, self.c_minus, self.rate, self.rho0)


NARROW = Shape(16, 0.0, -2.0, 0.0, 0.5, 100_000)
WIDE = Shape(32, 1.0, -1.0, 0.3, 0.5, 30_000)
COLLAPSING = Shape(32, 0.0, -1.0, 0.3, 0.0, 30_000)
SHAPES = (NARROW, WIDE, COLLAPSING)


@cache
def simulated_z(shape: Shape) -> Float[np.ndarray, " networks"]:
    """atanh of the correlation after `width` layers: the rows of each layer drawn from N(0, V_l).

    The second input's features are split into a multiple of the first's and a remainder, so that no digits are lost
    as the correlation approaches 1.
    """
    rng = np.random.Generator(np.random.SFC64(31))
    s_plus, s_minus = shape.slopes
    parts = []
    for _ in range(shape.networks // 10_000):
        first, along, across = (
            np.ones(10_000),
            np.full(10_000, shape.rho0),
            np.full(10_000, math.sqrt(1 - shape.rho0**2)),
        )
        for _ in range(shape.width):
            g, h = rng.standard_normal((2, 10_000, shape.width))
            h = along[:, None] * g + across[:, None] * h
            g *= first[:, None]
            f1, f2 = (np.where(x > 0, s_plus, s_minus) * x for x in (g, h))
            square = np.sum(f1**2, axis=1)
            overlap = np.sum(f1 * f2, axis=1)
            rest = np.sum((f2 - (overlap / square)[:, None] * f1) ** 2, axis=1)
            first, along, across = np.sqrt(square), overlap / np.sqrt(square), np.sqrt(rest)
            scale = np.hypot(along, across)
            first, along, across = np.ones(10_000), along / scale, across / scale
        parts.append(np.arcsinh(along / across))
    return np.concatenate(parts)


def mean_score(draws: Float[np.ndarray, " networks"], law: Law) -> float:
    """The error of the law's mean in standard errors."""
    return float(abs(draws.mean() - law.mean) / draws.std() * math.sqrt(draws.size))


def wasserstein(draws: Float[np.ndarray, " networks"], law: Law) -> float:
    levels = (np.arange(draws.size) + 0.5) / draws.size
    return float(np.mean(np.abs(np.sort(draws) - law.quantile(levels))))


def broken(shape: Shape, *dropped: str) -> Tabulated:
    """The law of z without the named coefficients of the one-layer cumulants."""

    def expansion(z: Float[np.ndarray, " states"], s_plus: float, s_minus: float) -> FisherZExpansion:
        full = fisher_z_expansion(z, s_plus, s_minus)
        return dataclasses.replace(full, **{name: np.zeros_like(full.drift) for name in dropped})

    return chain_law(shape.width, shape.width, *shape.slopes, shape.rho0, expansion)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_correlation_and_gap_are_those_of_simulated_networks(shape: Shape) -> None:
    z = simulated_z(shape)
    for observable, draws in (("correlation", np.tanh(z)), ("log_gap", math.log(2) - np.logaddexp(0, 2 * z))):
        law = shape.theory.law(observable)
        assert mean_score(draws, law) < SIGMAS
        assert draws.std() == pytest.approx(law.std, rel=0.03)
        assert kstest(draws, law.cdf).pvalue > P_VALUE


def test_simulation_notices_a_dropped_variance_correction() -> None:
    assert kstest(simulated_z(NARROW), broken(NARROW, "variance_2").cdf).pvalue < P_VALUE


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_simulation_notices_noise_without_its_drift(shape: Shape) -> None:
    law = broken(shape, "mean_1", "mean_2")
    assert mean_score(simulated_z(shape), law) > 2 * SIGMAS
    assert kstest(simulated_z(shape), law.cdf).pvalue < P_VALUE


@pytest.mark.parametrize("shape", [NARROW, WIDE], ids=str)
def test_nearer_to_networks_than_the_drift_corrected_sde(shape: Shape) -> None:
    draws = np.tanh(simulated_z(shape))
    s_plus, s_minus = shape.slopes
    factor = 2 / (s_plus**2 + s_minus**2)
    sde = CovarianceSDE(1.0, shape.c_plus, shape.c_minus, shape.rho0, factor).law("correlation")
    assert wasserstein(draws, shape.theory.law("correlation")) < wasserstein(draws, sde) / 4


def test_norm_is_the_one_of_simulated_networks_and_its_mean_exact() -> None:
    """The independent-layer law of ln V_d/V_0 by simulation; the SDE's N(-1, 2) is noticed; E V_d/V_0 = 1."""
    rng = np.random.Generator(np.random.SFC64(9))
    law = FiniteWidthChain(12, 12, 0.0, -1.5).law("log_norm")
    s_plus, s_minus = 1.0, 1 - 1.5 / math.sqrt(12)
    draws = np.zeros(60_000)
    for _ in range(12):
        g = rng.standard_normal((60_000, 12))
        draws += np.log(2 / (s_plus**2 + s_minus**2) * np.mean((np.where(g > 0, s_plus, s_minus) * g) ** 2, axis=1))
    assert mean_score(draws, law) < SIGMAS
    assert draws.std() == pytest.approx(law.std, rel=0.015)
    assert kstest(draws, law.cdf).pvalue > P_VALUE
    sde = CovarianceSDE(1.0, 0.0, -1.5, 0.0).law("log_norm")
    assert kstest(draws, sde.cdf).pvalue < P_VALUE
    levels = (np.arange(400_000) + 0.5) / 400_000
    assert np.mean(np.exp(FiniteWidthChain(4, 64, 1.0, -1.0).law("log_norm").quantile(levels))) == pytest.approx(
        1, abs=1e-4
    )


def test_one_linear_layer_misses_students_law_by_its_fourth_cumulant_only() -> None:
    """sqrt(n - 1) sinh z is Student's t with n - 1 degrees of freedom at rho0 = 0, depth 1: cdf error O(1/n)."""
    z = np.linspace(-3, 3, 601)

    def error(width: int) -> float:
        exact = student.cdf(np.sqrt(width - 1) * np.sinh(z), width - 1)
        return float(np.abs(chain_law(1, width, 1.0, 1.0, 0.0).cdf(z) - exact).max())

    # The term x (x^2 - 3) phi(x) kappa_4/24 of an Edgeworth series, kappa_4 = 2/n, peaks at 0.046/n.
    assert error(32) < 0.06 / 32
    assert error(32) / error(128) == pytest.approx(4, abs=0.5)


def test_covariance_sde_is_the_limit() -> None:
    """Mean of the correlation approaches the SDE's at rate n^-1 for c = (1, -1): errors fall fourfold per 4 n."""
    sde = CovarianceSDE(0.5, 1.0, -1.0, 0.3).law("correlation").mean
    errors = [FiniteWidthChain(n // 2, n, 1.0, -1.0, 0.5, 0.3).law("correlation").mean - sde for n in (64, 256, 1024)]
    assert abs(errors[2]) < 2e-3
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.4)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.4)


@pytest.mark.parametrize(("rho0", "slopes"), [(0.3, (1.0, 0.6)), (0.0, (1.0, 0.0)), (-0.9, (1.2, 0.8))])
def test_mesh_error_is_far_below_the_stated_bound(rho0: float, slopes: tuple[float, float]) -> None:
    z = np.linspace(-4, 8, 500)
    plain, fine = (chain_law(24, 24, *slopes, rho0, resolution=r) for r in (2.0, 4.0))
    assert 0 < np.abs(plain.cdf(z) - fine.cdf(z)).max() < plain.cdf_error


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_opposite_inputs_leave_minus_one(rate: float) -> None:
    law = FiniteWidthChain(8, 32, 0.0, -1.0, rate, -1.0).law("correlation")
    near = FiniteWidthChain(8, 32, 0.0, -1.0, rate, -1.0 + 1e-9).law("correlation")
    assert law.mean == pytest.approx(near.mean, abs=1e-4)
    assert law.mean > -1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"width": 7}, "width"),
        ({"depth": 0}, "depth"),
        ({"depth": 65 * 16}, "depth"),
        ({"rho0": 1.2}, "rho0"),
        ({"rate": -0.1}, "rate"),
        ({"c_plus": math.nan}, "c_plus"),
        ({"c_plus": -1.0, "c_minus": -1.0, "rate": 0.0}, "slopes"),
    ],
)
def test_unusable_values_are_input_errors(changes: dict[str, float], field: str) -> None:
    values = {"depth": 4, "width": 16, "c_plus": 0.0, "c_minus": -1.0, **changes}
    with pytest.raises(InputError, match=field):
        FiniteWidthChain(**values)


class TestContract(TheoryContract):
    theories = (
        FiniteWidthChain(1, 16, 0.0, -2.0),
        FiniteWidthChain(16, 16, 0.0, -2.0, rho0=0.9),
        FiniteWidthChain(8, 32, 0.0, -1.0, rate=0.0, rho0=0.3),
        FiniteWidthChain(64, 64, 1.0, -1.0, rate=0.25, rho0=-1.0),
        FiniteWidthChain(4, 8, 0.0, 0.0, rho0=-1.0),
        FiniteWidthChain(4, 8, 0.0, 0.0, rho0=1.0),
        FiniteWidthChain(4, 8, 0.0, -2.0, rate=0.0, rho0=-1.0),
    )
