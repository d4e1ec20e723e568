"""Laws of the outputs: against simulated products, quadrature over Q, scipy's chi-square, and the rate to NNGP.

Simulations have fixed seeds; every statistical check has a false-alarm probability of 1e-6 or below.
"""

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import chi2, kstwo

from limitbench.errors import InputError
from limitbench.numerics.law_distance import deterministic_ks
from limitbench.statistics.laws import Normal
from limitbench.testing.theories import TheoryContract
from limitbench.theories.deep_linear import FiniteWidth, InfiniteWidth, ProportionalLimit

FALSE_ALARM = 1e-6
SCORES = np.linspace(-9.5, 9.5, 4001)
WEIGHT = np.exp(-(SCORES**2) / 2) / np.exp(-(SCORES**2) / 2).sum()
MIXTURES = (
    ProportionalLimit(0.05),
    ProportionalLimit(1.0),
    ProportionalLimit(8.0, outputs=1),
    FiniteWidth(width=2, depth=1),
    FiniteWidth(width=(3, 50, 7), outputs=3),
    FiniteWidth(width=64, depth=64),
)


class TestOutputs(TheoryContract):
    theories = (
        ProportionalLimit(8.0),
        ProportionalLimit(0.25, outputs=1),
        InfiniteWidth(outputs=3),
        FiniteWidth(width=(16, 48) * 8, outputs=2),
    )


def _ks(values, law):
    below = law.cdf(np.sort(values))
    rank = np.arange(values.size + 1) / values.size
    return max(np.max(rank[1:] - below), np.max(below - rank[:-1]))


def _scales(theory):
    """Q_11 at evenly spaced normal scores, from the law of ln Q_11 alone."""
    return np.exp(theory.law("log_q11").quantile(np.clip(ndtr(SCORES), 1e-300, 1 - 1e-16)))


