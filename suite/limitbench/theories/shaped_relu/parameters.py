"""Checks that the shaped-ReLU theories share; each returns the value in its declared type."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from limitbench.errors import InputError
from limitbench.numerics.shaping import shaped_slopes, variance_normaliser

#: Longest time that the stochastic theories accept: depth 64 times the width.
LONGEST = 64.0


def number(field: str, value: object, lower: float = -math.inf, upper: float = math.inf) -> float:
    """`value` as a finite float in [lower, upper]; raises `InputError`."""
    accepted = "a finite number" if upper == math.inf else f"a number in [{lower:g}, {upper:g}]"
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(field, value, accepted)
    if not lower <= float(value) <= upper:
        raise InputError(field, value, accepted)
    return float(value)


def count(field: str, value: object) -> int:
    """`value` as a positive integer; raises `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(field, value, "a positive integer")
    return int(value)


def positive_time(value: object) -> float:
    """`value` as a time in (0, 64]; raises `InputError`."""
    time = number("time", value)
    if not 0 < time <= LONGEST:
        raise InputError("time", value, f"a number in (0, {LONGEST:g}]")
    return time


def hidden_widths(depth: int, width: object, widths: object) -> tuple[int, ...]:
    """Widths of the hidden layers from exactly one of `width` and `widths`; raises `InputError`."""
    if (width is None) == (widths is None):
        raise InputError("width", width, "exactly one of width (an integer) and widths (one integer a layer)")
    if widths is None:
        return (count("width", width),) * depth
    if not isinstance(widths, tuple | list) or len(widths) != depth:
        raise InputError("widths", widths, f"a tuple of depth = {depth} integers")
    return tuple(count("widths", n) for n in widths)


def declare(theory: Any) -> None:
    """Put the shaping, `rho0` if any, depth and widths of a frozen `theory` in their declared types.

    Raises `InputError` where one cannot be accepted, also where both slopes of a layer are 0.
    """
    for field in ("c_plus", "c_minus", "rate"):
        object.__setattr__(theory, field, number(field, getattr(theory, field)))
    if hasattr(theory, "rho0"):
        object.__setattr__(theory, "rho0", number("rho0", theory.rho0, -1, 1))
    object.__setattr__(theory, "depth", count("depth", theory.depth))
    units = hidden_widths(theory.depth, theory.width, theory.widths)
    object.__setattr__(theory, "widths", None if theory.widths is None else units)
    for n in set(units):
        layer_slopes(theory.c_plus, theory.c_minus, n, theory.rate)


def layer_slopes(c_plus: float, c_minus: float, width: int, rate: float) -> tuple[float, float]:
    """(s_+, s_-) at this width; raises `InputError` where both are 0, so that the layer passes nothing on."""
    slopes = shaped_slopes(c_plus, c_minus, width, rate)
    variance_normaliser(*slopes)
    return slopes
