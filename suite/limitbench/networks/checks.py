"""Checks of a network's parameters; each returns the value in its declared type or names the field that is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from limitbench.errors import InputError


def whole(field: str, value: object, lower: int = 1) -> int:
    """`value` as an integer of at least `lower`; raises `InputError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < lower:
        raise InputError(field, value, f"an integer of at least {lower}")
    return int(value)


def number(field: str, value: object, lower: float = -math.inf, upper: float = math.inf) -> float:
    """`value` as a finite float in [lower, upper]; raises `InputError`."""
    accepted = "a finite number"
    if lower > -math.inf:
        accepted = f"a number of at least {lower:g}" if upper == math.inf else f"a number in [{lower:g}, {upper:g}]"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(field, value, accepted)
    converted = float(value)
    if not (math.isfinite(converted) and lower <= converted <= upper):
        raise InputError(field, value, accepted)
    return converted + 0.0  # -0.0 and 0.0 are the same parameter and must give the same seed


def layer_widths(depth: int, width: object, widths: object, lower: int = 1) -> tuple[int, ...]:
    """Widths of the `depth` hidden layers from either one `width` or a sequence `widths`; raises `InputError`."""
    if (width is None) == (widths is None):
        given = "neither" if width is None else "both"
        raise InputError("width", given, "exactly one of width (an integer) and widths (one integer a layer)")
    if widths is None:
        return (whole("width", width, lower),) * depth
    if isinstance(widths, str) or not isinstance(widths, Sequence | np.ndarray) or len(widths) != depth:
        raise InputError("widths", widths, f"a sequence of depth = {depth} integers")
    return tuple(whole("widths", n, lower) for n in widths)


def gram_matrix(gram: object) -> tuple[tuple[float, ...], ...]:
    """`gram` as nested tuples: symmetric, positive semi-definite, positive diagonal; raises `InputError`."""
    accepted = "a symmetric positive semi-definite m x m matrix with positive diagonal"
    try:
        matrix = np.array(gram, dtype=float)
    except (TypeError, ValueError):
        raise InputError("gram", gram, accepted) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size or not np.isfinite(matrix).all():
        raise InputError("gram", gram, accepted)
    scale = np.sqrt(np.abs(np.diag(matrix)))
    if not (np.diag(matrix) > 0).all() or (np.abs(matrix - matrix.T) > 1e-12 * np.outer(scale, scale)).any():
        raise InputError("gram", gram, accepted)
    correlations = matrix / np.outer(scale, scale)
    if np.linalg.eigvalsh((correlations + correlations.T) / 2)[0] < -1e-10 * len(matrix):
        raise InputError("gram", gram, accepted)
    return tuple(tuple(float(v) + 0.0 for v in row) for row in matrix)


def width_parameter(widths: tuple[int, ...]) -> dict[str, object]:
    """How widths enter a seed: one `width` where all are equal, so that the depth stays out of it."""
    return {"width": widths[0]} if len(set(widths)) == 1 else {"widths": list(widths)}


def power_of_two_below(value: int) -> int:
    """The largest power of two up to `value`, at least 1."""
    return 1 << max(value.bit_length() - 1, 0)
