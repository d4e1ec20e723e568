"""Cumulants of one layer's Fisher z against Fisher's formulas, brute-force quadrature and simulation."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from jaxtyping import Float

from limitbench.numerics.sample_correlation import FisherZExpansion, fisher_z_expansion

#: E R^2m for R^2 ~ chi2_2.
RADIAL = {1: 2.0, 2: 8.0, 3: 48.0}
CASES = ((0.5, 1.0, 1.0), (0.3, 1.0, 0.5), (0.9, 1.25, 0.75), (-0.4, 1.0, 0.2))
SIGMAS = 4.5


def at(rho: float, s_plus: float, s_minus: float) -> FisherZExpansion:
    return fisher_z_expansion(np.array([np.arctanh(rho)]), s_plus, s_minus)


def features(
    u: Float[np.ndarray, "*shape"], v: Float[np.ndarray, "*shape"], s_plus: float, s_minus: float
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    f1, f2 = np.where(u > 0, s_plus, s_minus) * u, np.where(v > 0, s_plus, s_minus) * v
    return (f1 + f2) / 2, (f1 - f2) / 2


class BruteForce:
    """Row moments by the midpoint rule over 200,000 angles: independent of the pieces of the expansion."""

    def __init__(self, rho: float, s_plus: float, s_minus: float) -> None:
        angle = (np.arange(200_000) + 0.5) * 2 * np.pi / 200_000
        self.p, self.q = features(np.cos(angle), np.cos(angle - np.arccos(rho)), s_plus, s_minus)
        self.a, self.b = RADIAL[1] * np.mean(self.p**2), RADIAL[1] * np.mean(self.q**2)

    def moment(self, i: int, j: int) -> float:
        """E of (p^2/E p^2)^(i/2) (q^2/E q^2)^(j/2)."""
        raw = RADIAL[(i + j) // 2] * np.mean(self.p**i * self.q**j)
        return float(raw / (self.a ** (i / 2) * self.b ** (j / 2)))

    @property
    def variance(self) -> float:
        """Of the linear part (p^2/E p^2 - q^2/E q^2)/2 of one row."""
        return (self.moment(4, 0) - 2 * self.moment(2, 2) + self.moment(0, 4)) / 4

    @property
    def zbar(self) -> float:
        """Fisher's z of the next layer at infinite width."""
        return float(np.log(self.a / self.b) / 2)

    @property
    def mean_1(self) -> float:
        """n E of the quadratic part (B^2 - A^2)/4 + tanh(zbar) G^2/2 of z', A, B and G sample means."""
        return (self.moment(0, 4) - self.moment(4, 0)) / 4 + np.tanh(self.zbar) * self.moment(2, 2) / 2

    @property
    def third(self) -> float:
        """Third cumulant of the linear part of one row, whose mean is 0."""
        m = self.moment
        return (m(6, 0) - 3 * m(4, 2) + 3 * m(2, 4) - m(0, 6)) / 8


