"""Chains whose law is known: Gaussian autoregressions, sums of skewed steps, one step."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from scipy.special import ndtr
from scipy.stats import lognorm

from limitbench.numerics.transition_chain import ChainLaw, Step, StepMoments, propagate


def autoregression(slope: float, std: float, third: float = 0.0) -> Step:
    """Steps with mean slope z and constant standard deviation and third cumulant."""

    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        return StepMoments(slope * z, np.full_like(z, std), np.full_like(z, third))

    return step


def moments(law: ChainLaw) -> tuple[float, float, float]:
    mean = law.expectation(law.nodes)
    central = law.nodes - mean
    return mean, law.expectation(central**2), law.expectation(central**3)


@pytest.mark.parametrize("depth", [1, 2, 3, 100])
@pytest.mark.parametrize("slope", [1.0, 0.9, 1.01, -0.5])
def test_gaussian_autoregression_stays_gaussian(slope: float, depth: int) -> None:
    start, std = 0.7, 0.2
    law = propagate(autoregression(slope, std), start, depth)
    mean = start * slope**depth
    variance = std**2 * sum(slope ** (2 * k) for k in range(depth))
    score = (law.nodes - mean) / np.sqrt(variance)
    assert np.abs(law.cdf - ndtr(score)).max() < 1e-9
    assert np.abs(law.survival - ndtr(-score)).max() < 1e-9
    assert moments(law) == pytest.approx((mean, variance, 0.0), abs=1e-7 * max(1, variance**1.5))
    if slope > 1:
        return  # runs away beyond the survey's margin: absolute accuracy only
    # Both tails keep relative accuracy well below the absolute error.
    for tail, exact in ((law.cdf, ndtr(score)), (law.survival, ndtr(-score))):
        deep = (exact < 1e-6) & (exact > 1e-8)
        assert np.abs(np.log(tail[deep] / exact[deep])).max() < 5e-3


@pytest.mark.parametrize("skewness", [-1.5, -0.1, 0.1, 1.5])
def test_one_step_is_the_shifted_log_normal_law(skewness: float) -> None:
    law = propagate(autoregression(1.0, 0.3, skewness * 0.3**3), 2.0, 1)
    s = 2 * np.sinh(np.arcsinh(abs(skewness) / 2) / 3)
    reference = lognorm(s=np.sqrt(np.log1p(s**2)))
    assert reference.stats("s") == pytest.approx(abs(skewness), rel=1e-9)
    y = np.sign(skewness) * (law.nodes - 2.0) / 0.3 * reference.std() + reference.mean()
    expected = reference.cdf(y) if skewness > 0 else reference.sf(y)
    assert np.abs(law.cdf - expected).max() < 1e-12


@pytest.mark.parametrize("skewness", [-0.6, 0.6])
def test_third_cumulants_add(skewness: float) -> None:
    depth, std = 40, 0.1
    third = skewness * std**3
    law = propagate(autoregression(1.0, std, third), 0.0, depth)
    assert moments(law) == pytest.approx((0.0, depth * std**2, depth * third), rel=1e-6, abs=1e-7)
    gaussian = propagate(autoregression(1.0, std), 0.0, depth)
    assert moments(gaussian)[2] != pytest.approx(depth * third, rel=0.5), "the comparison sees a dropped cumulant"


def test_moments_that_vary_with_the_state_agree_with_sampling() -> None:
    """Mean and variance within 4.5 standard errors (false alarm 1.4e-5, seed fixed); constant noise is noticed."""

    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        return StepMoments(z + 0.05 * np.tanh(z), 0.15 + 0.1 * np.tanh(z), np.zeros_like(z))

    def constant(z: Float[np.ndarray, " states"]) -> StepMoments:
        return StepMoments(z + 0.05 * np.tanh(z), np.full_like(z, 0.15), np.zeros_like(z))

    rng = np.random.Generator(np.random.SFC64(8))
    z = np.full(200_000, 0.2)
    for _ in range(25):
        now = step(z)
        z = now.mean + now.std * rng.standard_normal(z.size)

    def scores(law: ChainLaw) -> Float[np.ndarray, " 2"]:
        mean, variance, _ = moments(law)
        square = (z - mean) ** 2
        return np.abs([(z.mean() - mean) / z.std(), (square.mean() - variance) / square.std()]) * np.sqrt(z.size)

    assert scores(propagate(step, 0.2, 25)).max() < 4.5
    assert scores(propagate(constant, 0.2, 25)).max() > 20


def test_halving_the_mesh_changes_nothing() -> None:
    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        return StepMoments(z + 0.3 * np.exp(-z), 0.2 + 0.1 / (1 + np.exp(-z)), np.full_like(z, 0.002))

    plain, fine = (propagate(step, 0.0, 30, resolution=r) for r in (2.0, 4.0))
    for power in (1, 2, 3):
        assert plain.expectation(plain.nodes**power) == pytest.approx(fine.expectation(fine.nodes**power), rel=1e-8)


def test_steps_without_noise_are_widened_and_lose_no_probability() -> None:
    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        noise = 0.2 * np.clip(z, 0, 1) ** 2
        return StepMoments(z + 0.5, noise, np.zeros_like(z))

    law = propagate(step, -1.0, 20)
    assert law.weights.sum() == pytest.approx(1.0, abs=1e-6)
    assert law.expectation(law.nodes) == pytest.approx(9.0, abs=1e-6)
