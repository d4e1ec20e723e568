"""The infinite-width recursion of the gap 1 - rho and, along it, its first Gaussian fluctuation at finite width."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from limitbench.numerics.shaping import log_gap_variance, log_norm_variance, next_gap, next_gap_slope
from limitbench.theories.shaped_relu.parameters import layer_slopes


class Propagated(NamedTuple):
    """State after the last layer.

    Attributes:
        gap: 1 - rho_d of the deterministic recursion.
        log_gap_variance: leading variance of ln(1 - rho_d); 0 where the gap is 0.
        log_norm_variance: leading variance of ln V_d/V_0.
    """

    gap: float
    log_gap_variance: float
    log_norm_variance: float


@lru_cache(maxsize=1024)
def propagate(
    widths: tuple[int, ...], c_plus: float, c_minus: float, rate: float, rho0: float, fluctuation: bool = False
) -> Propagated:
    """Iterate g' = f(g) and, with `fluctuation`, its linearised noise through the layers.

    The relative variance r of the gap obeys r' = (f'(g) g/g')^2 r + v(g)/n with n v(g) = Var of the log of one layer's
    gap given the gap before it (`shaping.log_gap_variance`), so nothing cancels where the gap is tiny. Cost: about
    40 microseconds a layer, 200 with `fluctuation`.
    """
    gap, relative, norm = 1 - rho0, 0.0, 0.0
    for n in widths:
        slopes = layer_slopes(c_plus, c_minus, n, rate)
        after = float(next_gap(gap, *slopes))
        if fluctuation:
            norm += log_norm_variance(*slopes) / n
            if after > 0:
                carried = float(next_gap_slope(gap, *slopes)) * gap / after
                relative = carried**2 * relative + log_gap_variance(gap, *slopes) / n
            else:
                relative = 0.0
        gap = after
    return Propagated(gap, relative, norm)
