"""The drift of the covariance of smooth shaped networks (arXiv 2206.02768), as a flow that stays a covariance.

b^{ab} = a^-2 [phi''^2/4 (V^{aa} V^{bb} + V^{ab} (2 V^{ab} - 3)) + phi'''/2 V^{ab} (V^{aa} + V^{bb} - 2)]. In the
variances and the correlations,

    dV/dt = beta V (V - 1),    d rho/dt = k [g (1 + 2 rho^2) - 3 m rho],    beta = (3/4 phi''^2 + phi''')/a^2,
    k = phi''^2/(4 a^2),    m = (V^{aa} + V^{bb})/2,    g = sqrt(V^{aa} V^{bb}):

phi''' has dropped out of the correlation, and both equations are solved in closed form while the other stands still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.numerics.bartlett_euler import cholesky_factors

#: Growth that stands for any larger one, and variances that move no correlation, both inside the float range.
_LARGEST_EXPONENT, _SMALLEST = 700.0, 1e-150

Number = float | Float[np.ndarray, "*shape"]


def norm_after(time: float, beta: float, norm: Number) -> Number:
    """V' = beta V (V - 1): V_t = 1/(1 + (1/V_0 - 1) e^{beta t}), inf from the blow-up on."""
    with np.errstate(divide="ignore"):
        inverse = 1.0 + (1.0 / np.asarray(norm, dtype=float) - 1.0) * math.exp(min(beta * time, _LARGEST_EXPONENT))
        return np.where(inverse > 0, 1.0 / np.maximum(inverse, 0.0), np.inf)


def correlation_after(time: float, k: float, mean: Number, geometric: Number, rho: Number) -> Number:
    """rho' = k [g (1 + 2 rho^2) - 3 m rho] with fixed m >= g > 0: (rho - r_-)/(r_+ - rho) shrinks exponentially.

    r_pm = (3 m pm sqrt(9 m^2 - 8 g^2))/(4 g) are the roots, r_- the attractor: 1/2 and 1 for equal variances.
    """
    mean, geometric = (np.maximum(value, _SMALLEST) for value in (mean, geometric))
    root = np.sqrt(9 * mean**2 - 8 * geometric**2)
    above = (3 * mean + root) / (4 * geometric)
    below = 1 / (2 * above)  # the roots multiply to 1/2
    far, near = above - rho, (rho - below) * np.exp(-k * time * root)
    return np.asarray((below * far + above * near) / (far + near))


@dataclass(frozen=True)
class SmoothFlow:
    """The drift's flow on factors C of V = C C', for `bartlett_euler.covariance_paths`; second order in the step.

    Half a step of the variances, a step of the correlations, half a step of the variances, each exact. An input whose
    V exceeds `threshold` has exploded: its row becomes NaN.

    Arguments:
        second, third: phi''(0), phi'''(0).
        scale: a.
        threshold: V beyond which an input has exploded.
    """

    second: float
    third: float
    scale: float
    threshold: float = 1e4

    def __call__(self, factor: Float[np.ndarray, "inputs inputs paths"], h: float) -> None:
        """Move `factor` in place over the time h."""
        beta = (0.75 * self.second**2 + self.third) / self.scale**2
        k = self.second**2 / (4 * self.scale**2)
        before = np.einsum("ikn,ikn->in", factor, factor)
        middle, after = (norm_after(part * h, beta, before) for part in (0.5, 1.0))
        after = np.where((before > self.threshold) | (after > self.threshold), np.nan, after)
        if k > 0 and len(factor) > 1:
            middle = np.where(np.isnan(after), np.nan, middle)
            factor /= np.sqrt(before)[:, None]
            v = np.ones_like(factor)
            for a in range(len(factor)):
                for b in range(a):
                    rho = np.clip(np.einsum("kn,kn->n", factor[a], factor[b]), -1, 1)
                    mean, geometric = (middle[a] + middle[b]) / 2, np.sqrt(middle[a] * middle[b])
                    v[a, b] = v[b, a] = np.clip(correlation_after(h, k, mean, geometric, rho), -1, 1)
            factor[...] = cholesky_factors(v) * np.sqrt(after)[:, None]
        else:
            factor *= np.sqrt(after / before)[:, None]
