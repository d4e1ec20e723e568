"""Exact finite-size laws against simulated chi-square products, dense Gaussian matrices and the rates to the limit.

Simulations have fixed seeds; every statistical check has a false-alarm probability of 1e-6 or below.
"""

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import kstwo

from limitbench.errors import InputError
from limitbench.numerics.law_distance import deterministic_ks, deterministic_wasserstein
from limitbench.statistics.laws import Normal
from limitbench.testing.theories import TheoryContract
from limitbench.theories.deep_linear import FiniteWidth, ProportionalLimit, finite_second_moments

FALSE_ALARM = 1e-6


class TestFiniteWidth(TheoryContract):
    theories = (
        FiniteWidth(width=64, depth=16),
        FiniteWidth(width=2, depth=1),
        FiniteWidth(width=1, depth=1, outputs=1),
        FiniteWidth(width=(8, 16, 5), outputs=5),
        FiniteWidth(width=4, depth=100, outputs=6),
        FiniteWidth(width=4096, depth=4096, outputs=3),
    )


def _ks(values, law):
    below = law.cdf(np.sort(values))
    rank = np.arange(values.size + 1) / values.size
    return max(np.max(rank[1:] - below), np.max(below - rank[:-1]))


def _chi_square_products(widths, outputs, networks, seed):
    """ln Q_11 and ln det Q of simulated products of Bartlett diagonals."""
    rng = np.random.default_rng(seed)
    log_q11, log_det = np.zeros(networks), np.zeros(networks)
    for width in widths:
        for i in range(outputs):
            term = np.log(rng.chisquare(width - i, networks) / width)
            log_det += term
            if i == 0:
                log_q11 += term
    return {"log_q11": log_q11, "log_det": log_det}


def _dense_mixing(width, depth, outputs, networks, seed):
    """Q = M M' of real weight matrices, M = W_{L+1} ... W_2 / N^{L/2}."""
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((networks, outputs, width)) / math.sqrt(width)
    for _ in range(depth - 1):
        m = m @ rng.standard_normal((networks, width, width)) / math.sqrt(width)
    return m @ m.transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("widths", "outputs"), [((16,) * 16, 2), ((64,) * 16, 2), ((2,), 2), ((1, 1), 1), ((3, 50, 7), 3)]
)
@pytest.mark.parametrize("observable", ["log_q11", "log_det"])
def test_law_is_that_of_simulated_chi_square_products(widths, outputs, observable):
    n = 100_000
    theory = FiniteWidth(width=widths, outputs=outputs)
    values = _chi_square_products(widths, outputs, n, seed=21)[observable]
    threshold = kstwo.isf(FALSE_ALARM, n)
    assert _ks(values, theory.law(observable)) < threshold
    wrong = FiniteWidth(width=tuple(w + 1 for w in widths), outputs=outputs).law(observable)
    assert _ks(values, wrong) > threshold or min(widths) > 16
    other_sign = Normal(-theory.law(observable).mean, theory.law(observable).std)
    assert _ks(values, other_sign) > threshold


@pytest.mark.parametrize(("width", "depth", "outputs"), [(2, 3, 2), (3, 2, 3), (8, 4, 2)])
def test_law_is_that_of_dense_weight_matrices(width, depth, outputs):
    n = 40_000
    q = _dense_mixing(width, depth, outputs, n, seed=5)
    theory = FiniteWidth(width=width, depth=depth, outputs=outputs)
    threshold = kstwo.isf(FALSE_ALARM, n)
    assert _ks(np.log(q[:, 0, 0]), theory.law("log_q11")) < threshold
    assert _ks(np.linalg.slogdet(q)[1], theory.law("log_det")) < threshold
    deeper = FiniteWidth(width=width, depth=depth + 1, outputs=outputs)
    assert _ks(np.log(q[:, 0, 0]), deeper.law("log_q11")) > threshold
    assert _ks(np.linalg.slogdet(q)[1], deeper.law("log_det")) > threshold


def test_second_moments_are_those_of_dense_weight_matrices():
    n, width, depth = 200_000, 6, 3
    q = _dense_mixing(width, depth, 2, n, seed=9)
    samples = q[:, 0, 0] ** 2, q[:, 0, 0] * q[:, 1, 1], q[:, 0, 1] ** 2

    def scores(moments):
        exact = moments.q11_squared, moments.q11_q22, moments.q12_squared
        return np.array([(s.mean() - e) / (s.std() / math.sqrt(n)) for s, e in zip(samples, exact, strict=True)])

    threshold = -ndtri(FALSE_ALARM / 6)
    assert np.all(np.abs(scores(finite_second_moments((width,) * depth))) < threshold)
    assert np.all(np.abs(scores(finite_second_moments((width,) * (depth + 1)))) > threshold)


def test_second_moments_of_unequal_widths_and_the_trace_identity():
    """a = b + 2c; values of the sheet at N = 16 and 64, L/N = 1/4 and 1."""
    for widths in ((4, 9, 2), (16,) * 4):
        m = finite_second_moments(widths)
        assert m.q11_squared == pytest.approx(m.q11_q22 + 2 * m.q12_squared, rel=1e-14)
    m = finite_second_moments((16,) * 4)
    assert (m.q11_squared, m.q11_q22, m.q12_squared) == pytest.approx((1.6018, 1.0489, 0.2764), abs=5e-5)
    m = finite_second_moments((64,) * 64)
    assert (m.q11_q22, m.q12_squared) == pytest.approx((2.632, 2.267), abs=5e-4)


