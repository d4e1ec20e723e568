"""The kernel of psi_a(x) = max(x, 0)^a: J_a(theta) = 2 pi E[psi_a(x) psi_a(y)] at correlation cos theta.

Two integrals give it, Cho and Saul's and one over the modified Bessel function K_0; a hypergeometric function gives it
fast, and 1 - J_a(theta)/J_a(0) without cancellation where the two inputs merge.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.polynomial import chebyshev
from scipy import special

from limitbench.errors import InputError

Values: TypeAlias = Float[np.ndarray, "..."] | float

#: Terms of a power series at 1/2 that reach 1e-17, and the degree that reaches 1e-15 on [0, 1/2].
_TERMS, _DEGREE = 64, 20


def square_constant(alpha: float) -> float:
    """c_a = E[psi_a(g)^2] for g ~ N(0, 1): 2^(a-1) Gamma(a + 1/2)/sqrt(pi), finite for a > -1/2."""
    return math.pow(2.0, alpha - 1.0) * math.gamma(alpha + 0.5) / math.sqrt(math.pi)


def mean_constant(alpha: float) -> float:
    """E[psi_a(g)] = c_{a/2} for g ~ N(0, 1)."""
    return square_constant(alpha / 2.0)


def cho_saul(alpha: float, cosine: complex, *, nearest: float) -> complex:
    """J_a = Gamma(a+1) sin^(2a+1) int_0^{pi/2} cos^a u du/(1 - cos th cos u)^(1+a), a > -1, arXiv 1712.08969.

    With cos u = 1/cosh x the integral is half of int (cosh x - cos th)^-(1+a) dx over the line, for which the
    trapezoid rule errs by exp(-2 pi th/h). A complex `cosine` gives the derivative by a complex step.

    Arguments:
        alpha: a.
        cosine: cos theta.
        nearest: theta or less, the distance of the integrand's pole.
    """
    step = 0.16 * min(nearest, 1.0)
    x = np.arange(math.ceil(40.0 / (1.0 + alpha) / step) + 1) * step
    values = (np.cosh(x) - cosine) ** -(1.0 + alpha)
    integral = step * (values.sum() - values[0] / 2.0)
    return complex(math.gamma(alpha + 1.0) * (1.0 - cosine * cosine) ** (alpha + 0.5) * integral)


def bessel(alpha: float, theta: float) -> float:
    """J_a = sin^(2a+1) int_0^inf z^a exp(z cos th) K_0(z) dz, a > -1: trapezoid rule in ln z, to 1e-13."""
    c = math.cos(theta)
    top = math.log(45.0 / (1.0 - c)) if c > 0 else math.log(45.0)
    t = np.arange(-45.0 / (1.0 + alpha), top, 0.05)
    z = np.exp(t)
    values = np.exp((1.0 + alpha) * t - z * (1.0 - c)) * special.kve(0, z)
    return float(math.sin(theta) ** (2.0 * alpha + 1.0) * 0.05 * values.sum())


class IdentityErrors(NamedTuple):
    """Relative errors of the four identities of J_a at one (a, theta)."""

    #: Cho and Saul's integral = the integral over K_0.
    two_forms: float
    #: dJ_a/d cos theta = a^2 J_{a-1}.
    derivative: float
    #: J_{a+1} = (2a+1) cos theta J_a + a^2 sin^2 theta J_{a-1}.
    three_terms: float
    #: J_a(pi/2) = 2^(a-1) Gamma((a+1)/2)^2, and J_0, J_1, J_2 at theta in closed form.
    special_values: float


def identity_errors(alpha: float, theta: float) -> IdentityErrors:
    """Errors of the four identities, each integral computed on its own: 1e-12 where a in [0.3, 2], theta in (0.2, 2.5).

    The derivative is that of Cho and Saul's integral by a complex step; J_{a-1} is the integral over K_0. Cost: 1 ms.

    Raises `InputError` unless alpha > 0 and 0 < theta < pi.
    """
    if not (math.isfinite(alpha) and alpha > 0):
        raise InputError("alpha", alpha, "a positive number")
    if not 0 < theta < math.pi:
        raise InputError("theta", theta, "an angle in (0, pi)")
    c, s, h = math.cos(theta), math.sin(theta), 1e-30
    angular = cho_saul(alpha, complex(c, h), nearest=theta)
    below, here, above = (bessel(a, theta) for a in (alpha - 1.0, alpha, alpha + 1.0))
    right_angle = 2.0 ** (alpha - 1.0) * math.gamma((alpha + 1.0) / 2.0) ** 2
    rest = math.pi - theta
    whole = (rest, s + rest * c, 3.0 * s * c + rest * (1.0 + 2.0 * c * c))
    return IdentityErrors(
        abs(angular.real / here - 1.0),
        abs(angular.imag / h / (alpha**2 * below) - 1.0),
        abs(((2.0 * alpha + 1.0) * c * here + alpha**2 * s * s * below) / above - 1.0),
        max(
            abs(bessel(alpha, math.pi / 2.0) / right_angle - 1.0),
            *(abs(bessel(float(a), theta) / value - 1.0) for a, value in enumerate(whole)),
        ),
    )


class AlphaReluKernel:
    """Jhat_a(c) = J_a/J_a(0) = E[psi_a(x) psi_a(y)]/c_a at correlation c, and 1 - Jhat_a, to 1e-13 each.

    With y = (1-c)/2 (Bessel form, Gradshteyn and Ryzhik 6.621.3, and the connection formulae of 2F1):

        Jhat_a     = k_+ (1-y)^(a+1/2) 2F1(1/2, 1/2; a+3/2; 1-y),
        1 - Jhat_a = 1 - 2F1(-a, -a; 1/2-a; y) - k (y(1-y))^(a+1/2) 2F1(a+1, a+1; a+3/2; y),

    the second taken for y <= 1/2; 2F1 from Chebyshev series on [0, 1/2]. Takes arrays, and floats with `xp=math`.

    Arguments:
        alpha: a in (1/2, 3/2); digits of `gap` are lost near both ends, one within 0.02.

    Raises `InputError` for other values.
    """

    def __init__(self, alpha: float) -> None:
        if not 0.5 < alpha < 1.5:  # at 3/2 the two series of `gap` merge
            raise InputError("alpha", alpha, "a number in (1/2, 3/2)")
        self.alpha = alpha
        a, root = alpha, math.sqrt(math.pi)
        self._power = a + 0.5
        size = 2.0 ** (a + 0.5) * root * math.gamma(a + 1) ** 2 / (math.sqrt(2.0) * math.gamma(a + 1.5))
        self._far = [size / (2 * math.pi * square_constant(a)) * v for v in _on_half(_series(0.5, 0.5, a + 1.5))]
        near = math.gamma(-a - 0.5) * math.gamma(a + 1) ** 2 / (math.pi * math.gamma(a + 0.5))
        self._odd = [near * v for v in _on_half(_series(a + 1, a + 1, a + 1.5))]
        self._even = _on_half(_series(-a, -a, 0.5 - a)[1:])

    def normalised(self, complement: Values, xp: Any = np) -> Values:
        """Jhat_a(c) for `complement` = 1 - c in [0, 2]."""
        y = complement / 2.0
        if xp is math:
            return self._at_far(y) if y > 0.5 else 1.0 - self._at_near(y)
        return np.where(y > 0.5, self._at_far(y), 1.0 - self._at_near(np.minimum(y, 0.5)))

    def gap(self, complement: Values, xp: Any = np) -> Values:
        """1 - Jhat_a(c) for `complement` = 1 - c in [0, 2]: relative accuracy kept as c -> 1."""
        y = complement / 2.0
        if xp is math:
            return 1.0 - self._at_far(y) if y > 0.5 else self._at_near(y)
        return np.where(y > 0.5, 1.0 - self._at_far(y), self._at_near(np.minimum(y, 0.5)))

    def slope(self, cosine: float) -> float:
        """dJhat_a/dc = a^2 J_{a-1}/J_a(0); a^2/(2a-1) at c = 1."""
        if cosine >= 1.0:
            return self.alpha**2 / (2.0 * self.alpha - 1.0)
        value = self.alpha**2 * bessel(self.alpha - 1.0, math.acos(cosine))
        return value / (2 * math.pi * square_constant(self.alpha))

    def _at_far(self, y: Values) -> Values:
        rest = 1.0 - y
        return rest**self._power * _horner(self._far, 4.0 * rest - 1.0)

    def _at_near(self, y: Values) -> Values:
        t = 4.0 * y - 1.0
        return -y * _horner(self._even, t) - (y * (1.0 - y)) ** self._power * _horner(self._odd, t)


@lru_cache(maxsize=64)
def alpha_relu_kernel(alpha: float) -> AlphaReluKernel:
    """The kernel of max(x, 0)^alpha, cached."""
    return AlphaReluKernel(alpha)


def _series(a: float, b: float, c: float) -> Float[np.ndarray, " terms"]:
    """Coefficients of 2F1(a, b; c; z)."""
    n = np.arange(_TERMS)
    return np.concatenate([[1.0], np.cumprod((a + n) * (b + n) / ((c + n) * (1.0 + n)))])


def _on_half(coefficients: Float[np.ndarray, " terms"]) -> list[float]:
    """A power series in y as a polynomial in t = 4y - 1 on [0, 1/2], highest power first."""
    values = chebyshev.chebinterpolate(
        lambda t: np.polynomial.polynomial.polyval((t + 1.0) / 4.0, coefficients), _DEGREE
    )
    return [float(v) for v in chebyshev.cheb2poly(values)[::-1]]


def _horner(coefficients: list[float], t: Values) -> Values:
    value: Values = 0.0
    for coefficient in coefficients:
        value = value * t + coefficient
    return value
