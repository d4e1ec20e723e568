"""Distances between N samples and a law: Wasserstein-1, Kolmogorov-Smirnov, and what sampling noise adds to them.

Everything is an integral or a supremum of the cdf difference F_N - F on the union of the order statistics and a grid
of the law's quantiles that reaches to levels 1e-15 on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import erfc, kolmogorov, ndtr

from limitbench.statistics.base import Law
from limitbench.statistics.laws import Empirical

#: Levels at which laws are looked at besides the samples: evenly spaced in ndtri(u), 1e-15 to 1 - 1e-15.
LEVELS = ndtr(np.linspace(-7.94, 7.94, 1025))
#: Up to here the exact finite-N law of the Kolmogorov-Smirnov statistic is used, above it the limit.
EXACT_KS = 2000
#: erfc(x) = (a_1 t + ... + a_5 t^5) exp(-x^2), t = 1/(1 + p x): a_5 first, and p.
_ERFC, _ERFC_SCALE = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592), 0.3275911
#: Standard deviations beyond which noise adds nothing in single precision; replicates in a block.
_FAR, _ROWS = np.float32(8.0), 125


@dataclass(frozen=True, eq=False)
class Comparison:
    """N sorted samples held against a law: F_N and F on a common grid.

    Attributes:
        x: grid, increasing; interval i is [x_i, x_{i+1}].
        left, right: F_N - F at the two ends of each interval (F_N is constant inside, F linear between nodes).
        middle: F at the middle of each interval.
        at_samples: F at the order statistics.
        below_samples, above_samples: F one rounding below and above them where samples are tied, else the same.
        size: N.
        reference_size: M of an estimated law, else None.
    """

    x: Float[np.ndarray, " nodes"]
    left: Float[np.ndarray, " intervals"]
    right: Float[np.ndarray, " intervals"]
    middle: Float[np.ndarray, " intervals"]
    at_samples: Float[np.ndarray, " N"]
    below_samples: Float[np.ndarray, " N"]
    above_samples: Float[np.ndarray, " N"]
    size: int
    reference_size: int | None

    @classmethod
    def build(cls, ordered: Float[np.ndarray, " N"], law: Law) -> Comparison:
        """Hold the sorted finite samples `ordered` against `law`. Cost: one cdf call on N points and O(N)."""
        n = ordered.size
        if isinstance(law, Empirical):
            x = np.sort(np.concatenate([ordered, law.ordered]), kind="stable")
            mass = law.cdf(x)
            ours = np.searchsorted(ordered, x, side="right") / n
            gap = (ours - mass)[:-1]
            at_samples = law.cdf(ordered)
            return cls(x, gap, gap, mass[:-1], at_samples, at_samples, at_samples, n, law.reference_size)
        at_samples = law.cdf(ordered)
        below_samples = above_samples = at_samples
        if (np.diff(ordered) == 0).any():  # made equal by rounding: each stands for all values that round to it
            below_samples, above_samples = (law.cdf(np.nextafter(ordered, way)) for way in (-np.inf, np.inf))
        places = law.quantile(LEVELS)
        usable = np.isfinite(places)
        places, levels = places[usable], LEVELS[usable]
        counts = np.searchsorted(ordered, places, side="right")
        x, mass, ours = np.empty(n + places.size), np.empty(n + places.size), np.empty(n + places.size)
        inserted = counts + np.arange(places.size)
        sampled = np.ones(x.size, dtype=bool)
        sampled[inserted] = False
        x[inserted], mass[inserted], ours[inserted] = places, levels, counts / n
        x[sampled], mass[sampled], ours[sampled] = ordered, at_samples, np.arange(1, n + 1) / n
        mass, ours = np.maximum.accumulate(mass), ours[:-1]
        middle = (mass[:-1] + mass[1:]) / 2
        ends = ours - mass[:-1], ours - mass[1:]
        return cls(x, *ends, middle, at_samples, below_samples, above_samples, n, law.reference_size)

    @cached_property
    def widths(self) -> Float[np.ndarray, " intervals"]:
        """Lengths of the intervals."""
        return np.diff(self.x)

    @cached_property
    def wasserstein(self) -> float:
        """W1 = ∫ |F_N - F| dx, exact for F linear between nodes: error O(1/N^2) in the bulk."""
        a, b = np.abs(self.left), np.abs(self.right)
        crossing = np.flatnonzero((self.left < 0) != (self.right < 0))
        u, v, width = a[crossing], b[crossing], self.widths[crossing]
        # the mean of |linear| is (a + b)/2, less a b/(a + b) where it changes sign
        total = np.where(u + v > 0, u + v, 1.0)
        return weighted_sum(self.widths, a + b) / 2 - weighted_sum(width, u * v / total)

    @cached_property
    def excess(self) -> float:
        """What noise adds to W1 on average, see `noise_excess`."""
        at = support_nodes(self.middle.size, 4096)
        gap = (self.left[at] + self.right[at]) / 2
        # the mean of both cdfs: F alone is wrong where it is far off, F_N alone has no tail beyond the samples
        mass = np.clip(self.middle[at] + gap / 2, 0, 1)
        sigma = noise_scale(mass, self.size)
        if self.reference_size is not None:
            sigma = np.hypot(sigma, noise_scale(mass, self.reference_size))
        places = (self.x[at] + self.x[at + 1]) / 2
        return float(trapezoid(noise_excess(gap, sigma), places))

    @cached_property
    def kolmogorov_smirnov(self) -> float:
        """sup |F_N - F|; for a law without atoms or an empirical one."""
        if self.reference_size is not None and self.left is self.right:
            return float(np.abs(self.left).max(initial=0.0))
        rank = np.arange(self.size + 1) / self.size
        return float(max((rank[1:] - self.above_samples).max(), (self.below_samples - rank[:-1]).max()))

    @property
    def effective_size(self) -> float:
        """N, or N M/(N + M) for a law estimated by M draws."""
        m = self.reference_size
        return float(self.size) if m is None else self.size * m / (self.size + m)

    @property
    def ks_pvalue(self) -> float:
        """P(KS this large | the law is true): exact in N up to 2000 for exact laws, else Kolmogorov's limit."""
        if self.reference_size is None and self.size <= EXACT_KS:
            return float(stats.kstwo.sf(self.kolmogorov_smirnov, self.size))
        return kolmogorov_pvalue(self.kolmogorov_smirnov, self.effective_size)


