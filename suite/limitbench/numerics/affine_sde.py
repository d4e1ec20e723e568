"""The law of an affine diffusion that starts at or above 0: dW = (growth W + source) dt - sigma W dB.

Y = ln W / sigma has unit noise and the drift (growth - sigma^2/2 + source e^{-sigma Y})/sigma, so its cdf obeys the
Kolmogorov forward equation of `numerics.kolmogorov`. W_0 = 0 is an entrance: the source carries W away from it at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from limitbench.errors import InputError
from limitbench.numerics.kolmogorov import Drift, ForwardCdf, solve_forward

#: Starts that the source leaves behind within this fraction of the time enter by their moments.
_ENTRANCE_TIME = 1 / 32
#: Noise sigma sqrt(s) below which the law is log-normal to 1e-5 of the cdf, so that short times enter late.
_QUIET = 0.045
#: Noise sigma sqrt(s) within the entrance time s at most: the law there is then log-normal to (sigma^2 s)^2.
_ENTRANCE_NOISE = 0.2
#: Nodes in a square root of the time.
_RESOLUTION = 40.0
#: Normal scores of the path that the mesh covers, and of the law after the entrance.
_SIGMAS = 8.0


@dataclass(frozen=True)
class AffineSDE:
    """dW = (growth W + source) dt - sigma W dB, W_0 = start >= 0.

    W_t = start M_t + source int_0^t M_t/M_s ds in law, M geometric Brownian motion: an exponential functional.

    Arguments:
        growth, source, sigma: coefficients; source and sigma positive.
        start: W_0.

    Raises `InputError` where a coefficient or the start is outside its range.
    """

    growth: float
    source: float
    sigma: float
    start: float = 0.0

    def __post_init__(self) -> None:
        for field, value in (("source", self.source), ("sigma", self.sigma)):
            if not 0 < value < math.inf:
                raise InputError(field, value, "a positive number")
        if not 0 <= self.start < math.inf:
            raise InputError("start", self.start, "a number of at least 0")

    def mean(self, time: float) -> float:
        """E W_t = W_0 e^{gt} + source (e^{gt} - 1)/g, g the growth."""
        return self.start * math.exp(self.growth * time) + self.source * _integral(self.growth, time)

    def second_moment(self, time: float) -> float:
        """E W_t^2, from (E W^2)' = (2 g + sigma^2) E W^2 + 2 source E W; relative error 1e-10."""
        rate = 2 * self.growth + self.sigma**2
        x, w = np.polynomial.legendre.leggauss(40)
        s = (1 + x) * time / 2
        first = np.array([self.mean(at) for at in s])
        fed = float(w @ (np.exp(rate * (time - s)) * first)) * time / 2
        return self.start**2 * math.exp(rate * time) + 2 * self.source * fed

    def drift(self, y: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Drift of Y = ln W / sigma."""
        return np.asarray((self.growth - self.sigma**2 / 2 + self.source * np.exp(-self.sigma * y)) / self.sigma)

    def forward_cdf(self, time: float, *, nodes: int = 1000) -> ForwardCdf:
        """The cdf of Y = ln W / sigma at `time`: to 1e-6 for sigma^2 t in [1/8, 8], to 1e-4 at sigma^2 t = 1/500.

        From a start that the source leaves behind quickly, the law after a short time s is taken log-normal with the
        exact first two moments of W_s; as W_t is affine in W_s those of W_t stay exact too, and the third cumulant of
        ln W_s that is left out, of order (sigma^2 s)^2, enters with the weight (s/t)^3.

        Cost: about 5 ms. Raises `InputError` where the time is not positive.
        """
        if not 0 < time < math.inf:
            raise InputError("time", time, "a positive number")
        initial: Drift | None = None
        quiet = (_QUIET / self.sigma) ** 2
        spent = min(max(_ENTRANCE_TIME * time, min(quiet, time / 2)), (_ENTRANCE_NOISE / self.sigma) ** 2)
        margin = 0.0
        if self.start < self.source * spent:
            mean, second = self.mean(spent), self.second_moment(spent)
            variance = math.log(second / mean**2)
            centre, spread = (math.log(mean) - variance / 2) / self.sigma, math.sqrt(variance) / self.sigma
            margin = _SIGMAS * spread
            remaining = time - spent

            def initial(y: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, " nodes"]:
                return np.asarray(ndtr((y - centre) / spread))
        else:
            centre, remaining = math.log(self.start) / self.sigma, time
        # Paths without noise are carried up by the source; the noise and the steady part of the drift do the rest.
        carried = math.log(math.exp(self.sigma * centre) + self.source * _integral(self.growth, remaining)) / self.sigma
        steady = (self.growth - self.sigma**2 / 2) / self.sigma * remaining
        reach = _SIGMAS * math.sqrt(remaining) + margin
        lower = self._floor(centre - margin, centre + min(steady, 0.0) - reach)
        upper = max(carried, centre) + abs(steady) + reach
        # the law ends up far from where the mesh is refined: resolve its width there
        finest = max(15 * self.sigma, _RESOLUTION / math.sqrt(time))
        nodes = 2 * math.ceil(max(1.0, finest * (upper - lower) / (nodes / 2)) * nodes / 2)
        return solve_forward(self.drift, centre, remaining, lower, upper, initial=initial, nodes=nodes)

    def paths(
        self, times: Sequence[float], *, paths: int, seed: int, steps: int = 512
    ) -> Float[np.ndarray, "paths times"]:
        """W at several times on the same paths, by `numerics.stepping.affine.Trapezium`: weak order two, W positive.

        Shares nothing with the forward equation.

        Arguments:
            times: increasing, positive.
            paths: number of paths.
            seed: start of the stream.
            steps: steps up to the last time, split among the intervals so that each is stepped evenly.

        Raises `InputError` where the times do not increase from 0. Cost: 7 ns a step and path.
        """
        import torch

        from limitbench.numerics.random import Stream
        from limitbench.numerics.stepping.affine import Affine, Trapezium
        from limitbench.numerics.stepping.simulate import simulate

        ends = simulate(
            Affine(self.growth, self.source, self.sigma),
            Trapezium(),
            start=self.start,
            times=times,
            steps=steps,
            paths=paths,
            stream=Stream(seed),
            dtype=torch.float64,
        )
        return np.asarray(ends.T.numpy())

    def _floor(self, centre: float, lowest: float) -> float:
        """Where the source's drift becomes a wall: a descent against it costs e^(-2 x its height), cut at e^-36."""
        path = np.linspace(centre, lowest, 4000)
        height = self.source / self.sigma**2 * (np.exp(-self.sigma * path) - math.exp(-self.sigma * centre))
        beyond = np.flatnonzero(height > 18.0)
        return float(path[beyond[0]]) if beyond.size else lowest


def _integral(rate: float, time: float) -> float:
    """int_0^t e^{rs} ds."""
    return time if rate == 0 else math.expm1(rate * time) / rate
