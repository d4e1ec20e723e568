"""A law known by its cdf on a grid, from a partial differential equation or a characteristic function.

The table is interpolated in the probit z = Φ^-1(F), which is nearly a straight line for the laws met here, so tails
keep relative accuracy; monotone cubics keep the cdf a cdf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr, ndtri

from limitbench.errors import InputError
from limitbench.statistics.base import Law, quantile_moments

#: Below this, a survival value got by subtraction is rounding noise.
FLOOR = 1e-15


@final
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Tabulated(Law):
    """The law with cdf values `probabilities` at the nodes `x`.

    Monotone piecewise cubics (PCHIP) of z = Φ^-1(F(x)) in x, and of x in z for the quantile, so quantile(cdf(x)) = x up
    to the interpolation error: below 1e-7 for a smooth law on 2000 nodes. A node with F = 0 or F = 1 next to the others
    is an end of the support, approached linearly in F; without one, z continues linearly beyond the table, as for a
    normal law.

    Arguments:
        x: nodes, strictly increasing, any spacing.
        probabilities: F at the nodes, within [0, 1] and non-decreasing, both up to `cdf_error`.
        mean, std: exact moments where known, else by quadrature of the quantile function.
        cdf_error: bound on the error of the tabulated cdf.
        survival: 1 - F at the nodes where the caller knows it without cancellation: keeps the upper tail.

    Raises `InputError` for values that are no cdf. Cost of a call: about 60 ns a point.
    """

    x: Float[np.ndarray, " nodes"]
    probabilities: Float[np.ndarray, " nodes"]

    def __init__(
        self,
        x: Any,
        probabilities: Any,
        mean: float | None = None,
        std: float | None = None,
        cdf_error: float = 1e-6,
        survival: Any = None,
    ) -> None:
        nodes, cdf = np.array(x, dtype=float), np.array(probabilities, dtype=float)
        tail = 1.0 - cdf if survival is None else np.array(survival, dtype=float)
        _check(nodes, cdf, tail, cdf_error)
        cdf, tail = np.maximum.accumulate(np.clip(cdf, 0, 1)), np.minimum.accumulate(np.clip(tail, 0, 1))
        inner = np.flatnonzero((cdf > 1e-300) & (tail > (FLOOR if survival is None else 1e-300)))
        z = np.maximum.accumulate(np.where(cdf < 0.5, ndtri(cdf), -ndtri(tail))[inner])
        # equal levels (a gap in the support) keep their first node: the generalised inverse
        rises = np.diff(z, prepend=-np.inf) > 1e-13
        if rises.sum() < 2:
            raise InputError("probabilities", f"{int(rises.sum())} usable levels", "at least two levels inside (0, 1)")
        below, above = inner[0] - 1, inner[-1] + 1
        nodes.setflags(write=False)
        cdf.setflags(write=False)
        levels, places = z[rises], nodes[inner][rises]
        fields: dict[str, object] = {
            "x": nodes,
            "probabilities": cdf,
            "cdf_error": float(cdf_error),
            "_probit": PchipInterpolator(nodes[inner], z, extrapolate=False),
            "_inverse": PchipInterpolator(levels, places, extrapolate=False),
            "_support": (nodes[below] if below >= 0 else None, nodes[above] if above < nodes.size else None),
            "_box": (nodes[inner[0]], nodes[inner[-1]], z[0], z[-1]),
            "_slopes": (
                (levels[1] - levels[0]) / (places[1] - places[0]),
                (levels[-1] - levels[-2]) / (places[-1] - places[-2]),
            ),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        moments = (mean, std) if mean is not None and std is not None else quantile_moments(self)
        object.__setattr__(self, "_mean", float(moments[0] if mean is None else mean))
        object.__setattr__(self, "_std", float(moments[1] if std is None else std))

    def __repr__(self) -> str:
        return f"Tabulated({self.x.size} nodes, mean {self.mean:.6g}, std {self.std:.6g})"

    @property
    def mean(self) -> float:
        """The mean: as given, or by quadrature of the quantile function."""
        return float(self.__dict__["_mean"])

    @property
    def std(self) -> float:
        """The standard deviation: as given, or by quadrature of the quantile function."""
        return float(self.__dict__["_std"])

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Φ(z(x)); beyond the table linear in F to a known end of the support, else linear in z."""
        at = np.atleast_1d(np.asarray(x, dtype=float))
        left, right, z_left, z_right = self.__dict__["_box"]
        (low, high), slopes = self.__dict__["_support"], self.__dict__["_slopes"]
        value = np.asarray(ndtr(self.__dict__["_probit"](np.clip(at, left, right))))
        under, over = at < left, at > right
        if under.any():
            if low is None:
                value[under] = ndtr(z_left + slopes[0] * (at[under] - left))
            else:
                value[under] = ndtr(z_left) * np.clip((at[under] - low) / (left - low), 0, 1)
        if over.any():
            if high is None:
                value[over] = ndtr(z_right + slopes[1] * (at[over] - right))
            else:
                value[over] = 1 - ndtr(-z_right) * np.clip((high - at[over]) / (high - right), 0, 1)
        return value.reshape(np.shape(x))

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """x(Φ^-1(u)), continued beyond the table as the cdf is."""
        level = np.atleast_1d(np.asarray(u, dtype=float))
        left, right, z_left, z_right = self.__dict__["_box"]
        (low, high), slopes = self.__dict__["_support"], self.__dict__["_slopes"]
        z = np.asarray(ndtri(level))
        value = np.asarray(self.__dict__["_inverse"](np.clip(z, z_left, z_right)))
        under, over = z < z_left, z > z_right
        if under.any():
            if low is None:
                value[under] = left + (z[under] - z_left) / slopes[0]
            else:
                value[under] = low + (left - low) * level[under] / ndtr(z_left)
        if over.any():
            if high is None:
                value[over] = right + (z[over] - z_right) / slopes[1]
            else:
                value[over] = high - (high - right) * np.clip((1 - level[over]) / ndtr(-z_right), 0, 1)
        return value.reshape(np.shape(u))


def _check(
    x: Float[np.ndarray, " nodes"],
    cdf: Float[np.ndarray, " nodes"],
    tail: Float[np.ndarray, " nodes"],
    cdf_error: float,
) -> None:
    slack = cdf_error + 1e-12
    if x.size < 2 or not np.isfinite(x).all() or (np.diff(x) <= 0).any():
        raise InputError("x", f"{x.size} nodes", "at least two finite, strictly increasing nodes")
    for name, values in (("probabilities", cdf), ("survival", 1 - tail)):
        if not np.isfinite(values).all() or values.min() < -slack or values.max() > 1 + slack:
            raise InputError(name, f"values from {values.min()} to {values.max()}", "values in [0, 1]")
        if (np.diff(values) < -slack).any():
            raise InputError(name, f"a step of {np.diff(values).min():.3g}", "a monotone table")
    if np.abs(1 - tail - cdf).max() > slack:
        raise InputError("survival", "values that do not add to 1 with probabilities", "1 - probabilities")
