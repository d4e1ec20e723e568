"""The Gaussian expectations of each mean-field activation, by name: closed forms for tanh, erf and powers of ReLU."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, final

import numpy as np
from scipy import special

from limitbench.numerics.activation_kernel import Array, MeanFieldKernel, Scalar, Values, as_array
from limitbench.numerics.alpha_relu_kernel import alpha_relu_kernel, mean_constant, square_constant
from limitbench.numerics.erf_mixture import ErfMixture, tanh_mixture
from limitbench.numerics.mean_field_names import canonical_name

__all__ = ["ErfMixture", "MeanFieldKernel", "PowerOfRelu", "mean_field_kernel"]

#: Nodes of the Gauss rule of tanh: relative error 1e-13 in every kernel, from q = 1e-6 to 1e6 (8 give 4e-10).
_NODES = 12


@final
class PowerOfRelu(MeanFieldKernel):
    """phi(x) = max(x, 0)^a: V = c_a q^a, W = c_a (q q2)^(a/2) Jhat_a(c), E phi'^2 = a^2 c_{a-1} q^(a-1)."""

    odd = False

    def __init__(self, name: str, exponent: float) -> None:
        self.name, self.exponent, self._power = name, exponent, exponent
        self._kernel = alpha_relu_kernel(exponent)
        self._square, self._mean = square_constant(exponent), mean_constant(exponent)
        self._slope = exponent**2 * square_constant(exponent - 1.0)

    def square(self, q: Values) -> Array:
        """V(q)."""
        return as_array(self._square * np.asarray(q) ** self._power)

    def square_slope(self, q: Values) -> Array:
        """dV/dq."""
        return as_array(self._square * self._power * np.asarray(q) ** (self._power - 1.0))

    def slope_square(self, q: Values) -> Array:
        """E phi'(z)^2."""
        return as_array(self._slope * np.asarray(q) ** (self._power - 1.0))

    def slope_square_slope(self, q: Values) -> Array:
        """d/dq E phi'(z)^2."""
        return as_array(self._slope * (self._power - 1.0) * np.asarray(q) ** (self._power - 2.0))

    def mean(self, q: Values) -> Array:
        """E phi(z)."""
        return as_array(self._mean * np.asarray(q) ** (self._power / 2.0))

    def product(self, q: Values, q2: Values, lam: Values) -> Array:
        """W(q, q2, lam)."""
        size = np.sqrt(np.asarray(q) * np.asarray(q2))
        return as_array(self._square * size**self._power * self._kernel.normalised(np.clip(1.0 - lam / size, 0.0, 2.0)))

    def slope_product(self, q: float, lam: float) -> float:
        """E phi'(z) phi'(z')."""
        return float(self._square * q ** (self._power - 1.0) * self._kernel.slope(lam / q))

    def distance(self, q: Values, q2: Values, d: Values) -> Array:
        """E (phi(z) - phi(z'))^2, d = E (z - z')^2."""
        return as_array(self._distance(np.asarray(q), np.asarray(q2), np.asarray(d), np))

    def moment(self, phi: int, slope: int, q: Values, z: int = 0) -> Array:
        """E phi^`phi` phi'^`slope` (z^2/q)^(`z`/2)."""
        power = phi * self._power + slope * (self._power - 1.0)  # E max(g, 0)^r = c_{r/2}
        if power + z <= -1.0:
            return np.full_like(np.asarray(q, dtype=float), np.inf)
        constant = self._power**slope * square_constant((power + z) / 2.0)
        return as_array(constant * np.asarray(q) ** (power / 2.0))

    @property
    def scalar_square(self) -> Scalar:
        """`square` of a float."""
        return lambda q: float(self._square * q**self._power)

    @property
    def scalar_slope_square(self) -> Scalar:
        """`slope_square` of a float."""
        return lambda q: float(self._slope * q ** (self._power - 1.0))

    def scalar_mean(self, q: float) -> float:
        """`mean` of a float."""
        return float(self._mean * q ** (self._power / 2.0))

    def scalar_pair(self, q: float, q2: float, lam: float, d: float) -> tuple[float, float]:
        """W, and the squared distance over d."""
        size = math.sqrt(q * q2)
        complement = d / (2.0 * size) if q == q2 else 1.0 - lam / size
        product = self._square * size**self._power * self._kernel.normalised(min(max(complement, 0.0), 2.0), math)
        ratio = self.scalar_slope_square(q) if d <= 1e-280 * q else self._distance(q, q2, d, math) / d
        return float(product), float(ratio)

    def _distance(self, q: Any, q2: Any, d: Any, xp: Any) -> Any:
        root, root2 = xp.sqrt(q), xp.sqrt(q2)
        complement = (d - (root - root2) ** 2) / (2.0 * root * root2)
        complement = np.clip(complement, 0.0, 2.0) if xp is np else min(max(complement, 0.0), 2.0)
        lengths = (root**self._power - root2**self._power) ** 2
        return self._square * (lengths + 2.0 * (root * root2) ** self._power * self._kernel.gap(complement, xp))


@lru_cache(maxsize=64)
def mean_field_kernel(activation: str) -> MeanFieldKernel:
    """The kernel of `tanh`, `erf`, `relu` or `relu-A` (1/2 < A <= 1), cached; raises `InputError` for other names."""
    name, exponent = canonical_name(activation)
    if exponent is not None:
        return PowerOfRelu(name, exponent)
    if name == "erf":
        return ErfMixture("erf", np.array([0.5]), np.array([1.0]), special.erf, _erf_slope)
    return ErfMixture("tanh", *tanh_mixture(_NODES), np.tanh, _tanh_slope)


def _erf_slope(x: Array) -> Array:
    return as_array(2.0 / math.sqrt(math.pi) * np.exp(-x * x))


def _tanh_slope(x: Array) -> Array:
    return as_array(np.cosh(np.minimum(np.abs(x), 300.0)) ** -2.0)  # 1e-260 beyond: no overflow
