"""Every shaped-ReLU theory keeps the contract of a theory and refuses what it cannot accept.

Values of a wrong type never reach the theories here: beartype stops them under test.
"""

import math

import pytest

from limitbench.errors import InputError
from limitbench.testing.theories import TheoryContract
from limitbench.theories.shaped_relu import (
    CovarianceSDE,
    DriftCorrectedCovarianceSDE,
    DriftlessCovarianceSDE,
    InfiniteWidth,
    InfiniteWidthCLT,
    MatrixCovarianceSDE,
)

PAIR = ((1.0, 0.3), (0.3, 1.0))


class TestInfiniteWidth(TheoryContract):
    theories = (
        InfiniteWidth(depth=8, width=64, c_plus=0.0, c_minus=-1.0, rho0=0.3),
        InfiniteWidth(depth=3, widths=(4, 8, 16), c_plus=1.0, c_minus=-1.0, rate=0.25, rho0=-1.0),
        InfiniteWidth(depth=3, width=8, rho0=1.0),
        InfiniteWidth(depth=2000, width=8, c_minus=-1.0, rate=0.0, rho0=0.3),
    )


class TestInfiniteWidthCLT(TheoryContract):
    theories = (
        InfiniteWidthCLT(depth=8, width=64, c_plus=0.0, c_minus=-1.0, rho0=0.3),
        InfiniteWidthCLT(depth=3, widths=(4, 8, 16), c_plus=1.0, c_minus=-1.0, rate=0.25, rho0=-1.0),
        InfiniteWidthCLT(depth=3, width=8, rho0=1.0),
        InfiniteWidthCLT(depth=3, width=8, rho0=-1.0),
    )


class TestCovarianceSDE(TheoryContract):
    theories = (
        CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=0.3),
        CovarianceSDE(time=1 / 16, c_plus=1.5, c_minus=-1.5, rho0=-0.9),
        CovarianceSDE(time=4.0, c_plus=0.0, c_minus=-1.0, rho0=0.99, drift_factor=0.7),
        CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=1.0),
        CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=-1.0),
        CovarianceSDE(time=1.0, c_plus=1.0, c_minus=1.0, rho0=-1.0),
    )


class TestDriftCorrectedCovarianceSDE(TheoryContract):
    theories = (DriftCorrectedCovarianceSDE(time=1.0, c_plus=0.0, c_minus=-2.0, rho0=-0.3, width=64),)


class TestDriftlessCovarianceSDE(TheoryContract):
    theories = (DriftlessCovarianceSDE(time=1.0, rho0=0.3), DriftlessCovarianceSDE(time=0.1, rho0=-1.0))


class TestMatrixCovarianceSDE(TheoryContract):
    theories = (
        MatrixCovarianceSDE(time=0.5, c_plus=0.0, c_minus=-1.0, gram=PAIR, paths=4096),
        MatrixCovarianceSDE(time=0.5, c_plus=0.0, c_minus=-1.0, gram=((2.0,),), paths=4096),
    )


PARAMETERS = {
    InfiniteWidth: {"depth": 4, "width": 8},
    InfiniteWidthCLT: {"depth": 4, "width": 8},
    CovarianceSDE: {"time": 1.0, "c_plus": 0.0, "c_minus": -1.0, "rho0": 0.3},
    DriftCorrectedCovarianceSDE: {"time": 1.0, "c_plus": 0.0, "c_minus": -1.0, "rho0": 0.3, "width": 8},
    DriftlessCovarianceSDE: {"time": 1.0, "rho0": 0.3},
    MatrixCovarianceSDE: {"time": 1.0, "c_plus": 0.0, "c_minus": -1.0, "gram": PAIR},
}
BAD = {
    "time": (0.0, -1.0, math.inf, math.nan, 65.0),
    "rho0": (1.2, -1.2, math.nan),
    "c_plus": (math.inf, math.nan),
    "depth": (0, -3),
    "width": (0, -3),
    "rate": (math.nan,),
    "drift_factor": (-1.0,),
    "gram": (((1.0, 2.0), (2.0, 1.0)), ((1.0, 0.2), (0.3, 1.0)), ((0.0,),), ((1.0, 0.0),), ()),
    "steps": (-1,),
    "paths": (0,),
    "widths": ((4, 4, 4),),
}
FIELDS = {theory: set(theory.__dataclass_fields__) for theory in PARAMETERS}
CASES = [
    (theory, field, value) for theory in PARAMETERS for field, values in BAD.items() if field in FIELDS[theory]
    for value in values
]  # fmt: skip


@pytest.mark.parametrize(("theory", "field", "value"), CASES)
def test_bad_value_is_an_input_error_that_names_the_field(theory, field, value):
    arguments = PARAMETERS[theory] | {field: value}
    if field == "widths":
        arguments.pop("width")
    with pytest.raises(InputError, match=field):
        theory(**arguments)


def test_width_and_widths_exclude_each_other():
    for arguments in ({}, {"width": 4, "widths": (4, 4)}):
        with pytest.raises(InputError, match="width"):
            InfiniteWidth(depth=2, **arguments)


def test_slopes_that_are_both_zero_are_refused():
    with pytest.raises(InputError, match="slopes"):
        InfiniteWidth(depth=2, width=4, c_plus=-2.0, c_minus=-2.0)
    with pytest.raises(InputError, match="slopes"):
        DriftCorrectedCovarianceSDE(time=1.0, c_plus=-2.0, c_minus=-2.0, rho0=0.3, width=4)
