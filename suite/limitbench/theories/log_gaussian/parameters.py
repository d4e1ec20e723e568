"""Checks that the log-Gaussian theories share; each returns the value in its declared type."""

from __future__ import annotations

import math
from numbers import Integral, Real

from limitbench.errors import InputError


def count(field: str, value: object) -> int:
    """`value` as a positive integer; raises `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(field, value, "a positive integer")
    return int(value)


def number(field: str, value: object, accepted: str, *, positive: bool = False) -> float:
    """`value` as a finite float, above 0 if `positive`; raises `InputError` that says what is `accepted`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(field, value, accepted)
    if positive and value <= 0:
        raise InputError(field, value, accepted)
    return float(value)


def time(value: object) -> float:
    """`value` as a time d/n; raises `InputError`."""
    return number("time", value, "a positive finite number", positive=True)


def residual_weight(value: object) -> float:
    """`value` as the skip's share alpha^2/(alpha^2 + lambda^2); raises `InputError`."""
    weight = number("residual_weight", value, "a number in [0, 1)")
    if not 0 <= weight < 1:
        raise InputError("residual_weight", value, "a number in [0, 1)")
    return weight


def truth(field: str, value: object) -> bool:
    """`value` as it is if it is True or False; raises `InputError`."""
    if not isinstance(value, bool):
        raise InputError(field, value, "True or False")
    return value
