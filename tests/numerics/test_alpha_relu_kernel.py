"""J_a of powers of ReLU: its four identities, its special values, brute force, and accuracy where inputs merge."""

import math

import mpmath
import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.numerics import alpha_relu_kernel as module
from limitbench.numerics.alpha_relu_kernel import (
    AlphaReluKernel,
    alpha_relu_kernel,
    bessel,
    cho_saul,
    identity_errors,
    mean_constant,
    square_constant,
)

ALPHAS = (0.3, 0.5, 0.55, 0.75, 1.0, 1.5, 2.0)
ANGLES = (0.21, 0.5, 1.0, 1.6, 2.2, 2.49)


def worst():
    return np.max([[identity_errors(alpha, theta) for theta in ANGLES] for alpha in ALPHAS], axis=(0, 1))


def test_the_four_identities_hold():
    assert worst().max() < 1e-10


@pytest.mark.parametrize("defect", ["power of the sine", "size"])
def test_a_broken_integral_breaks_every_identity(monkeypatch, defect):
    whole = module.bessel

    def broken(alpha, theta):
        return whole(alpha, theta) * (math.sin(theta) if defect == "power of the sine" else 1.0 + 1e-9 * alpha)

    monkeypatch.setattr(module, "bessel", broken)
    least = 1e-10 if defect == "size" else 0.05
    two_forms, derivative, three_terms, special_values = worst()
    assert two_forms > least
    assert special_values > least
    assert three_terms > least or defect == "power of the sine"  # homogeneous in J
    assert derivative > least


def test_the_recurrence_needs_its_last_term():
    for alpha in ALPHAS:
        without = (2 * alpha + 1) * math.cos(1.0) * bessel(alpha, 1.0) / bessel(alpha + 1, 1.0) - 1
        assert abs(without) > 0.01


@pytest.mark.parametrize("alpha", [0.55, 0.8, 1.0, 1.4])
def test_the_kernel_is_the_expectation(alpha):
    # false alarm 7e-6 a comparison: 4.5 standard errors, seed fixed
    rng = np.random.default_rng(7)
    x, other = rng.standard_normal((2, 400_000))
    for cosine in (-0.5, 0.3, 0.9):
        y = cosine * x + math.sqrt(1 - cosine**2) * other
        draws = np.maximum(x, 0) ** alpha * np.maximum(y, 0) ** alpha
        value = bessel(alpha, math.acos(cosine)) / (2 * math.pi)
        assert abs(draws.mean() - value) < 4.5 * draws.std() / math.sqrt(len(draws))
        normalised = square_constant(alpha) * float(alpha_relu_kernel(alpha).normalised(1 - cosine, math))
        assert normalised == pytest.approx(value, rel=1e-12)
    draws = np.maximum(x, 0) ** alpha
    assert abs(draws.mean() - mean_constant(alpha)) < 4.5 * draws.std() / math.sqrt(len(draws))


@pytest.mark.parametrize("alpha", [0.51, 0.55, 0.75, 0.99, 1.0, 1.3])
def test_the_gap_keeps_its_accuracy_as_inputs_merge(alpha):
    kernel = AlphaReluKernel(alpha)
    accuracy = 1e-12 if alpha > 0.52 else 1e-11
    for gap in (1e-12, 1e-8, 1e-4, 0.01, 0.3, 0.999, 1.001, 1.5, 1.999):
        with mpmath.workdps(50):
            a, c = mpmath.mpf(alpha), 1 - mpmath.mpf(gap)
            size = mpmath.sqrt(mpmath.pi) * mpmath.gamma(a + 1) ** 2 / mpmath.sqrt(2) / mpmath.gamma(a + 1.5)
            whole = size * (1 + c) ** (a + 0.5) * mpmath.hyp2f1(0.5, 0.5, a + 1.5, (1 + c) / 2)
            reference = whole / (mpmath.sqrt(mpmath.pi) * mpmath.gamma(a + 0.5) * mpmath.mpf(2) ** a)
        assert kernel.gap(gap, math) == pytest.approx(float(1 - reference), rel=accuracy)
        assert kernel.normalised(gap, math) == pytest.approx(float(reference), rel=accuracy)
        assert float(kernel.gap(np.array([gap]))[0]) == pytest.approx(kernel.gap(gap, math), rel=1e-14)
        assert float(kernel.normalised(np.array([gap]))[0]) == pytest.approx(kernel.normalised(gap, math), rel=1e-14)
    naive = 1.0 - kernel.normalised(1e-12, math)
    assert abs(naive / kernel.gap(1e-12, math) - 1.0) > 1e-7  # what the subtraction would lose


def test_relu_is_the_arc_cosine_kernel():
    c = np.linspace(-0.99, 0.99, 23)
    exact = (np.sqrt(1 - c**2) + (np.pi - np.arccos(c)) * c) / np.pi
    np.testing.assert_allclose(alpha_relu_kernel(1.0).normalised(1 - c), exact, rtol=1e-11)
    x = 1e-6
    assert (x - alpha_relu_kernel(1.0).gap(x, math)) / x**1.5 == pytest.approx(0.300105, abs=2e-6)


#: Sheet B 4.3: e*, Jhat'(e*).
@pytest.mark.parametrize(
    ("alpha", "limit", "slope"),
    [
        (0.55, 0.977912, 0.8994),
        (0.6, 0.984020, 0.9204),
        (2 / 3, 0.990359, 0.9446),
        (0.75, 0.995723, 0.9688),
        (0.8, 0.997760, 0.9800),
        (0.9, 0.999730, 0.9950),
    ],
)
def test_fixed_points_and_slopes(alpha, limit, slope):
    kernel = alpha_relu_kernel(alpha)
    assert 1 - kernel.gap(1 - limit, math) == pytest.approx(limit, abs=6e-7)
    assert kernel.slope(limit) == pytest.approx(slope, abs=6e-5)
    assert kernel.slope(1.0) == alpha**2 / (2 * alpha - 1)
    h = 1e-6
    difference = (kernel.normalised(0.4 - h, math) - kernel.normalised(0.4 + h, math)) / (2 * h)
    assert kernel.slope(0.6) == pytest.approx(difference, rel=1e-8)


def test_both_integrals_at_the_ends_of_their_range():
    assert bessel(0.3, 0.2) == pytest.approx(cho_saul(0.3, math.cos(0.2), nearest=0.2).real, rel=1e-12)
    assert bessel(1e-9, 1.2) == pytest.approx(math.pi - 1.2, rel=1e-7)


@pytest.mark.parametrize(("alpha", "theta"), [(0.0, 1.0), (-0.2, 1.0), (math.nan, 1.0), (1.0, 0.0), (1.0, math.pi)])
def test_identities_refuse_what_has_none(alpha, theta):
    with pytest.raises(InputError, match=r"alpha|theta"):
        identity_errors(alpha, theta)


@pytest.mark.parametrize("alpha", [0.5, 0.0, 1.5, math.inf, math.nan])
def test_powers_without_square_integrable_slope_are_refused(alpha):
    with pytest.raises(InputError, match="alpha"):
        AlphaReluKernel(alpha)
