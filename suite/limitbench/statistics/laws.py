"""Laws: the probability law of one observable, by its cdf and quantile function.

A law is closed form, tabulated (from a partial differential equation or a characteristic function), empirical (from
simulated paths) or a point mass. Scores use `cdf` and `quantile`, never a stored table.
"""

from __future__ import annotations

import abc

import numpy as np
from jaxtyping import Float


class Law(abc.ABC):
    """The probability law of one observable.

    `cdf` and `quantile` are vectorised over any shape, float64 in and out; `quantile` is the generalised inverse of
    `cdf` on (0, 1).
    """

    #: True for a deterministic prediction: all mass at one point.
    is_point_mass: bool = False
    #: Number of draws behind an estimated law (then tests are two-sample tests), None for an exact one.
    reference_size: int | None = None
    #: Bound on the error of `cdf`; 0 for closed forms.
    cdf_error: float = 0.0

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """Mean; NaN where it does not exist."""

    @property
    @abc.abstractmethod
    def std(self) -> float:
        """Standard deviation; NaN where it does not exist."""

    @abc.abstractmethod
    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """P(X <= x)."""

    @abc.abstractmethod
    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """The generalised inverse of the cdf at levels u in (0, 1)."""

    def sample(self, n: int, *, seed: int = 0) -> Float[np.ndarray, " n"]:
        """`n` independent draws by inversion; the same seed gives the same draws."""
        u = np.random.Generator(np.random.SFC64(seed)).random(n)
        return self.quantile(np.clip(u, np.finfo(float).tiny, 1 - np.finfo(float).epsneg))
