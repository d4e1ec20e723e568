"""The distance D of every theory on one cell, with bootstrap replicates that all theories and cells share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float, Float32
from scipy import stats
from scipy.special import ndtr

from limitbench.statistics.base import Law
from limitbench.statistics.bootstrap import NODES, Resampling
from limitbench.statistics.distances import (
    Comparison,
    corrected_distances,
    noise_excess,
    noise_scale,
    null_wasserstein,
    support_nodes,
    weighted_sum,
)
from limitbench.statistics.laws import Bernoulli, Normal

#: Laws within this KS of the samples say how heavy the samples' tails are.
CLOSE = 0.05
#: A distance stands clear of noise from this multiple of the null mean on.
CLEAR = 5.0
#: Mean of Kolmogorov's law.
KOLMOGOROV_MEAN = 0.8687
#: Networks whose values differ by less than this, in units of their size and of the laws' spread, are all alike.
ROUNDING = 1e-11
#: Share of replicates without spread above which D is not defined; its interval leaves out 2.5 % on either side.
FEW = 0.01
#: Two-sided 5 % points of √N KS and of a standard normal variable.
KOLMOGOROV_5_PERCENT, NORMAL_5_PERCENT = 1.3580986393225507, 1.959963984540054


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Upper confidence limit of D from W1, for the true difference that noise hides best.

    Among all differences δ with ∫|δ| = D s, the mean of W1 = ∫|δ + σZ| is least for δ proportional to σ (Jensen: the
    mean of |a + Z| is convex in a), and the variance of ∫ sign(δ) σZ is largest when δ keeps one sign, as the noise of
    a cdf is positively correlated. So for δ = D s σ/∫σ, W1 is smallest in law; the limit is the D at which
    P(W1 <= seen) falls to (1 - level)/2.

    Attributes:
        noise: replicates of F_N's noise at nodes.
        shape: σ/∫σ at the nodes.
        share: quadrature weights of the nodes.
        std: s.
        null: null mean of W1 at this N.
        size: N.
    """

    noise: Float32[np.ndarray, "replicates nodes"]
    shape: Float[np.ndarray, " nodes"]
    share: Float[np.ndarray, " nodes"]
    std: float
    null: float
    size: int = 1

    @cached_property
    def _table(self) -> tuple[Float[np.ndarray, " distances"], Float[np.ndarray, "distances replicates"]]:
        hidden = np.linspace(0, CLEAR + 4, 13) * self.null
        half, share = self.shape.astype(np.float32), self.share.astype(np.float32)
        seen = np.empty((hidden.size, len(self.noise)))
        moved = np.empty_like(self.noise)
        for row, d in zip(seen, hidden, strict=True):
            np.add(self.noise, np.float32(d) * half, out=moved)
            np.abs(moved, out=moved)
            moved *= share
            row[:] = moved.sum(axis=1)
        return hidden, seen

    @cached_property
    def scaled(self) -> Float32[np.ndarray, "replicates nodes"]:
        """√N times the noise."""
        return self.noise * np.float32(math.sqrt(self.size))

    def limit(self, wasserstein: float, level: float, inflation: float = 1.0) -> float:
        """The limit for W1 = `wasserstein`; `inflation` is √(1 + N/M) for a law estimated by M draws."""
        hidden, seen = self._table
        lowest = np.maximum.accumulate(np.quantile(seen, (1 - level) / 2, axis=1))
        return float(np.interp(wasserstein / inflation, lowest, hidden)) * inflation / self.std


