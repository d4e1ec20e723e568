"""What an elementwise function is, known from its values: slopes, a scaled tanh or erf, or a function by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

Array = Float[np.ndarray, "*shape"]

#: Arguments at which functions are compared, and the relative difference that still is the same function.
_GRID = np.concatenate([-np.geomspace(8, 1e-3, 60), np.geomspace(1e-3, 8, 60)])
_SAME = 1e-5
_NAMED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "erf": torch.erf,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
    "sigmoid": torch.sigmoid,
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "mish": torch.nn.functional.mish,
}
#: Named functions that keep their shape under scaling of argument and value.
_SCALED = ("tanh", "erf")


@dataclass(frozen=True, eq=False)
class Function:
    """phi, an elementwise function.

    Attributes:
        name: `linear`, `relu`, `leaky relu`, `tanh`, ... or the module's own words.
        evaluate: phi on an array.
        slopes: (s_+, s_-) where phi(x) = s_+ max(x, 0) + s_- min(x, 0), else None.
        inner, outer: phi(x) = outer f(inner x) for the tanh or erf f called `name`; 1 for the others.
    """

    name: str
    evaluate: Callable[[Array], Array] = field(repr=False)
    slopes: tuple[float, float] | None = None
    inner: float = 1.0
    outer: float = 1.0

    @property
    def linear(self) -> bool:
        """Whether phi(x) = s x."""
        return self.slopes is not None and self.slopes[0] == self.slopes[1]

    @property
    def words(self) -> str:
        """The name, with slopes where they are not those of the name."""
        if self.slopes is not None and self.name in ("leaky relu", "piecewise linear"):
            return f"{self.name} with slopes {self.slopes[0]:.4g} and {self.slopes[1]:.4g}"
        if (self.inner, self.outer) != (1.0, 1.0):
            return f"{self.outer:.4g} {self.name}({self.inner:.4g} x)"
        return self.name

    def same(self, other: Function) -> bool:
        """Whether the two have the same values."""
        a, b = self.evaluate(_GRID), other.evaluate(_GRID)
        return bool(np.allclose(a, b, rtol=_SAME, atol=1e-7))


def recognise(evaluate: Callable[[Array], Array], words: str) -> Function:
    """The function with these values; `words` names it where nothing else does.

    Raises `ValueError` where it has a value that is not finite.
    """
    y = evaluate(_GRID)
    if not np.isfinite(y).all():
        raise ValueError(words)
    above, below = _GRID > 0, _GRID < 0
    plus, minus = (float(np.median(y[side] / _GRID[side])) for side in (above, below))
    if np.allclose(y, np.where(above, plus, minus) * _GRID, rtol=_SAME, atol=1e-9):
        plus, minus = (round(s, 6) if abs(s - round(s, 6)) < 1e-7 else s for s in (plus, minus))
        return Function(_piecewise_name(plus, minus), evaluate, (plus, minus))
    for name, function in _NAMED.items():
        inner, outer = _scales(evaluate, function) if name in _SCALED else (1.0, 1.0)
        if np.allclose(y, outer * _values(function, inner * _GRID), rtol=_SAME, atol=1e-7):
            return Function(name, evaluate, None, inner, outer)
    return Function(words, evaluate)


def _piecewise_name(plus: float, minus: float) -> str:
    if plus == minus:
        return "linear"
    if minus == 0:
        return "relu" if plus == 1 else "scaled relu"
    return "leaky relu" if plus == 1 and 0 < minus < 1 else "piecewise linear"


def _scales(
    evaluate: Callable[[Array], Array], function: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[float, float]:
    """(inner, outer) of a function that saturates, from its slope at 0 and its value far out."""
    near = 1e-6
    low, outer = (float(v) for v in evaluate(np.array([near, 1e6])))
    if outer == 0 or not math.isfinite(outer):
        return 1.0, 1.0
    inner = low / (outer * float(_values(function, np.array([near]))[0]))
    rounded = tuple(round(v, 6) if abs(v - round(v, 6)) < 1e-9 else v for v in (inner, outer))
    return rounded[0], rounded[1]


def _values(function: Callable[[torch.Tensor], torch.Tensor], x: Array) -> Array:
    return np.asarray(function(torch.from_numpy(np.asarray(x, dtype=float))).numpy())
