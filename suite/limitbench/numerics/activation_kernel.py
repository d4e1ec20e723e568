"""What mean field sees of an activation: Gaussian expectations of one and of two inputs, with no cancellation.

An interface; `mean_field_kernels` has the implementations, by name of the activation.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

Array: TypeAlias = Float[np.ndarray, "..."]
Values: TypeAlias = Array | float
Scalar: TypeAlias = Callable[[float], float]


class MeanFieldKernel(abc.ABC):
    """The Gaussian expectations of one activation phi; z ~ N(0, q), z' ~ N(0, q2), covariance `lam`.

    Methods with arrays broadcast; `scalar_*` are the same functions of floats for recurrences, without numpy's cost.
    """

    #: Canonical name of the activation.
    name: str
    #: Whether phi(-x) = -phi(x).
    odd: bool
    #: a where phi(x) = max(x, 0)^a, else None.
    exponent: float | None

    @abc.abstractmethod
    def square(self, q: Values) -> Array:
        """V(q) = E phi(z)^2."""

    @abc.abstractmethod
    def square_slope(self, q: Values) -> Array:
        """dV/dq."""

    @abc.abstractmethod
    def slope_square(self, q: Values) -> Array:
        """E phi'(z)^2 (not dV/dq)."""

    @abc.abstractmethod
    def slope_square_slope(self, q: Values) -> Array:
        """d/dq E phi'(z)^2."""

    @abc.abstractmethod
    def mean(self, q: Values) -> Array:
        """E phi(z)."""

    @abc.abstractmethod
    def product(self, q: Values, q2: Values, lam: Values) -> Array:
        """W(q, q2, lam) = E phi(z) phi(z')."""

    @abc.abstractmethod
    def slope_product(self, q: float, lam: float) -> float:
        """E phi'(z) phi'(z') = dW/d lam for two inputs of one variance."""

    @abc.abstractmethod
    def distance(self, q: Values, q2: Values, d: Values) -> Array:
        """E (phi(z) - phi(z'))^2 for d = E (z - z')^2, without cancellation as d -> 0."""

    @abc.abstractmethod
    def moment(self, phi: int, slope: int, q: Values, z: int = 0) -> Array:
        """E phi(z)^`phi` phi'(z)^`slope` (z^2/q)^(`z`/2), even `slope` and `z`; inf where it is infinite."""

    @property
    @abc.abstractmethod
    def scalar_square(self) -> Scalar:
        """`square` of a float."""

    @property
    @abc.abstractmethod
    def scalar_slope_square(self) -> Scalar:
        """`slope_square` of a float."""

    @abc.abstractmethod
    def scalar_mean(self, q: float) -> float:
        """`mean` of a float."""

    @abc.abstractmethod
    def scalar_pair(self, q: float, q2: float, lam: float, d: float) -> tuple[float, float]:
        """W(q, q2, lam), and E (phi(z) - phi(z'))^2/d, its limit where d = 0."""


def as_array(values: Any) -> Array:
    """`values` as a float64 array."""
    return np.asarray(values, dtype=float)