@dataclass(frozen=True, eq=False)
class TheoryDistance:
    """D of one theory on one cell.

    Attributes:
        distance: D = (W1 - excess)/s.
        errors: bootstrap replicates of (D as estimated - true D).
        wasserstein, wasserstein_null, ks, ks_pvalue: see `scores.Score`.
        gap, noise: F_N - F at the cell's nodes, and √N times replicates of the noise of F_N there.
        notes: reasons of NaN values.
        noise_mean: mean of √N KS where the law is true.
    """

    distance: float
    errors: Float[np.ndarray, " replicates"]
    wasserstein: float
    wasserstein_null: float
    ks: float
    ks_pvalue: float
    gap: Float[np.ndarray, " nodes"]
    noise: Float32[np.ndarray, "replicates nodes"]
    notes: tuple[str, ...] = ()
    effective_size: float = 1.0
    noise_mean: float = KOLMOGOROV_MEAN
    ceiling: Callable[[float, float], float] | None = None

    @cached_property
    def plausible(self) -> Float[np.ndarray, " replicates"]:
        """Values of the true D as likely as each other given the samples, joint over theories and cells.

        D - errors (basic bootstrap); those above D are stretched so that their 97.5 % quantile is the upper end of the
        95 % interval.
        """
        values = self.distance - self.errors
        high, plain = self.interval(0.95)[1], float(np.quantile(values, 0.975))
        if not (self.distance < plain < high):
            return values
        return np.where(
            values > self.distance,
            self.distance + (values - self.distance) * (high - self.distance) / (plain - self.distance),
            values,
        )

    def interval(self, level: float) -> tuple[float, float]:
        """Interval of D with the given confidence.

        Basic bootstrap. Where W1 < 5 x null the upper end is at least `ceiling`: the bootstrap starts from the measured
        difference and so cannot know of a true difference that noise happens to hide. Widened to hold the estimate.
        """
        if math.isnan(self.distance):
            return math.nan, math.nan
        low, high = (float(self.distance - q) for q in np.quantile(self.errors, [(1 + level) / 2, (1 - level) / 2]))
        if self.wasserstein < CLEAR * self.wasserstein_null and self.ceiling is not None:
            high = max(high, self.ceiling(self.wasserstein, level))
        return min(low, self.distance), max(high, self.distance, 0.0)

    def n_star(self, critical: float, power: float = 0.8) -> float:
        """Number of networks at which √N sup|F_N - F| exceeds `critical` with the given power.

        √N (F_N - F) = √N δ + B with B the noise (a Brownian bridge at F, from the bootstrap replicates). A replicate
        exceeds from √N = min over x of (critical - sign(δ) B(x))/|δ(x)| on; N* is the square of the `power` quantile of
        that. δ is the measured difference, shrunk by √(1 - (m/(√N KS))²), m the mean of sup|B|.
        """
        size = self.effective_size
        shrink = math.sqrt(max(1 - (self.noise_mean / (math.sqrt(size) * self.ks)) ** 2, 0.0))
        gap = self.gap * shrink
        seen = np.abs(gap) > 0.2 * np.abs(gap).max()
        with np.errstate(divide="ignore"):
            needed = ((critical - np.sign(gap[seen]) * self.noise[:, seen]) / np.abs(gap[seen])).min(axis=1)
        return max(float(np.quantile(needed, power)) ** 2, 1.0)


@dataclass(frozen=True, eq=False)
class CellDistances:
    """All theories on one cell.

    Attributes:
        size: networks.
        mean, std: of the networks (divisor N - 1).
        std_relative_error: relative standard error of std, √((kurtosis - 1)/(4N)), with the larger kurtosis of the
            samples and of the laws that are close to them (KS < 0.05): heavy tails hide from a sample.
        theories: by name.
    """

    size: int
    mean: float
    std: float
    std_relative_error: float
    theories: Mapping[str, TheoryDistance]


