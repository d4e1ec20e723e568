"""The depth-dependent variance: with sw2 = kappa/L the gradient ratio converges to a function of kappa as L grows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import integrate

from limitbench.numerics.mean_field_kernels import mean_field_kernel
from limitbench.theories.mean_field import parameters
from limitbench.theories.mean_field.asymptotic_laws import saturating_law
from limitbench.theories.mean_field.recurrence import MeanField


@lru_cache(maxsize=1024)
def edge_integral(
    kappa: float,
    activation: str = "tanh",
    *,
    sigma_v2: float = 1.0,
    sigma_a2: float = 0.25,
    sigma_b2: float = 0.25,
) -> float:
    """I(kappa) = lim ln(chi_0/chi_L) at sw2 = kappa/L, full networks:

        I = int_0^1 kappa sv2 E phi'(Q)^2 dt,   Q = kappa P + sb2,   dP/dt = sv2 E phi(Q)^2 + sa2,   P(0) = 0.

    The collapse in sw2 L is exact as L -> inf, without any saturation. phi' must be square integrable at Q = sb2, so
    that relu-A needs sigma_b2 > 0. To 1e-9 relative. Cost: 5 ms, cached.

    Raises `InputError` where a value cannot be accepted.
    """
    kappa = parameters.variance("kappa", kappa, positive=True)
    kernel = mean_field_kernel(activation)
    free = kernel.exponent in (None, 1.0)
    sigma_b2 = parameters.variance("sigma_b2", sigma_b2, positive=not free)
    square, slope = kernel.scalar_square, kernel.scalar_slope_square

    def rates(_: float, y: np.ndarray) -> tuple[float, float]:
        q = max(kappa * y[0] + sigma_b2, 1e-300)
        return sigma_v2 * square(q) + sigma_a2, kappa * sigma_v2 * slope(q)

    found = integrate.solve_ivp(rates, (0.0, 1.0), (0.0, 0.0), method="DOP853", rtol=1e-11, atol=1e-13)
    return float(found.y[1, -1])


def edge_recurrence(
    kappa: float,
    depth: int,
    activation: str = "tanh",
    *,
    sigma_v2: float = 1.0,
    sigma_a2: float = 0.25,
    sigma_b2: float = 0.25,
    norm0: float = 1.0,
) -> float:
    """ln(chi_0/chi_L) of the recurrence at sw2 = kappa/L, L = `depth`: I(kappa) up to O(1/L)."""
    options = {"sigma_v2": sigma_v2, "sigma_a2": sigma_a2, "sigma_b2": sigma_b2}
    return MeanField("full", activation, sigma_w2=kappa / depth, **options).log_gradient_ratio(depth, norm0)


def edge_square_root(kappa: float, activation: str = "tanh", *, sigma_v2: float = 1.0, sigma_a2: float = 0.25) -> float:
    """A sqrt L, the leading law at fixed sw2, taken at sw2 = kappa/L: poor, since lengths never saturate there."""
    # A is proportional to sw, so that sw2 = kappa/L leaves A at sw2 = kappa
    return saturating_law(MeanField("full", activation, sigma_w2=kappa, sigma_v2=sigma_v2, sigma_a2=sigma_a2)).gain
