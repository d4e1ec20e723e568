"""The proportional limit: closed forms, exact two-output laws, and the estimated laws of three outputs.

Simulations have fixed seeds; every statistical check has a false-alarm probability of 1e-6.
"""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ndtr
from scipy.stats import kstwo

from limitbench.errors import InputError
from limitbench.numerics.law_distance import deterministic_ks
from limitbench.statistics.base import quantile_moments
from limitbench.statistics.laws import Normal
from limitbench.testing.theories import TheoryContract
from limitbench.theories.deep_linear import (
    FiniteWidth,
    ProportionalLimit,
    limit_second_moments,
    proportional_limit,
)
from limitbench.theories.deep_linear.two_outputs import coupling_law, eigenvalue_law

FALSE_ALARM = 1e-6


class TestProportionalLimit(TheoryContract):
    theories = (
        ProportionalLimit(1.0),
        ProportionalLimit(1.0, outputs=1),
        ProportionalLimit(1e-4),
        ProportionalLimit(0.5, outputs=3, reference_draws=4096),
    )


def _ks(values, law):
    below = law.cdf(np.sort(values))
    rank = np.arange(values.size + 1) / values.size
    return max(np.max(rank[1:] - below), np.max(below - rank[:-1]))


@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
def test_closed_forms(outputs):
    theory = ProportionalLimit(0.7, outputs)
    assert theory.law("log_q11") == Normal(-0.7, math.sqrt(1.4))
    expected = Normal(-0.7 * outputs * (outputs + 1) / 2, math.sqrt(1.4 * outputs))
    assert deterministic_ks(theory.law("log_det"), expected) < 1e-12