@pytest.mark.parametrize("rho", [-0.99, -0.5, 0.0, 0.3, 0.9, 0.999])
def test_equal_slopes_give_fishers_formulas(rho: float) -> None:
    e = at(rho, 0.7, 0.7)
    expected = {
        "drift": 0.0,
        "mean_1": rho / 2,
        "mean_2": rho * (5 + rho**2) / 8,
        "variance_1": 1.0,
        "variance_2": (4 - rho**2) / 2,
        "third_2": 0.0,
    }
    for name, value in expected.items():
        assert getattr(e, name)[0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("case", CASES)
def test_leading_coefficients_are_those_of_brute_force_quadrature(case: tuple[float, float, float]) -> None:
    brute, e = BruteForce(*case), at(*case)
    assert e.drift[0] == pytest.approx(brute.zbar - np.arctanh(case[0]), abs=1e-8)
    assert e.variance_1[0] == pytest.approx(brute.variance, abs=1e-8)
    assert e.mean_1[0] == pytest.approx(brute.mean_1, abs=1e-8)


def simulated_coefficients(
    case: tuple[float, float, float], width: int, n: int, rng: np.random.Generator
) -> Float[np.ndarray, "3 2"]:
    """mean_2, variance_2 and third_2 with an error O(1/width), each with its standard error.

    The linear and quadratic parts of z' and powers of the linear part are control variates, their means known from the
    brute-force row moments.
    """
    rho, brute = case[0], BruteForce(*case)
    parts = []
    for _ in range(n // 20_000):
        u = rng.standard_normal((20_000, width))
        v = rho * u + np.sqrt(1 - rho**2) * rng.standard_normal((20_000, width))
        p, q = features(u, v, *case[1:])
        a, b, g = np.mean(p**2, axis=1), np.mean(q**2, axis=1), np.mean(p * q, axis=1)
        # z' = atanh(S_12/sqrt(S_11 S_22)) from the Gram matrix of the features.
        z = np.arctanh((a - b) / np.sqrt((a + b) ** 2 - 4 * g**2))
        x, y = a / brute.a - 1, b / brute.b - 1
        quadratic = (y**2 - x**2) / 4 + np.tanh(brute.zbar) * g**2 / (2 * brute.a * brute.b)
        parts.append((z, (x - y) / 2, quadratic))
    z, linear, quadratic = np.concatenate(parts, axis=1)
    rest = z - z.mean()
    estimates = (
        (z - brute.zbar - linear - quadratic) * width**2,
        (rest**2 - linear**2) * width**2,
        (rest**3 - linear**3) * width**2 + brute.third,
    )
    return np.array([(x.mean(), x.std() / np.sqrt(n)) for x in estimates])


@cache
def extrapolated(case: tuple[float, float, float]) -> Float[np.ndarray, "3 2"]:
    """The coefficients by simulation at widths 16 and 32, the O(1/width) error removed."""
    rng = np.random.Generator(np.random.SFC64(5))
    narrow, wide = (simulated_coefficients(case, width, 100_000, rng) for width in (16, 32))
    return np.stack([2 * wide[:, 0] - narrow[:, 0], np.hypot(2 * wide[:, 1], narrow[:, 1])], axis=1)


def disagreements(expansion: FisherZExpansion, simulated: Float[np.ndarray, "3 2"]) -> list[str]:
    """Names of the second coefficients off by more than 4.5 standard errors and an allowance for extrapolation.

    Family-wise false alarm 12 x 7e-6 without the allowance of 0.15 for terms O(1/width^2), far below 1e-6 with it.
    """
    names = ("mean_2", "variance_2", "third_2")
    pairs = zip(names, simulated, strict=True)
    return [n for n, (value, se) in pairs if abs(getattr(expansion, n)[0] - value) > SIGMAS * se + 0.15]


@pytest.mark.parametrize("case", CASES)
def test_second_coefficients_are_those_of_simulated_layers(case: tuple[float, float, float]) -> None:
    assert disagreements(at(*case), extrapolated(case)) == []


@pytest.mark.parametrize("case", CASES)
def test_simulation_notices_a_dropped_variance_correction(case: tuple[float, float, float]) -> None:
    broken = dataclasses.replace(at(*case), variance_2=np.zeros(1))
    assert disagreements(broken, extrapolated(case)) == ["variance_2"]


def test_simulation_notices_a_dropped_second_mean_and_third_cumulant() -> None:
    case = (-0.4, 1.0, 0.2)
    broken = dataclasses.replace(at(*case), mean_2=np.zeros(1), third_2=np.zeros(1))
    assert disagreements(broken, extrapolated(case)) == ["mean_2", "third_2"]


@pytest.mark.parametrize("slopes", [(1.0, 1.0), (1.0, 0.5), (1.0, 0.0), (1.0, -1.0), (-0.3, 2.0)])
def test_coefficients_approach_their_small_gap_limit_smoothly(slopes: tuple[float, float]) -> None:
    z = np.array([9.0, 12.0, 15.0, 18.0, 25.0, 39.0, 60.0, 1e4])
    e = fisher_z_expansion(z, *slopes)
    for name in ("mean_1", "mean_2", "variance_1", "variance_2", "third_2"):
        values = getattr(e, name)
        # Differences from the limit shrink as the angle, 2 exp(-z).
        assert np.all(np.abs(values - values[-1]) < 100 * np.exp(-np.minimum(z, 36.0)) + 1e-11), name
    kappa = 2 * (slopes[0] ** 4 + slopes[1] ** 4) / (slopes[0] ** 2 + slopes[1] ** 2) ** 2
    assert e.variance_1[-1] == pytest.approx(kappa, abs=1e-12)
    assert np.abs(e.drift[-1]) < 1e-15


@pytest.mark.parametrize("slopes", [(1.0, 0.5), (1.0, 0.0), (1.0, -1.0), (1.0, 0.97)])
def test_variance_is_finite_and_never_negative(slopes: tuple[float, float]) -> None:
    z = np.linspace(-60, 60, 2401)
    for width in (8, 64, 1024):
        variance = fisher_z_expansion(z, *slopes).variance(width)
        assert np.all(np.isfinite(variance))
        assert np.all(variance >= 0)
