"""Activations of mean-field networks: values and slopes against 40 digits, tails, names."""

import pickle

import mpmath
import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.numerics.mean_field_activations import mean_field_activation

#: The same functions and their slopes, written down plainly.
PLAIN = {
    "tanh": (mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "erf": (mpmath.erf, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
    "relu": (lambda x: max(x, mpmath.mpf(0)), lambda x: mpmath.mpf(x > 0)),
    "relu-0.85": (
        lambda x: max(x, mpmath.mpf(0)) ** mpmath.mpf(0.85),
        lambda x: mpmath.mpf(0.85) * x ** (mpmath.mpf(0.85) - 1) if x > 0 else mpmath.mpf(0),
    ),
}
POINTS = np.array([-300.0, -26.0, -3.1, -0.7, -1e-9, 0.0, 1e-300, 1e-9, 0.3, 1.0, 7.5, 19.1, 26.0, 340.0])


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("slope", [False, True])
def test_values_and_slopes_are_those_of_the_plain_formula(name, slope):
    """Relative: 1e-15, and where exp(-x^2) rounds x^2, x^2 times that."""
    activation = mean_field_activation(name)
    found = (activation.derivative if slope else activation.function)(torch.from_numpy(POINTS)).numpy()
    with mpmath.workdps(40):
        plain = np.array([float(PLAIN[name][slope](mpmath.mpf(float(x)))) for x in POINTS])
    assert (np.abs(found - plain) <= 1e-15 * np.abs(plain) * (1.0 + np.minimum(POINTS**2, 1e3))).all()


@pytest.mark.parametrize("name", PLAIN)
def test_autograd_has_the_same_slope(name):
    x = torch.tensor([-3.0, -1e-3, 0.0, 1e-200, 0.5, 6.0], dtype=torch.float64, requires_grad=True)
    activation = mean_field_activation(name)
    (slope,) = torch.autograd.grad(activation.function(x).sum(), x)
    torch.testing.assert_close(slope, activation.derivative(x.detach()), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("name", PLAIN)
def test_odd_and_exponent_say_what_the_function_does(name):
    activation = mean_field_activation(name)
    x = torch.linspace(0.1, 4.0, 9, dtype=torch.float64)
    below, above, doubled = (activation.function(y) for y in (-x, x, 2.0 * x))
    assert activation.odd == torch.equal(below, -above)
    if activation.exponent is not None:
        torch.testing.assert_close(doubled, 2.0**activation.exponent * above)


@pytest.mark.parametrize(
    ("written", "name"),
    [("relu-0.850", "relu-0.85"), ("relu-.85", "relu-0.85"), ("relu-1", "relu"), ("relu-1.0", "relu"), ("erf", "erf")],
)
def test_one_function_has_one_name(written, name):
    assert mean_field_activation(written).name == name


def test_activations_travel_to_other_processes():
    for name in PLAIN:
        assert pickle.loads(pickle.dumps(mean_field_activation(name))).name == name


@pytest.mark.parametrize(
    "name",
    ["relu-0.5", "relu-0.3", "relu-2", "relu-", "relu-nan", "relu-8e-1", "relu--0.8", "relu-٠.٨", "gelu", 3, None],
)
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match=r"activation: got .* 1/2 < A <= 1"):
        mean_field_activation(name)