def kolmogorov_pvalue(ks: float, size: float) -> float:
    """Tail of Kolmogorov's law at (√n + 0.12 + 0.11/√n) ks, Stephens' correction: good to 1e-3 from n = 20."""
    root = math.sqrt(size)
    return float(kolmogorov((root + 0.12 + 0.11 / root) * ks))


def noise_scale(mass: Float[np.ndarray, "*shape"], size: float) -> Float[np.ndarray, "*shape"]:
    """Standard deviation of F_N(x) where F(x) = mass: √(F(1-F)/N), capped in the far tail.

    For N F << 1 the mean of |F_N - F| is 2F(1-F), not √(2F(1-F)/(πN)); the cap makes √(2/π) σ follow that.
    """
    spread = mass * (1 - mass)
    return np.asarray(np.minimum(np.sqrt(spread / size), math.sqrt(2 * math.pi) * spread))


def noise_excess(gap: Float[np.ndarray, "*shape"], sigma: Float[np.ndarray, "*#shape"]) -> Float[np.ndarray, "*shape"]:
    """The part of |F_N - F| that noise of standard deviation σ adds: a erfc(a/(√2 σ)) + 2 σ φ(a/σ), a = |gap|.

    It is |a| less E[sign(a + σZ) (a - σZ)]: the sign is read from one half of the data and the difference from the
    other (Gaussian data splitting; a ± σZ are independent). So on average it equals √(2/π) σ, the null mean, where the
    true difference is zero, and it vanishes where the difference stands clear of noise, where nothing is to subtract.
    """
    a = np.abs(gap)
    scale = np.broadcast_to(sigma, a.shape)
    near = a < 6 * scale
    scale = scale[near]
    r = a[near] / scale
    excess = np.zeros_like(a)
    # plain float constants keep single precision single
    excess[near] = scale * (r * erfc(r * math.sqrt(0.5)) + math.sqrt(2 / math.pi) * np.exp(-0.5 * r * r))
    return np.asarray(excess)


