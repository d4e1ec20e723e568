"""Values of the wrong type are named like values out of range."""

import inspect

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks.base import Network, check_depths
from limitbench.networks.checks import gram_matrix, layer_widths, number, whole
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics.activations import activation_of


@pytest.mark.parametrize("value", ["8", None, 2.0, True, 0, [3]])
def test_whole_accepts_integers_only(value):
    with pytest.raises(InputError, match=r"depth: got .* at least 1"):
        whole("depth", value)


@pytest.mark.parametrize("value", ["x", None, float("nan"), float("inf"), False, 1.2, [0.3]])
def test_number_accepts_finite_numbers_within_bounds(value):
    with pytest.raises(InputError, match=r"rho0: got .* in \[-1, 1\]"):
        number("rho0", value, -1.0, 1.0)


@pytest.mark.parametrize("widths", ["33", 3, (3, 2.5), (3,)])
def test_widths_are_one_integer_a_layer(widths):
    with pytest.raises(InputError, match="widths"):
        layer_widths(2, None, widths)


@pytest.mark.parametrize("gram", ["abc", 1.0, [[1.0, 0.5], [0.5]], [[float("nan")]], [[-1.0]]])
def test_gram_is_a_matrix(gram):
    with pytest.raises(InputError, match="gram"):
        gram_matrix(gram)


def test_numbers_of_any_integer_or_float_type_are_converted():
    assert (whole("width", np.int64(8)), number("rate", np.float32(0.5))) == (8, 0.5)
    assert str(number("c_plus", -0.0)) == "0.0"
    assert layer_widths(2, None, [np.int32(3), 4]) == (3, 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", True),
        ("n", 2.0),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 0.5),
        ("seed", None),
        ("depths", 2),
        ("depths", [1.5]),
        ("depths", [2, 1]),
        ("depths", "12"),
        ("device", "gpu"),
        ("device", "meta"),
        ("device", "cuda:99"),
        ("device", None),
        ("sampler", "quick"),
    ],
)
def test_sample_names_the_argument_that_is_wrong(field, value):
    sample = inspect.unwrap(Network.sample)  # without the check of types that tests run under
    with pytest.raises(InputError) as caught:
        sample(ShapedMLP(2, 4), **{"n": 1, field: value})
    assert (caught.value.field, caught.value.value) == (field, value)


def test_sample_takes_numpy_integers_and_any_sequence_of_depths():
    sample = inspect.unwrap(Network.sample)
    drawn = sample(ShapedMLP(2, 4), np.int64(3), seed=np.int64(2**62), depths=np.array([1, 2]), device="cpu:0")
    assert drawn.sizes == {"sample": 3, "depth": 2}
    assert check_depths(range(1, 3), 2) == (1, 2)


@pytest.mark.parametrize("value", [np.tanh, None, ["tanh"], "relu"])
def test_activation_is_a_name_or_a_smooth_activation(value):
    with pytest.raises(InputError, match=r"activation: got .*, expected one of tanh, "):
        activation_of(value)
