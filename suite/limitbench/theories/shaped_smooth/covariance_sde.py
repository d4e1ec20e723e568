"""The covariance SDE of smooth shaped networks, by simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float

from limitbench.numerics.bartlett_euler import covariance_paths
from limitbench.numerics.random import stream_seed
from limitbench.numerics.smooth_covariance import SmoothFlow
from limitbench.statistics.laws import Bernoulli, Empirical, Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu.parameters import count, number, positive_time

#: Steps per unit of time where `steps` is left at 0, and their least number.
_STEPS_PER_TIME, _LEAST_STEPS = 32, 16
#: Gaps below this are rounding noise of the factor.
_SMALLEST_GAP = 1e-30


@final
@dataclass(frozen=True)
class SmoothCovarianceSDE(Theory):
    """dV = b(V) dt + Sigma(V)^{1/2} dB for the covariance V of two inputs, V_0 = `norm0` [[1, rho0], [rho0, 1]].

        b^{ab} = a^-2 [phi''^2/4 (V^{aa} V^{bb} + V^{ab} (2 V^{ab} - 3)) + phi'''/2 V^{ab} (V^{aa} + V^{bb} - 2)],
        Sigma_{ab,cd} = V^{ac} V^{bd} + V^{ad} V^{bc}.

    The drift of rho is phi''^2/(4 a^2) [g (1 + 2 rho^2) - 3 m rho] with g and m the geometric and arithmetic mean of
    the two variances: it needs the norms unless phi'' = 0, where rho does not feel the shaping at all. Laws are
    those of simulated paths: `exploded` of input 1 (V above 1e4 so far), `log_norm` given that it has not,
    `correlation` and `log_gap` given that neither input has; a law that under 100 paths are left for is not listed.

    Arguments:
        time: t = l/n, in (0, 64].
        second, third: phi''(0), phi'''(0).
        scale: a.
        norm0: V_0^aa, below 1e4.
        rho0: correlation of the two inputs.
        steps: time steps; 0 for 32 per unit of time, at least 16. The step error of the mean correlation, the mean log
            norm and the explosion probability is then below the sampling error for |beta| up to 5.
        paths: number of paths.
        seed: names the stream, with all of the above.

    Raises `InputError` where a value cannot be accepted. Cost: 0.15 s a unit of time; cached by parameters.
    """

    time: float
    second: float
    third: float
    scale: float = 1.0
    norm0: float = 1.0
    rho0: float = 0.3
    steps: int = 0
    paths: int = 1 << 15
    seed: int = 0

    name: ClassVar[str] = "smooth-covariance-sde"
    title: ClassVar[str] = "covariance SDE of smooth activations (Bartlett-Euler)"
    reference: ClassVar[str] = "Li, Nica & Roy 2022, arXiv 2206.02768"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "rate 1/2, V much smaller than a^2 n: the error is O(1/n) but large where norms explode"

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", positive_time(self.time))
        for field, lower, upper in _RANGES:
            object.__setattr__(self, field, number(field, getattr(self, field), lower, upper))
        steps = self.steps or max(_LEAST_STEPS, math.ceil(_STEPS_PER_TIME * self.time))
        object.__setattr__(self, "steps", count("steps", steps))
        object.__setattr__(self, "paths", count("paths", self.paths))
        object.__setattr__(self, "seed", int(number("seed", self.seed, 0, 2**63 - 1)))

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_gap` (not at rho0 = 1), `log_norm`, `exploded`."""
        return tuple(_laws(self))

    def factors(self) -> Float[np.ndarray, "two two paths"]:
        """Lower triangular C with V_time = C C', paths last; the row of an exploded input is NaN."""
        gram = self.norm0 * np.array([[1.0, self.rho0], [self.rho0, 1.0]])
        key = (self.second, self.third, self.scale, self.norm0, self.rho0)
        seed = stream_seed(self.name, self.time, *key, self.steps, self.paths, self.seed)
        flow = SmoothFlow(self.second, self.third, self.scale)
        return covariance_paths(gram, self.time, 0.0, self.steps, self.paths, seed, flow=flow)

    def _law(self, observable: str) -> Law:
        return _laws(self)[observable]


_RANGES = (
    ("second", -100.0, 100.0),
    ("third", -1000.0, 1000.0),
    ("scale", 1e-3, 1e6),
    ("norm0", 1e-100, 9999.0),
    ("rho0", -1.0, 1.0),
)
#: Fewer paths than this give no law.
_FEWEST = 100


@lru_cache(maxsize=64)
def _laws(theory: SmoothCovarianceSDE) -> dict[str, Law]:
    factor = theory.factors()
    alive = np.isfinite(factor[0, 0])
    both = alive & np.isfinite(factor[1, 1])
    laws: dict[str, Law] = {}
    if both.sum() >= _FEWEST:
        along, across = factor[1, 0, both], factor[1, 1, both]
        radius = np.hypot(along, across)
        # 1 - cos, by the sine where the angle is small
        gap = np.where(along > 0, across**2 / (radius * (radius + np.abs(along))), 1 - along / radius)
        # parallel inputs of equal norm stay so
        laws["correlation"] = Empirical(along / radius) if theory.rho0 < 1 else PointMass(1.0)
        if theory.rho0 < 1:
            laws["log_gap"] = Empirical(np.log(np.maximum(gap, _SMALLEST_GAP)))
    if alive.sum() >= _FEWEST:
        laws["log_norm"] = Empirical(2 * np.log(factor[0, 0, alive]) - math.log(theory.norm0))
    share = float(1 - alive.mean())
    inside = 0 < share < 1
    laws["exploded"] = Bernoulli(share, reference_size=theory.paths) if inside else PointMass(share)
    return laws
