"""The covariance SDE of any number of inputs, by simulation: an independent check of the solved equation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics.bartlett_euler import covariance_paths
from limitbench.numerics.random import stream_seed
from limitbench.numerics.shaping import shaping_coefficient
from limitbench.statistics.laws import Empirical, Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import count, number, positive_time

#: Steps per unit of time where `steps` is left at 0, and their least number.
_STEPS_PER_TIME, _LEAST_STEPS = 32, 16
#: Gaps below this are rounding noise of the factor.
_SMALLEST_GAP = 1e-30


@final
@dataclass(frozen=True)
class MatrixCovarianceSDE(Theory):
    """dV = b(V) dt + Sigma(V)^{1/2} dB for the m x m covariance V of m inputs.

        b^{ab} = nu(rho^{ab}) sqrt(V^{aa} V^{bb}),   Sigma_{ab,cd} = V^{ac} V^{bd} + V^{ad} V^{bc}

    by `numerics.bartlett_euler`, weak order two. Laws are those of `paths` simulated paths: `correlation` and `log_gap`
    of inputs 1 and 2, `log_norm` of input 1.

    Arguments:
        time: t = sum_l 1/n_l, in (0, 64].
        c_plus, c_minus: shaping constants.
        gram: V_0 as nested tuples, positive semi-definite with positive diagonal.
        steps: time steps; 0 for 32 per unit of time, at least 16. The step error of the mean correlation is then below
            5e-4 at time 1 and |c_+ - c_-| up to 3, a quarter of the sampling error.
        paths: number of paths.
        seed: names the stream, with all of the above.

    Raises `InputError` where a value cannot be accepted. Cost: 0.2 s a unit of time with two inputs and the defaults;
    cached by parameters.
    """

    time: float
    c_plus: float
    c_minus: float
    gram: tuple[tuple[float, ...], ...]
    steps: int = 0
    paths: int = 1 << 16
    seed: int = 0

    name: ClassVar[str] = "matrix-covariance-sde"
    title: ClassVar[str] = "m-point covariance SDE (Bartlett-Euler)"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768"
    time_variable: ClassVar[str] = "t = sum_l 1/n_l, depth/width at equal widths"
    validity: ClassVar[str] = "that of the covariance SDE, up to a sampling error of paths^-1/2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        for field in ("c_plus", "c_minus"):
            object.__setattr__(self, field, number(field, getattr(self, field)))
        object.__setattr__(self, "gram", _gram(self.gram))
        steps = self.steps or max(_LEAST_STEPS, math.ceil(_STEPS_PER_TIME * self.time))
        object.__setattr__(self, "steps", count("steps", steps))
        object.__setattr__(self, "paths", count("paths", self.paths))
        object.__setattr__(self, "seed", int(number("seed", self.seed, 0, 2**63 - 1)))

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`; from two inputs on `correlation`, and `log_gap` where they are not parallel."""
        if len(self.gram) == 1:
            return ("log_norm",)
        (v11, v12), v22 = self.gram[0][:2], self.gram[1][1]
        return ("correlation", "log_norm") if v12 >= math.sqrt(v11 * v22) else ("correlation", "log_gap", "log_norm")

    def factors(self) -> Float[np.ndarray, "inputs inputs paths"]:
        """Lower triangular C with V_time = C C', paths last."""
        coefficient = shaping_coefficient(self.c_plus, self.c_minus)
        seed = stream_seed(self.name, self.time, coefficient, self.gram, self.steps, self.paths, self.seed)
        return covariance_paths(np.array(self.gram), self.time, coefficient, self.steps, self.paths, seed)

    def _law(self, observable: str) -> Law:
        return _laws(self)[observable]


@lru_cache(maxsize=32)
def _laws(theory: MatrixCovarianceSDE) -> dict[str, Law]:
    factor = theory.factors()
    laws: dict[str, Law] = {"log_norm": Empirical(2 * np.log(factor[0, 0]) - math.log(theory.gram[0][0]))}
    if len(theory.gram) > 1:
        along, across = factor[1, 0], factor[1, 1]
        radius = np.hypot(along, across)
        # 1 - cos, by the sine where the angle is small
        gap = np.where(along > 0, across**2 / (radius * (radius + np.abs(along))), 1 - along / radius)
        laws["correlation"] = Empirical(along / radius)
        laws["log_gap"] = Empirical(np.log(np.maximum(gap, _SMALLEST_GAP)))
    return laws


def _gram(value: object) -> tuple[tuple[float, ...], ...]:
    accepted = "a symmetric positive semi-definite matrix with positive diagonal, as nested tuples"
    try:
        gram = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError("gram", value, accepted) from None
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not gram.size or not np.isfinite(gram).all():
        raise InputError("gram", value, accepted)
    if (np.diag(gram) <= 0).any() or (gram != gram.T).any():
        raise InputError("gram", value, accepted)
    scale = np.sqrt(np.diag(gram))
    if np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] < -1e-10:
        raise InputError("gram", value, accepted)
    return tuple(tuple(float(entry) for entry in row) for row in gram)
