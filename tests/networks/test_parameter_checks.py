"""Values of the wrong type are named like values out of range."""

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.networks.checks import gram_matrix, layer_widths, number, whole


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
