"""The asymptotic laws of the recurrences as depth grows, with their constants, by class of activation and network.

A law that holds only up to an unknown factor is not given; where the unknown factor cancels, as in chi_l/chi_L, it is.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

from scipy import optimize

from limitbench.errors import InputError
from limitbench.numerics.alpha_relu_kernel import alpha_relu_kernel, square_constant
from limitbench.theories.mean_field.recurrence import MeanField

#: D1 = (2 pi)^-1/2 int (1 - phi^2) and D2 = (2 pi)^-1/2 int phi'^2.
_TURN = {
    "tanh": (math.sqrt(2.0 / math.pi), math.sqrt(2.0 / math.pi) * 2.0 / 3.0),
    "erf": (2.0 / math.pi, 2.0 / math.pi),
}
#: 1 - Jhat_1(1 - x) = x - 2 U x^(3/2) + ...
_RELU_CURVATURE = math.sqrt(2.0) / (3.0 * math.pi)


class AsymptoticLaw(abc.ABC):
    """What is known as depth grows; None where nothing is known beyond an unknown factor, or too early a layer."""

    @abc.abstractmethod
    def log_length(self, layer: int) -> float | None:
        """ln p_l."""

    @abc.abstractmethod
    def log_gain(self, layer: int, depth: int) -> float | None:
        """ln(chi_l/chi_L)."""

    @abc.abstractmethod
    def gap(self, layer: int) -> float | None:
        """1 - e_l of two inputs of one length that are neither equal nor opposite."""


@final
@dataclass(frozen=True)
class SaturatingLaw(AsymptoticLaw):
    """tanh and erf with skips, b = sv2 + sa2 (arXiv 1712.08969; constants derived, not the paper's print):

        p_l = b l - C sqrt l + O(ln l),                     C = 2 sv2 D1/(sw sqrt b),
        ln(chi_0/chi_l) = A sqrt l + B ln l + O(1),         A = 2 D2 sv2 sw/sqrt b,
                                                            B = sv2^2 (D1 D2/b^2 - D2^2 sw2/(2b)),
        e_l -> e*, the root in [0, 1) of b e = sv2 (2/pi) asin e + sa2 (0 where sa2 = 0),
        e_l - e* = F l^-1/2 + const l^-delta,               delta = 1 - (2/pi)(sv2/b)/sqrt(1 - e*^2).

    F = e* sv2 D1/(b sw sqrt b (delta - 1/2)) is negative, forced by 1 - V ~ D1 q^-1/2.
    """

    speed: float
    length_correction: float
    gain: float
    gain_correction: float
    limit_cosine: float
    decay: float
    forced: float

    def log_length(self, layer: int) -> float | None:
        """ln p_l."""
        length = self.speed * layer - self.length_correction * math.sqrt(layer)
        return math.log(length) if length > 0 else None

    def log_gain(self, layer: int, depth: int) -> float | None:
        """ln(chi_l/chi_L)."""
        if layer < 1:
            return 0.0 if layer == depth else None
        return self.gain * (math.sqrt(depth) - math.sqrt(layer)) + self.gain_correction * math.log(depth / layer)

    def gap(self, layer: int) -> float | None:
        """1 - e_l."""
        return 1.0 - self.limit_cosine


@final
@dataclass(frozen=True)
class PowerLaw(AsymptoticLaw):
    """Full networks with max(x, 0)^a, 1/2 < a < 1: p_l ~ K l^(1/(1-a)), chi_0/chi_l = Theta(l^R), e_l -> e*(a).

    K = (sv2 sw^(2a) c_a (1-a))^(1/(1-a)), R = a^2/((1-a)(2a-1)), e* the fixed point of Jhat_a below 1 and
    |e_l - e*| = Theta(l^-mu), mu = (1 - Jhat_a'(e*))/(1-a). For a <= 3/4 chi of a finite network does not
    self-average, since E phi'^4 is infinite.
    """

    prefactor: float
    length_exponent: float
    gain_exponent: float
    limit_cosine: float
    decay: float

    def log_length(self, layer: int) -> float | None:
        """ln p_l."""
        return math.log(self.prefactor) + self.length_exponent * math.log(layer) if layer > 0 else None

    def log_gain(self, layer: int, depth: int) -> float | None:
        """ln(chi_l/chi_L)."""
        if layer < 1:
            return 0.0 if layer == depth else None
        return self.gain_exponent * math.log(depth / layer)

    def gap(self, layer: int) -> float | None:
        """1 - e_l."""
        return 1.0 - self.limit_cosine


@final
@dataclass(frozen=True)
class ReluLaw(AsymptoticLaw):
    """Full ReLU networks: p_l ~ P Bc^l, chi_l/chi_L = Bc^(L-l) exactly, 1 - e_l ~ (sv2 sw2 U l/(2 Bc))^-2.

    Bc = 1 + sv2 sw2/2, P = p_0 + (sv2 sb2/2 + sa2)/(Bc - 1), U = sqrt2/(3 pi). Reduced ones share the law of chi; their
    lengths grow faster, by the mean, up to an unknown factor.
    """

    growth: float
    prefactor: float | None
    closing: float | None

    def log_length(self, layer: int) -> float | None:
        """ln p_l."""
        return None if self.prefactor is None else math.log(self.prefactor) + layer * math.log(self.growth)

    def log_gain(self, layer: int, depth: int) -> float | None:
        """ln(chi_l/chi_L)."""
        return (depth - layer) * math.log(self.growth)

    def gap(self, layer: int) -> float | None:
        """1 - e_l."""
        if self.closing is None or self.closing * layer <= 1.0:  # the law has not begun
            return None
        return (self.closing * layer) ** -2


@final
@dataclass(frozen=True)
class PlainLaw(AsymptoticLaw):
    """Plain networks: fixed points, reached exponentially; rates are logarithms a layer.

    Attributes:
        preactivation: q* = sw2 V(q*) + sb2.
        correlation: c* of the pre-activations, 1 where sw2 E phi'^2 <= 1.
        length, cosine: p* = V(q*) and e* = W/V of the features.
        gradient_rate: ln chi_1 = ln(sw2 E phi'(h)^2): chi_l ~ exp((L - l) gradient_rate).
        length_rate: ln(sw2 dV/dq): q_l - q* ~ exp(l length_rate).
        cosine_rate: ln(sw2 E phi'(h) phi'(h')): c_l - c* ~ exp(l cosine_rate).
    """

    preactivation: float
    correlation: float
    length: float
    cosine: float
    gradient_rate: float
    length_rate: float
    cosine_rate: float

    def log_length(self, layer: int) -> float | None:
        """ln p_l."""
        return math.log(self.length)

    def log_gain(self, layer: int, depth: int) -> float | None:
        """ln(chi_l/chi_L)."""
        return (depth - layer) * self.gradient_rate

    def gap(self, layer: int) -> float | None:
        """1 - e_l."""
        return 1.0 - self.cosine


@lru_cache(maxsize=1024)
def asymptotic_law(field: MeanField, norm0: float = 1.0) -> AsymptoticLaw | None:
    """The law of `field`; None where there is none: reduced networks with powers of ReLU, plain ones that diverge."""
    exponent = field.kernel.exponent
    if field.network == "plain":
        return plain_law(field)
    if exponent is None:
        return saturating_law(field)
    if exponent == 1.0:
        return relu_law(field, norm0)
    return power_law(field) if field.network == "full" else None


def saturating_law(field: MeanField) -> SaturatingLaw:
    """`SaturatingLaw` of tanh and erf, full or reduced; raises `InputError` for others."""
    if field.activation not in _TURN or field.network == "plain":
        raise InputError("activation, network", (field.activation, field.network), "tanh or erf, full or reduced")
    (d1, d2), sv2, sw = _TURN[field.activation], field.sigma_v2, math.sqrt(field.sigma_w2)
    b = sv2 + field.sigma_a2
    angle = _limit_angle(sv2, field.sigma_a2)
    cosine = math.cos(angle) if field.sigma_a2 else 0.0
    decay = 1.0 - 2.0 / math.pi * sv2 / b / math.sin(angle)
    return SaturatingLaw(
        speed=b,
        length_correction=2.0 * sv2 * d1 / (sw * math.sqrt(b)),
        gain=2.0 * d2 * sv2 * sw / math.sqrt(b),
        gain_correction=sv2**2 * (d1 * d2 / b**2 - d2**2 * sw**2 / (2.0 * b)),
        limit_cosine=cosine,
        decay=decay,
        forced=cosine * sv2 * d1 / (b * sw * math.sqrt(b) * (decay - 0.5)),
    )


def power_law(field: MeanField) -> PowerLaw:
    """`PowerLaw` of full networks with max(x, 0)^a, 1/2 < a < 1; raises `InputError` for others."""
    a = field.kernel.exponent
    if a is None or a == 1.0 or field.network != "full":
        raise InputError("activation, network", (field.activation, field.network), "relu-A with A < 1, full")
    speed = field.sigma_v2 * field.sigma_w2**a * square_constant(a) * (1.0 - a)
    cosine = power_limit_cosine(a)
    return PowerLaw(
        prefactor=speed ** (1.0 / (1.0 - a)),
        length_exponent=1.0 / (1.0 - a),
        gain_exponent=a * a / ((1.0 - a) * (2.0 * a - 1.0)),
        limit_cosine=cosine,
        decay=(1.0 - alpha_relu_kernel(a).slope(cosine)) / (1.0 - a),
    )


@lru_cache(maxsize=256)
def power_limit_cosine(alpha: float) -> float:
    """e* < 1 with Jhat_a(e*) = e*: where 1 - Jhat_a = 1 - e, solved in ln(1 - e)."""
    kernel = alpha_relu_kernel(alpha)

    def excess(log_gap: float) -> float:
        gap = math.exp(log_gap)
        return float(kernel.gap(gap, math)) / gap - 1.0

    return 1.0 - math.exp(optimize.brentq(excess, math.log(1e-14), 0.0, xtol=1e-13))


def relu_law(field: MeanField, norm0: float = 1.0) -> ReluLaw:
    """`ReluLaw` of full or reduced networks with relu; raises `InputError` for others."""
    if field.kernel.exponent != 1.0 or field.network == "plain":
        raise InputError("activation, network", (field.activation, field.network), "relu, full or reduced")
    excess = field.sigma_v2 * field.sigma_w2 / 2.0
    if field.network == "reduced":
        return ReluLaw(1.0 + excess, None, None)
    source = (field.sigma_v2 * field.sigma_b2 / 2.0 + field.sigma_a2) / excess
    return ReluLaw(1.0 + excess, norm0 + source, excess / (1.0 + excess) * _RELU_CURVATURE)


def plain_law(field: MeanField) -> PlainLaw | None:
    """`PlainLaw` of plain networks; None where lengths grow without bound or shrink to 0."""
    kernel, sw2, sb2 = field.kernel, field.sigma_w2, field.sigma_b2
    square = kernel.scalar_square

    def growth(log_q: float) -> float:
        q = math.exp(log_q)
        return (sw2 * square(q) + sb2) / q - 1.0

    low, high = math.log(1e-14), math.log(1e14)
    if growth(low) <= 0 or growth(high) >= 0:
        return None
    q = math.exp(optimize.brentq(growth, low, high, xtol=1e-14))
    length = square(q)
    slope = sw2 * kernel.scalar_slope_square(q)
    correlation = 1.0
    if slope > 1.0:

        def shift(c: float) -> float:
            return (sw2 * kernel.scalar_pair(q, q, c * q, 2.0 * q * (1.0 - c))[0] + sb2) / q - c

        top = 1.0 - 1e-6
        while shift(top) >= 0 and top < 1.0 - 1e-15:
            top = 1.0 - (1.0 - top) / 10.0
        correlation = optimize.brentq(shift, 0.0, top, xtol=1e-15) if shift(0.0) > 0 else 0.0
    return PlainLaw(
        q,
        correlation,
        length,
        (correlation * q - sb2) / (q - sb2),
        math.log(slope),
        math.log(sw2 * float(kernel.square_slope(q))),
        math.log(sw2 * float(kernel.slope_product(q, correlation * q))),
    )


def _limit_angle(sv2: float, sa2: float) -> float:
    """u = acos e* in (0, pi/2]: sin^2(u/2)/u = sv2/(pi b), which is b e = sv2 (2/pi) asin e + sa2; u = 0 is e = 1."""
    if sa2 == 0.0:
        return math.pi / 2.0
    share = sv2 / (math.pi * (sv2 + sa2))
    return float(optimize.brentq(lambda u: math.sin(u / 2.0) ** 2 / u - share, 1e-12, math.pi / 2.0, xtol=1e-15))
