"""Smooth activations: derivatives at 0, the normalising constant against adaptive quadrature, accuracy near 0."""

import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.special import kve

from limitbench.errors import InputError
from limitbench.numerics.activations import ACTIVATIONS, SmoothActivation, activation_of, gaussian_nodes, turning_nodes

#: The same functions, written down plainly.
PLAIN = {
    "tanh": np.tanh,
    "shifted-tanh": lambda x: (np.tanh(x + 0.4) - math.tanh(0.4)) * math.cosh(0.4) ** 2,
    "softplus": lambda x: 2 * (np.logaddexp(0, x) - math.log(2)),
    "arcsinh": np.arcsinh,
    "silu": lambda x: 2 * x / (1 + np.exp(-x)),
    "root": lambda x: x + np.sqrt(1 + x * x) - 1,
}
#: A user's activation, found as `module:name`; only its function is given.
CUBIC = SmoothActivation("cubic", lambda x: x + x**2 / 4 - x**3 / 9)


def normaliser(name, s):
    """1/E[phi_s(g)^2] by adaptive quadrature, split where phi bends."""
    cuts = sorted({-12, -3, 0, 3, 12, *(k * s for k in (-10, -3, -1, 1, 3, 10) if abs(k * s) < 12)})
    values = [
        integrate.quad(
            lambda g: (s * PLAIN[name](g / s)) ** 2 * math.exp(-g * g / 2) / math.sqrt(2 * math.pi),
            low,
            high,
            epsabs=0,
            epsrel=1e-13,
            limit=200,
        )[0]
        for low, high in itertools.pairwise(cuts)
    ]
    return 1 / math.fsum(values)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_are_those_of_the_plain_formula(name):
    x = np.concatenate([np.linspace(-30, 30, 601), [-300.0, 300.0]])
    np.testing.assert_allclose(ACTIVATIONS[name].function(torch.from_numpy(x)).numpy(), PLAIN[name](x), atol=1e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_at_zero_are_those_of_the_function(name):
    """Central differences of the plain formula, order four: 1e-6."""
    h, f = 0.02, PLAIN[name]
    a, b, c = (f(k * h) for k in (1, 2, 3))
    d, e, g = (f(-k * h) for k in (1, 2, 3))
    second = (-b + 16 * a + 16 * d - e) / (12 * h * h)
    third = (-c + 8 * b - 13 * a + 13 * d - 8 * e + g) / (8 * h**3)
    activation = ACTIVATIONS[name]
    assert activation.second == pytest.approx(second, abs=2e-6)
    assert activation.third == pytest.approx(third, abs=2e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_keep_their_relative_accuracy_near_zero(name):
    x = np.array([-1e-6, -1e-9, 1e-12, 1e-9, 1e-5])
    activation = ACTIVATIONS[name]
    series = x + activation.second * x**2 / 2 + activation.third * x**3 / 6
    np.testing.assert_allclose(activation.function(torch.from_numpy(x)).numpy(), series, rtol=1e-14, atol=0)


@pytest.mark.parametrize("s", [0.1, 0.7, 3.4, 16.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_normaliser_is_accurate_to_1e_12(name, s):
    assert ACTIVATIONS[name].normaliser(s) == pytest.approx(normaliser(name, s), rel=1e-12, abs=0)


def test_a_mesh_that_ignores_the_scale_is_noticed():
    """The companion: a mesh that is fine enough for s = 16 is not for s = 0.1."""
    x, weights = gaussian_nodes(16.0)
    values = ACTIVATIONS["root"].shaped(torch.from_numpy(x), 0.1).numpy()
    assert abs(1 / float(weights @ values**2) / normaliser("root", 0.1) - 1) > 1e-6


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_normaliser_expands_as_one_minus_beta_over_s_squared(name):
    """c = 1 - (3/4 phi''^2 + phi''')/s^2 + O(s^-4)."""
    activation, s = ACTIVATIONS[name], 100.0
    assert (1 - activation.normaliser(s)) * s**2 == pytest.approx(activation.norm_drift(1.0), abs=2e-3)
    assert activation.norm_drift(0.5) == pytest.approx(4 * activation.norm_drift(1.0))


def test_a_users_function_gets_its_derivatives_by_differentiation():
    assert (CUBIC.second, CUBIC.third) == pytest.approx((0.5, -2 / 3), abs=1e-15)
    assert activation_of(CUBIC) is CUBIC
    linear = SmoothActivation("linear", lambda x: x)
    assert (linear.second, linear.third) == (0.0, 0.0)
    with torch.inference_mode():
        assert SmoothActivation("again", lambda x: torch.sinh(x)).third == 1.0


def test_names_are_found_and_unknown_ones_are_named():
    assert activation_of("silu") is ACTIVATIONS["silu"]
    for bad in ("relu", "limitbench.numerics.activations:missing", "no_such_module:x", "math:pi", ":", "math:"):
        with pytest.raises(InputError, match="activation"):
            activation_of(bad)


@pytest.mark.parametrize("function", [torch.cosh, lambda x: 2 * x, lambda x: x + 0.1], ids=["even", "steep", "shifted"])
def test_an_activation_that_is_not_the_identity_at_zero_is_refused(function):
    with pytest.raises(InputError, match="activation"):
        SmoothActivation("bad", function)


def test_a_derivative_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="third"):
        SmoothActivation("bad", torch.tanh, 0.0, math.inf)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_built_in_activations_are_values(name):
    activation = ACTIVATIONS[name]
    assert pickle.loads(pickle.dumps(activation)) == activation
    assert hash(activation) == hash(ACTIVATIONS[name])


@pytest.mark.parametrize("sharpness", [1e-5, 0.3, 1000.0])
def test_nodes_of_a_turn_integrate_what_turns_there(sharpness):
    """int sqrt(e^2 + y^2) exp(-y^2/2) dy = e^2/2 exp(z) (K_0(z) + K_1(z)), z = e^2/4, to 1e-12."""
    y, weights = turning_nodes(sharpness)
    z = sharpness**2 / 4
    exact = sharpness**2 / 2 * (kve(0, z) + kve(1, z))
    assert weights @ (np.hypot(sharpness, y) * np.exp(-y * y / 2)) == pytest.approx(exact, rel=1e-12)
    assert y.size < 400