@pytest.mark.parametrize("theory", MIXTURES, ids=repr)
def test_an_output_is_a_gaussian_of_random_variance(theory):
    """F(x) = E Phi(x / sqrt(Q_11)), in the bulk to 1e-7 and in the tail to 1e-5 of itself."""
    law = theory.law("output_1")
    assert theory.outputs == 1 or theory.law("output_2") is law
    x = np.concatenate([law.quantile(np.array([1e-9, 1e-6, 1e-3])), law.quantile(np.linspace(0.01, 0.5, 40))])
    x = np.concatenate([x, law.quantile(0.5 - 10.0 ** np.arange(-10.0, -2.0))])
    expected = ndtr(x[:, None] / np.sqrt(_scales(theory))) @ WEIGHT
    np.testing.assert_allclose(law.cdf(x)[:3], expected[:3], rtol=1e-5)
    np.testing.assert_allclose(law.cdf(x), expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(law.cdf(-x), 1 - expected, rtol=0, atol=1e-7)
    assert deterministic_ks(law, Normal(0.0, 1.0)) > 1e-3


@pytest.mark.parametrize("theory", MIXTURES, ids=repr)
def test_squared_norm_of_all_outputs_is_an_independent_chi_square_times_q11(theory):
    law = theory.law("log_output")
    x = law.quantile(np.linspace(0.001, 0.999, 60))
    expected = chi2.cdf(np.exp(x[:, None]) / _scales(theory), theory.outputs) @ WEIGHT
    np.testing.assert_allclose(law.cdf(x), expected, atol=1e-7)
    z = np.linspace(-8, 8, 4001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    drawn = law.quantile(ndtr(z))
    assert weight @ drawn == pytest.approx(law.mean, abs=1e-5 * law.std)
    assert math.sqrt(weight @ (drawn - law.mean) ** 2) == pytest.approx(law.std, rel=1e-5)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_infinite_width_has_independent_gaussian_outputs(outputs):
    theory = InfiniteWidth(outputs)
    x = np.log(chi2.ppf(np.linspace(1e-6, 1 - 1e-6, 999), outputs))
    np.testing.assert_allclose(theory.law("log_output").cdf(x), chi2.cdf(np.exp(x), outputs), atol=1e-8)
    assert theory.law("output_1") == Normal(0.0, 1.0)
    assert ("output_2" in theory.observables) is (outputs > 1)


@pytest.mark.parametrize("widths", [(8,) * 4, (4, 12, 4, 12), (3,)])
def test_laws_are_those_of_dense_networks(widths):
    """40,000 networks of real weights, one output and three; another width or sum 1/N_l is noticed."""
    n, rng = 40_000, np.random.default_rng(17)
    h = rng.standard_normal((n, widths[0], 1))
    for fan_in, fan_out in zip(widths, (*widths[1:], 3), strict=True):
        h = rng.standard_normal((n, fan_out, fan_in)) @ h / math.sqrt(fan_in)
    s = h[:, :, 0]
    threshold = kstwo.isf(FALSE_ALARM, n)
    values = {"output_1": s[:, 0], "output_2": s[:, 2], "log_output": np.log((s**2).sum(1))}
    theory = FiniteWidth(width=widths, outputs=3)
    for observable, sample in values.items():
        assert _ks(sample, theory.law(observable)) < threshold
        assert _ks(sample, InfiniteWidth(3).law(observable)) > threshold
    deeper = FiniteWidth(width=widths * 2, outputs=3)
    assert min(_ks(sample, deeper.law(observable)) for observable, sample in values.items()) > threshold
    if len(set(widths)) > 1:
        mean_width = FiniteWidth(width=sum(widths) // len(widths), depth=len(widths), outputs=3)
        assert _ks(values["log_output"], mean_width.law("log_output")) > threshold


@pytest.mark.parametrize("alpha", [0.05, 0.25])
def test_variance_is_one_and_kurtosis_three_exp_two_alpha(alpha):
    law = ProportionalLimit(alpha).law("output_1")
    z = np.linspace(-8.2, 8.2, 8001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    x = law.quantile(ndtr(z))
    assert weight @ x**2 == pytest.approx(law.std**2, rel=1e-5)
    assert weight @ x**4 == pytest.approx(3 * math.exp(2 * alpha), rel=1e-4)


def test_rate_to_infinite_width_is_one_over_n_with_its_constant():
    """KS(output, N(0,1)) = c L/N with c = max (3x - x^3) phi(x)/4, at x^2 = 3 - sqrt 6; ln Q_11 is at N^-1/2."""
    x = math.sqrt(3 - math.sqrt(6))
    constant = (3 * x - x**3) * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) / 4
    assert constant == pytest.approx(0.13765, abs=5e-6)
    grid = np.linspace(0, 6, 60_001)
    leading = np.abs((3 * grid - grid**3) * np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) / 4)
    assert leading.max() == pytest.approx(constant, rel=1e-8)
    for depth in (1, 4):
        scaled = [
            n / depth * deterministic_ks(FiniteWidth(width=n, depth=depth).law("output_1"), Normal(0.0, 1.0))
            for n in (256, 4096)
        ]
        assert scaled[1] == pytest.approx(constant, rel=2e-3)
        assert abs(scaled[1] - constant) < abs(scaled[0] - constant) / 8
    spread = [FiniteWidth(width=n, depth=4).law("log_q11").std for n in (1024, 4096)]
    assert spread[0] / spread[1] == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("observable", ["output_1", "log_output"])
def test_finite_laws_approach_the_limit_as_one_over_width(observable):
    limit, wrong = ProportionalLimit(1.0).law(observable), ProportionalLimit(1.02).law(observable)
    finite = [FiniteWidth(width=n, depth=n).law(observable) for n in (256, 1024)]
    coarse, fine = (deterministic_ks(law, limit) for law in finite)
    assert coarse / fine == pytest.approx(4, rel=0.05)
    coarse, fine = (deterministic_ks(law, wrong) for law in finite)
    assert coarse / fine < 2


def test_cumulants_of_log_output_are_those_of_its_law_and_outputs_have_none():
    theory = FiniteWidth(width=(4, 12, 4), outputs=2)
    assert theory.cumulant("log_output", 1) == pytest.approx(theory.law("log_output").mean, rel=1e-12)
    assert theory.cumulant("log_output", 2) == pytest.approx(theory.law("log_output").std ** 2, rel=1e-12)
    with pytest.raises(InputError, match="observable"):
        theory.cumulant("output_1", 2)


def test_outputs_that_would_underflow_have_no_law():
    assert "output_1" not in FiniteWidth(width=2, depth=258).observables
    u = np.linspace(0.01, 0.99, 99)
    for theory in (
        FiniteWidth(width=1, depth=128, outputs=1),
        FiniteWidth(width=2, depth=256),
        ProportionalLimit(128.0),
    ):
        law = theory.law("output_1")
        np.testing.assert_allclose(law.cdf(law.quantile(u)), u, atol=2e-6)