@pytest.mark.parametrize(
    ("width", "mean_q11", "variance_q11", "mean_det", "variance_det"),
    [
        (16, -1.0208, 2.130, -3.144, 4.412),
        (64, -1.0052, 2.032, -3.034, 4.096),
        (256, -1.0013, 2.008, -3.009, 4.024),
    ],
)
def test_exact_log_moments_of_the_table(width, mean_q11, variance_q11, mean_det, variance_det):
    theory = FiniteWidth(width=width, depth=width)
    assert theory.cumulant("log_q11", 1) == pytest.approx(mean_q11, abs=5e-5)
    assert theory.cumulant("log_q11", 2) == pytest.approx(variance_q11, abs=5e-4)
    assert theory.cumulant("log_det", 1) == pytest.approx(mean_det, abs=6e-4)
    assert theory.cumulant("log_det", 2) == pytest.approx(variance_det, abs=5e-4)


@pytest.mark.parametrize(("width", "depth"), [(16, 16), (64, 64), (64, 16)])
@pytest.mark.parametrize("observable", ["log_q11", "log_det"])
def test_cumulants_agree_with_simulation_and_with_the_law(width, depth, observable):
    """Mean, variance and third cumulant; 4.5 standard errors each."""
    n = 200_000
    theory = FiniteWidth(width=width, depth=depth)
    x = _chi_square_products((width,) * depth, 2, n, seed=31)[observable]
    mean, variance, third = (theory.cumulant(observable, k) for k in (1, 2, 3))
    centred = x - mean
    for sample, exact in ((x, mean), (centred**2, variance), (centred**3, third)):
        assert abs(sample.mean() - exact) < 4.5 * sample.std() / math.sqrt(n)
    limit = ProportionalLimit(depth / width).law(observable)
    assert abs((x**2).mean() - limit.std**2 - limit.mean**2) > 4.5 * (x**2).std() / math.sqrt(n), "no power"
    z = np.linspace(-8, 8, 4001)
    law, weight = theory.law(observable), np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    quantile = law.quantile(ndtr(z))
    assert weight @ quantile == pytest.approx(mean, rel=1e-6)
    assert weight @ (quantile - mean) ** 2 == pytest.approx(variance, rel=1e-6)
    assert weight @ (quantile - mean) ** 3 == pytest.approx(third, rel=1e-4)


# Width x KS and width x W1 to the log-normal limit at widths 16, 64, 256, 1024, and the leading Edgeworth constant.
RATES = {
    0.25: ((0.1797, 0.1878, 0.1897, 0.1901), (0.388, 0.385, 0.384, 0.384), 0.1903),
    1.0: ((0.1782, 0.1816, 0.1824, 0.1826), (0.583, 0.577, 0.576, 0.576), 0.1826),
    4.0: ((0.2363, 0.2393, 0.2400, 0.2402), (1.442, 1.438, 1.436, 1.436), 0.2402),
}


def _edgeworth_constant(alpha):
    """sup of phi(z) |m + v z/2 + k (z^2 - 1)/6|: relative shifts of mean, variance and third cumulant times width."""
    z = np.linspace(-6, 6, 200_001)
    sigma = math.sqrt(2 * alpha)
    mean, variance, third = -alpha / 3 / sigma, 2 * alpha / sigma**2, -4 * alpha / sigma**3
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.max(density * np.abs(mean + variance * z / 2 + third * (z**2 - 1) / 6))


@pytest.mark.parametrize("alpha", RATES)
def test_distance_to_the_limit_is_one_over_width_with_the_edgeworth_constant(alpha):
    kolmogorov, wasserstein, constant = RATES[alpha]
    assert _edgeworth_constant(alpha) == pytest.approx(constant, abs=5e-5)
    limit = ProportionalLimit(alpha).law("log_q11")
    for width, ks, w1 in zip((16, 64, 256, 1024), kolmogorov, wasserstein, strict=True):
        finite = FiniteWidth(width=width, depth=int(alpha * width)).law("log_q11")
        assert width * deterministic_ks(finite, limit) == pytest.approx(ks, abs=5.1e-5)
        assert width * deterministic_wasserstein(finite, limit) == pytest.approx(w1, abs=5.1e-4)
        if width >= 64:
            assert width * deterministic_ks(finite, limit) == pytest.approx(constant, rel=0.02)
            off = ProportionalLimit(alpha * (1 + 0.1 / width)).law("log_q11")
            assert width * deterministic_ks(finite, off) != pytest.approx(constant, rel=0.02)


def test_equal_widths_are_a_tuple_of_widths_and_order_does_not_matter():
    a, b = FiniteWidth(width=9, depth=3), FiniteWidth(width=(9, 9, 9))
    assert a.widths == b.widths
    assert b.depth == 3
    assert a.law("log_det") is b.law("log_det")
    assert FiniteWidth(width=(5, 9)).law("log_q11") is FiniteWidth(width=(9, 5)).law("log_q11")


def test_singular_mixing_matrix_has_no_log_determinant():
    assert FiniteWidth(width=(8, 2, 8), outputs=3).observables == ("log_q11", "log_output", "output_1", "output_2")
    with pytest.raises(InputError, match="log_det"):
        FiniteWidth(width=2, depth=4, outputs=3).cumulant("log_det", 1)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"width": 0, "depth": 1}, "width"),
        ({"width": 4, "depth": -1}, "depth"),
        ({"width": 4}, "depth"),
        ({"width": ()}, "width"),
        ({"width": (4, 0)}, "width"),
        ({"width": (4, 4), "depth": 3}, "depth"),
        ({"width": 4, "depth": 1, "outputs": 0}, "outputs"),
    ],
)
def test_bad_input_names_its_field(arguments, field):
    with pytest.raises(InputError, match=f"^{field}:"):
        FiniteWidth(**arguments)


def test_cumulant_order_starts_at_one():
    with pytest.raises(InputError, match="order"):
        FiniteWidth(width=4, depth=4).cumulant("log_q11", 0)