def compare_cell(
    samples: Float[np.ndarray, " networks"], laws: Mapping[str, Law], resampling: Resampling
) -> CellDistances:
    """Distances of all `laws` to `samples` (free of NaN; row i belongs to network i of `resampling`).

    The replicate of the error of D: F_N takes the place of the networks' law, so the true distance is that of F_N to F,
    and the estimate is made again with the resampled networks: W1 of F_N - F + (F*_N - F_N), less its own excess, over
    the resampled standard deviation.
    """
    size = samples.size
    order = np.argsort(samples)
    ordered = samples[order]
    if not np.isfinite(ordered[[0, -1]]).all():
        return _infinite(samples, laws, resampling)
    mean = float(samples.mean())
    spreads = [law.std for law in laws.values() if math.isfinite(law.std)]
    # a spread that is rounding noise beside the values or beside every law is none
    rounding = ROUNDING * max(abs(ordered[0]), abs(ordered[-1]), *spreads, 0.0)
    std = float(samples.std(ddof=1)) if ordered[-1] - ordered[0] > rounding else 0.0
    centred = samples - mean
    squares = centred * centred
    kurtosis = float(((squares / std**2) ** 2).mean()) if std > 0 else 1.0
    relative = math.sqrt(max(kurtosis - 1, 0.0) / (4 * size))
    moments = resampling.means(np.stack([centred, squares], axis=1))
    stds = np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0) * size / (size - 1))
    without = stds < ROUNDING * std  # replicates that drew none of the few networks that differ
    stds = np.where(without, std, stds)
    ranks = support_nodes(size, NODES)
    noise = resampling.cdf_noise(order, ranks)
    share = _shares(ordered[ranks])
    sigma = noise_scale((ranks + 0.5) / size, size)
    total = weighted_sum(sigma, share)
    ceiling = Ceiling(noise, sigma / total if total > 0 else sigma, share, std, math.sqrt(2 / math.pi) * total, size)
    found: dict[str, TheoryDistance] = {}
    for name, law in laws.items():
        if std == 0 or without.mean() > FEW:
            found[name] = _undefined(resampling, "D not defined: the networks all take one value")
        elif law.is_point_mass:
            found[name] = _point_mass(samples, law, std, stds, resampling)
        elif isinstance(law, Bernoulli):
            found[name] = _bernoulli(samples, law, std, stds, resampling)
        else:
            found[name] = _continuous(ordered, ranks, ceiling, law, stds, resampling)
    close = [laws[name] for name, theory in found.items() if theory.ks < CLOSE]
    relative = max([relative, *(std_relative_error(law, size) for law in close)])
    return CellDistances(size, mean, std, relative, found)


def std_relative_error(law: Law, size: int) -> float:
    """Relative standard error of the standard deviation of `size` samples of `law`: √((kurtosis - 1)/(4N))."""
    if isinstance(law, Normal):
        kurtosis = 3.0
    else:
        z = np.linspace(-8.2, 8.2, 1025)
        weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
        x = law.quantile(ndtr(z))
        x = x - weighted_sum(weight, x)
        kurtosis = weighted_sum(weight, x**4) / max(weighted_sum(weight, x**2) ** 2, np.finfo(float).tiny)
    return math.sqrt(max(kurtosis - 1, 0.0) / (4 * size))


def _continuous(
    ordered: Float[np.ndarray, " networks"],
    ranks: np.ndarray,
    ceiling: Ceiling,
    law: Law,
    stds: Float[np.ndarray, " replicates"],
    resampling: Resampling,
) -> TheoryDistance:
    size, std, noise, share = ordered.size, ceiling.std, ceiling.noise, ceiling.share
    held = Comparison.build(ordered, law)
    nodes = ordered[ranks]
    ours, theirs = (ranks + 0.5) / size, held.at_samples[ranks]
    gap = ours - theirs
    sigma = noise_scale(ours, size)
    shaken = gap.astype(np.float32) + noise
    if law.reference_size is not None:
        sigma = np.hypot(sigma, noise_scale(ours, law.reference_size))
        shaken = shaken - resampling.reference_noise(law, nodes, theirs)
    again = corrected_distances(shaken.astype(np.float32, copy=False), sigma, share)
    # what the nodes miss (the tails and the quadrature error) stays as it is in every replicate
    rest = held.wasserstein - weighted_sum(np.abs(gap), share)
    null = null_wasserstein(law, held.effective_size)
    notes: tuple[str, ...] = ()
    distance, errors = (held.wasserstein - held.excess) / std, (rest + again) / stds - held.wasserstein / std
    if math.isnan(null) or not math.isfinite(held.wasserstein):
        distance, errors = math.nan, np.full(resampling.replicates, math.nan)
        notes = ("D not defined: ∫ √(F(1-F)) dx is not finite for this law; score its logarithm",)
    return TheoryDistance(
        distance=distance,
        errors=errors,
        wasserstein=held.wasserstein if math.isfinite(held.wasserstein) else math.nan,
        wasserstein_null=null,
        ks=held.kolmogorov_smirnov,
        ks_pvalue=held.ks_pvalue,
        gap=gap,
        noise=ceiling.scaled,
        notes=notes,
        effective_size=held.effective_size,
        ceiling=partial(ceiling.limit, inflation=math.sqrt(size / held.effective_size)),
    )


