"""Words of captions about measured points: each says what the numbers are, whatever they turn out to be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from limitbench.studies.evidence import STANDARD_ERRORS
from limitbench.studies.figures import Series


def plus_minus(value: float, se: float, digits: int = 3) -> str:
    """`0.171 ± 0.020`."""
    return f"{value:.{digits}f} ± {se:.{digits}f}"


def last_point(points: Series, digits: int = 3) -> str:
    """The last point of a series of networks with its standard error."""
    return plus_minus(float(points.y[-1]), math.nan if points.se is None else float(points.se[-1]), digits)


def furthest(points: Series, expected: Float[np.ndarray, " points"] | float) -> float:
    """The largest distance of points from what is expected of them, in standard errors; NaN without a point."""
    if points.se is None:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(points.y - expected) / points.se
    off = off[np.isfinite(off)]
    return float(off.max()) if off.size else math.nan


def apart(off: float) -> str:
    """`at most 2.1 standard errors from`, and plainly where that is too far to be noise."""
    return (
        f"at most {off:.1f} standard errors from" if off <= STANDARD_ERRORS else f"up to {off:.1f} standard errors off"
    )


def differ(a: tuple[float, float], b: tuple[float, float]) -> str:
    """How far two independent measurements are from each other."""
    error = math.hypot(a[1], b[1])
    off = abs(a[0] - b[0]) / error if error > 0 else math.inf if a[0] != b[0] else 0.0
    return f"{off:.1f} standard errors apart"


def moves(points: Series, digits: int = 3) -> str:
    """`falls from 0.515 to 0.450`; `stays` where both ends are within errors of each other."""
    first, end = float(points.y[0]), float(points.y[-1])
    if len(points.y) < 2:
        return f"is {first:.{digits}f}"
    error = math.nan if points.se is None else math.hypot(float(points.se[0]), float(points.se[-1]))
    if abs(end - first) <= STANDARD_ERRORS * error:
        return f"goes from {first:.{digits}f} to {end:.{digits}f}, within errors the same"
    return f"{'falls' if end < first else 'rises'} from {first:.{digits}f} to {end:.{digits}f}"


def sign_of(value: float, se: float, *, positive: str, negative: str, neither: str) -> str:
    """The word for a number's sign, `neither` where it is not clear of its error."""
    if not abs(value) > STANDARD_ERRORS * se:
        return neither
    return positive if value > 0 else negative


def each(parts: Sequence[str], none: str) -> str:
    """The parts with semicolons, `none` where there are none."""
    return "; ".join(parts) or none