@pytest.mark.parametrize("observable", ["log_q11", "log_det"])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_closed_forms_are_limits_of_the_finite_laws(observable, outputs):
    """KS falls fourfold when width and depth grow fourfold; another constant in the formula stops that."""
    finite = [FiniteWidth(width=n, depth=n // 2, outputs=outputs).law(observable) for n in (256, 1024)]
    limit = ProportionalLimit(0.5, outputs).law(observable)
    coarse, fine = (deterministic_ks(law, limit) for law in finite)
    assert coarse / fine == pytest.approx(4, rel=0.05)
    for wrong in (
        Normal(limit.mean + 0.02, limit.std),
        Normal(limit.mean, limit.std * 1.02),
        Normal(limit.mean, limit.std / math.sqrt(2)),
        Normal(-limit.mean, limit.std),
    ):
        coarse, fine = (deterministic_ks(law, wrong) for law in finite)
        assert coarse / fine < 2


def test_one_output_has_equal_eigenvalues_and_no_coupling():
    theory = ProportionalLimit(0.3, 1)
    assert "q12" not in theory.observables
    assert theory.law("log_lambda_min") == theory.law("log_lambda_max") == theory.law("log_q11")


@pytest.mark.parametrize("alpha", [0.05, 0.25, 1.0, 4.0])
def test_two_output_laws_are_those_of_the_triangular_equation(alpha):
    """KS at 65,536 draws; another alpha, half as large again, is noticed in each of the three laws."""
    n = 1 << 16
    drawn = ProportionalLimit(alpha, steps_per_time=24).simulate(n, seed=13)
    smallest, largest = drawn.log_eigenvalues
    values = {"q12": drawn.q12, "log_lambda_min": smallest, "log_lambda_max": largest}
    threshold = kstwo.isf(FALSE_ALARM, n)
    for observable, sample in values.items():
        assert _ks(sample, ProportionalLimit(alpha).law(observable)) < threshold
        assert _ks(sample, ProportionalLimit(1.5 * alpha).law(observable)) > threshold
    assert _ks(largest, ProportionalLimit(alpha).law("log_lambda_min")) > threshold


def test_second_moments_solve_their_differential_equations():
    """a' = 2a, b' = 2c, c' = b + c."""
    solved = solve_ivp(lambda t, y: [2 * y[0], 2 * y[2], y[1] + y[2]], (0, 1.3), [1, 1, 0], rtol=1e-10, atol=1e-12)
    m = limit_second_moments(1.3)
    np.testing.assert_allclose([m.q11_squared, m.q11_q22, m.q12_squared], solved.y[:, -1], rtol=1e-8)


@pytest.mark.parametrize("alpha", [1e-4, 0.25, 1.0])
def test_coupling_law_has_its_exact_variance_and_symmetry(alpha):
    law = coupling_law(alpha)
    z = np.linspace(-8.2, 8.2, 8001)
    u = ndtr(z)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    assert weight @ law.quantile(u) ** 2 == pytest.approx(limit_second_moments(alpha).q12_squared, rel=1e-6)
    x = law.quantile(np.linspace(0.01, 0.5, 50))
    np.testing.assert_allclose(law.cdf(x) + law.cdf(-x), 1, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.25, 1.0])
def test_coupling_law_states_the_standard_deviation_of_its_quantiles(alpha):
    """sqrt((e^{2 alpha} - e^{-alpha})/3), stated by the law, by the moments and found by quadrature."""
    expected = math.sqrt((math.exp(2 * alpha) - math.exp(-alpha)) / 3)
    assert math.sqrt(limit_second_moments(alpha).q12_squared) == pytest.approx(expected, rel=1e-12)
    for law in (coupling_law(alpha), ProportionalLimit(alpha).law("q12"), ProportionalLimit(alpha, 3).law("q12")):
        mean, std = quantile_moments(law, nodes=8001)
        assert law.std == pytest.approx(expected, rel=1e-6)
        assert std == pytest.approx(expected, rel=1e-6)
        assert law.mean == pytest.approx(mean, abs=1e-6 * expected)


def test_coupling_is_gaussian_at_small_alpha():
    """Q_12 ~ N(0, alpha)."""
    assert deterministic_ks(coupling_law(1e-6), Normal(0.0, 1e-3)) < 1e-4


@pytest.mark.parametrize("alpha", [0.01, 0.25, 1.0, 4.0, 16.0])
def test_eigenvalue_laws_average_to_the_determinant_and_the_trace(alpha):
    """E ln l1 + E ln l2 = -3 alpha; E (l1 + l2) = 2; variances by l1 l2 = det, with independent radius."""
    low, high = eigenvalue_law(alpha, False), eigenvalue_law(alpha, True)
    assert low.mean + high.mean == pytest.approx(-3 * alpha, rel=1e-12)
    assert low.std == high.std > math.sqrt(alpha)
    z = np.linspace(-8.2, 8.2, 8001)
    u = ndtr(z)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    assert weight @ high.quantile(u) == pytest.approx(high.mean, rel=1e-8, abs=1e-9)
    if alpha < 2:
        assert weight @ (np.exp(low.quantile(u)) + np.exp(high.quantile(u))) == pytest.approx(2, rel=1e-6)


def test_two_output_laws_are_limits_of_simulated_bartlett_products():
    """Width 512, depth 256: the finite-size distance (sheet: width x KS about 1) is below the threshold."""
    n, width, depth = 10_000, 512, 256
    rng = np.random.default_rng(3)
    g = np.tile(np.eye(2), (n, 1, 1))
    for _ in range(depth):
        t = np.zeros((n, 2, 2))
        t[:, 0, 0] = np.sqrt(rng.chisquare(width, n) / width)
        t[:, 1, 1] = np.sqrt(rng.chisquare(width - 1, n) / width)
        t[:, 1, 0] = rng.standard_normal(n) / math.sqrt(width)
        g = g @ t
    singular = np.linalg.svd(g, compute_uv=False)
    theory = ProportionalLimit(depth / width)
    threshold = kstwo.isf(FALSE_ALARM, n)
    assert _ks(g[:, 0, 0] * g[:, 1, 0], theory.law("q12")) < threshold
    assert _ks(2 * np.log(singular[:, 0]), theory.law("log_lambda_max")) < threshold
    assert _ks(2 * np.log(singular[:, 1]), theory.law("log_lambda_min")) < threshold
    assert _ks(2 * np.log(singular[:, 1]), Normal(-theory.alpha, math.sqrt(2 * theory.alpha))) > threshold


def test_coupling_of_three_outputs_is_that_of_two():
    n = 1 << 16
    q = ProportionalLimit(0.5, 3).simulate(n, seed=4).mixing
    law = ProportionalLimit(0.5, 3).law("q12")
    threshold = kstwo.isf(FALSE_ALARM, n)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert _ks(q[i, j], law) < threshold


def test_three_output_eigenvalue_laws_follow_the_geometric_dyson_equation():
    """ln l_i: sqrt 2 dB_i - dt + sum_j l_j/(l_i - l_j) dt, from eigenvalues drawn at time 0.2 on to 0.5.

    Two-sample KS at 16,384 paths against the estimated law; a third of the repulsion left out is noticed.
    """
    n, start, stop, steps = 1 << 14, 0.2, 0.5, 300

    def dyson(repulsion):
        logs = ProportionalLimit(start, 3).simulate(n, seed=6).log_eigenvalues
        rng, h = np.random.default_rng(7), (stop - start) / steps
        for _ in range(steps):
            push = np.zeros_like(logs)
            for i in range(3):
                for j in range(3):
                    if i != j:
                        # l_j/(l_i - l_j), the singular part kept to what one step may cross.
                        gap = np.expm1(logs[i] - logs[j])
                        push[i] += np.clip(1 / gap, -1 / math.sqrt(h), 1 / math.sqrt(h))
            logs = logs + math.sqrt(2 * h) * rng.standard_normal(logs.shape) - h + repulsion * h * push
            logs = np.sort(logs, axis=0)
        return logs

    theory = ProportionalLimit(stop, 3)
    size = n * theory.reference_draws / (n + theory.reference_draws)
    threshold = kstwo.isf(FALSE_ALARM, int(size))
    for repulsion, agrees in ((1.0, True), (2 / 3, False)):
        logs = dyson(repulsion)
        for observable, values in (("log_lambda_min", logs[0]), ("log_lambda_max", logs[2])):
            assert bool(_ks(values, theory.law(observable)) < threshold) is agrees


def test_step_error_of_estimated_laws_is_below_their_sampling_error():
    """64 steps instead of 16 change nothing in the three-output laws that 2^17 draws can see (two-sample, 1e-6)."""
    n = 1 << 17
    for largest in (False, True):
        observable = "log_lambda_max" if largest else "log_lambda_min"
        coarse = ProportionalLimit(1.0, 3, steps_per_time=8).law(observable)
        fine = ProportionalLimit(1.0, 3, steps_per_time=64).law(observable)
        assert coarse.reference_size == n
        assert _ks(np.asarray(fine.draws), coarse) < kstwo.isf(FALSE_ALARM, n // 2)


def test_estimated_laws_depend_on_their_parameters_alone():
    """Solved again, in another order, they hold the same draws; other parameters draw from another stream."""

    def draws(alpha):
        return ProportionalLimit(alpha, 3, reference_draws=256).law("log_lambda_min").draws

    first, second = draws(0.25), draws(0.26)
    proportional_limit._estimated_eigenvalues.cache_clear()
    np.testing.assert_array_equal(draws(0.26), second)
    np.testing.assert_array_equal(draws(0.25), first)
    assert np.corrcoef(first, second)[0, 1] < 0.5


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_bad_alpha_is_refused(alpha):
    with pytest.raises(InputError, match=r"^alpha:"):
        ProportionalLimit(alpha)


def test_deep_narrow_networks_keep_what_double_precision_resolves():
    """Depth 1000 at width 2 has alpha = 500: closed forms only; at 128 the two-output laws still stand."""
    assert ProportionalLimit(500.0).observables == ("log_q11", "log_det", "log_output")
    assert ProportionalLimit(500.0).law("log_det").mean == -1500
    assert ProportionalLimit(500.0, 1).law("log_lambda_max") == ProportionalLimit(500.0, 1).law("log_q11")
    assert "log_lambda_min" not in ProportionalLimit(17.0, 3).observables
    assert "q12" in ProportionalLimit(17.0, 3).observables
    theory = ProportionalLimit(128.0)
    u = np.linspace(0.001, 0.999, 999)
    for observable in ("q12", "log_lambda_min", "log_lambda_max"):
        law = theory.law(observable)
        x = law.quantile(u)
        assert np.all(np.diff(x) > 0)
        np.testing.assert_allclose(law.cdf(x), u, atol=2e-7)
    # coth = 1 far out: the gap of the logarithms grows by alpha, plus what it gained near the pole.
    gap = theory.law("log_lambda_max").mean - theory.law("log_lambda_min").mean
    assert 128 < gap < 128 + 4