def _shares(nodes: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, " nodes"]:
    """Trapezoid weights."""
    widths = np.diff(nodes)
    return np.asarray((np.append(widths, 0) + np.append(0, widths)) / 2)


def _point_mass(
    samples: Float[np.ndarray, " networks"],
    law: Law,
    std: float,
    stds: Float[np.ndarray, " replicates"],
    resampling: Resampling,
) -> TheoryDistance:
    away = np.abs(samples - law.mean)
    w1 = float(away.mean())
    replicates = resampling.means(away[:, None])[:, 0]
    note = "KS, its p-value and N* not defined: the law is a point mass"
    return _bare(w1 / std, replicates / stds - w1 / std, w1, 0.0, note)


def _bernoulli(
    samples: Float[np.ndarray, " networks"],
    law: Bernoulli,
    std: float,
    stds: Float[np.ndarray, " replicates"],
    resampling: Resampling,
) -> TheoryDistance:
    """Both cdfs are steps that differ on [0, 1) alone, by the difference of the frequencies; p-value binomial."""
    size, share = samples.size, float(samples.mean())
    reference = law.reference_size
    gap = np.array([law.probability - share])
    variance = share * (1 - share) / size + (0.0 if reference is None else law.std**2 / reference)
    sigma = np.array([math.sqrt(variance)])
    noise = share - resampling.means(samples[:, None])
    if reference is not None:
        rng = np.random.default_rng([resampling.seed, 2])
        noise = noise + law.std / math.sqrt(reference) * rng.standard_normal(noise.shape)
    wasserstein = abs(float(gap[0]))
    excess, again = float(noise_excess(gap, sigma)[0]), gap + noise
    errors = (np.abs(again) - noise_excess(again, sigma))[:, 0] / stds - wasserstein / std
    if reference is None:
        pvalue = float(stats.binomtest(round(share * size), size, law.probability).pvalue)
    else:
        pvalue = float(2 * ndtr(-wasserstein / math.hypot(law.std / math.sqrt(size), law.std / math.sqrt(reference))))
    null = math.sqrt(2 / math.pi) * math.hypot(law.std / math.sqrt(size), law.std / math.sqrt(reference or math.inf))
    ceiling = Ceiling(noise.astype(np.float32), np.ones(1), np.ones(1), std, math.sqrt(2 / math.pi) * float(sigma[0]))
    # in units in which a 5 % binomial test rejects where a Kolmogorov-Smirnov test does
    unit = KOLMOGOROV_5_PERCENT / (NORMAL_5_PERCENT * law.std)
    return TheoryDistance(
        distance=(wasserstein - excess) / std,
        errors=errors,
        wasserstein=wasserstein,
        wasserstein_null=null,
        ks=wasserstein,
        ks_pvalue=pvalue,
        gap=gap * unit,
        noise=(noise * (math.sqrt(size) * unit)).astype(np.float32),
        effective_size=size if reference is None else size * reference / (size + reference),
        noise_mean=math.sqrt(2 / math.pi) * law.std,
        ceiling=ceiling.limit,
    )


def _bare(
    distance: float, errors: Float[np.ndarray, " replicates"], w1: float, null: float, note: str
) -> TheoryDistance:
    return TheoryDistance(
        distance,
        errors,
        w1,
        null,
        math.nan,
        math.nan,
        np.zeros(0),
        np.zeros((errors.size, 0), dtype=np.float32),
        (note,),
    )


def _undefined(resampling: Resampling, note: str) -> TheoryDistance:
    return _bare(math.nan, np.full(resampling.replicates, math.nan), math.nan, math.nan, note)


def _infinite(
    samples: Float[np.ndarray, " networks"], laws: Mapping[str, Law], resampling: Resampling
) -> CellDistances:
    count = int(np.isinf(samples).sum())
    note = f"D not defined: {count} of {samples.size} networks are infinite; test their mass with `atom_tests`"
    return CellDistances(
        samples.size, math.nan, math.nan, math.nan, {name: _undefined(resampling, note) for name in laws}
    )