def corrected_distances(
    gap: Float32[np.ndarray, "replicates nodes"],
    sigma: Float[np.ndarray, " nodes"],
    share: Float[np.ndarray, " nodes"],
) -> Float32[np.ndarray, " replicates"]:
    """Σ share (|gap| - `noise_excess`) of every replicate in single precision, which is that of the replicates.

    erfc by Abramowitz & Stegun 7.1.26, to 1.5e-7, in blocks that stay in the cache.
    """
    scale, weights = np.maximum(sigma, 1e-30).astype(np.float32), share.astype(np.float32)
    total = np.empty(len(gap), dtype=np.float32)
    t, exp, r = (np.empty((_ROWS, gap.shape[1]), dtype=np.float32) for _ in range(3))
    for start in range(0, len(gap), _ROWS):
        a = np.abs(gap[start : start + _ROWS])
        t, exp, r = t[: len(a)], exp[: len(a)], r[: len(a)]
        np.divide(a, scale, out=r)
        np.minimum(r, _FAR, out=r)
        np.multiply(r, r, out=exp)
        exp *= np.float32(-0.5)
        np.exp(exp, out=exp)
        np.multiply(r, np.float32(_ERFC_SCALE * math.sqrt(0.5)), out=t)
        t += np.float32(1)
        np.reciprocal(t, out=t)
        r *= _polynomial(t)
        r += np.float32(math.sqrt(2 / math.pi))
        r *= exp
        r *= scale
        a -= r
        a *= weights
        total[start : start + _ROWS] = a.sum(axis=1)
    return total


def _polynomial(t: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    value = np.full_like(t, _ERFC[0])
    for coefficient in _ERFC[1:]:
        value *= t
        value += np.float32(coefficient)
    value *= t
    return value


def null_wasserstein(law: Law, size: float) -> float:
    """Mean of W1 between `size` samples of `law` and the law itself.

    E W1 = N^-1/2 ∫ √(2/π) √(F(1-F)) dx, the mean of the integral of |Brownian bridge|, with the far tail capped
    by 2F(1-F) (`noise_scale`). For an estimated law pass the effective size N M/(N + M). NaN where the integral is not
    finite (a law without standard deviation); 0 for a point mass.
    """
    if law.is_point_mass:
        return 0.0
    if not math.isfinite(law.std):
        return math.nan
    x = law.quantile(LEVELS)
    density = math.sqrt(2 / math.pi) * noise_scale(LEVELS, size)
    return weighted_sum(np.diff(x), density[1:] + density[:-1]) / 2


def weighted_sum(weights: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]) -> float:
    """Σ weights values by pairwise summation: the same bits whatever the number of BLAS threads."""
    return float((weights * values).sum())


def support_nodes(size: int, bins: int) -> Int[np.ndarray, " nodes"]:
    """Ranks of at most `bins` order statistics, dense at both ends (u = sin^2), strictly increasing."""
    return _support(size, bins)


@lru_cache(maxsize=64)
def _support(size: int, bins: int) -> Int[np.ndarray, " nodes"]:
    u = np.sin(np.linspace(0, math.pi / 2, bins)) ** 2
    ranks = np.round(u * (size - 1)).astype(np.int64)
    ranks = ranks[np.diff(ranks, prepend=-1) > 0]
    ranks.setflags(write=False)
    return ranks
