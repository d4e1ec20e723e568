"""What every tracked error passes through before asv sees it."""

from __future__ import annotations

import math


def error(value: float) -> float:
    """`value`, floored at 1e-12, since asv compares ratios and rounding alone would change anything smaller.

    Raises ValueError where it is not finite: asv shows NaN as no result, and its publish hangs on infinity.
    """
    if not math.isfinite(value):
        raise ValueError(f"the tracked error is {value}")
    return max(float(value), 1e-12)
