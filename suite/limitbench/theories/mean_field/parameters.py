"""Checks that the mean-field theories share; each returns the value in its declared type."""

from __future__ import annotations

import math
from numbers import Integral, Real

from limitbench.errors import InputError


def count(field: str, value: object) -> int:
    """`value` as a positive integer; raises `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(field, value, "a positive integer")
    return int(value)


def variance(field: str, value: object, *, positive: bool = False) -> float:
    """`value` as a finite float of at least 0, above 0 if `positive`; raises `InputError`."""
    accepted = "a positive finite number" if positive else "a finite number of at least 0"
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(field, value, accepted)
    if value < 0 or (positive and value == 0):
        raise InputError(field, value, accepted)
    return float(value)


def cosine(field: str, value: object) -> float:
    """`value` as a float in [-1, 1]; raises `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not -1.0 <= float(value) <= 1.0:
        raise InputError(field, value, "a number in [-1, 1]")
    return float(value)
