"""Tests of a difference between two samples, or a sample and a law, and corrections for making many of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.distances import Comparison, kolmogorov_pvalue


def ks_two_sample(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """Kolmogorov-Smirnov statistic sup|F_a - F_b| of two samples, and its p-value.

    Kolmogorov's limit at the effective size nm/(n + m) with Stephens' correction; below 10^4 products nm the exact law.
    Cost: two sorts.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("samples", "values that are not finite", "finite samples: test atoms with atom_tests")
    if a.size * b.size <= 10_000:
        exact = stats.ks_2samp(a, b, method="exact")
        return float(exact.statistic), float(exact.pvalue)
    x, y = np.sort(a), np.sort(b)
    both = np.concatenate([x, y])
    gap = np.searchsorted(x, both, side="right") / x.size - np.searchsorted(y, both, side="right") / y.size
    ks = float(np.abs(gap).max())
    return ks, kolmogorov_pvalue(ks, a.size * b.size / (a.size + b.size))


def ks_one_sample(a: Float[np.ndarray, " n"], law: Law) -> tuple[float, float]:
    """Kolmogorov-Smirnov statistic of a sample against a law, and its p-value (two-sample for an estimated law)."""
    held = Comparison.build(np.sort(a), law)
    return held.kolmogorov_smirnov, held.ks_pvalue


def mean_z(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"] | float, b_se: float = 0.0) -> float:
    """(mean a - mean b) over the combined standard error; `b` a sample, or a number with standard error `b_se`."""
    mean, se = (float(b), b_se) if isinstance(b, float) else (float(b.mean()), float(b.std(ddof=1)) / math.sqrt(b.size))
    return (float(a.mean()) - mean) / math.hypot(float(a.std(ddof=1)) / math.sqrt(a.size), se)


def variance_z(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"] | float, b_se: float = 0.0) -> float:
    """(var a - var b) over the combined standard error.

    The standard error of a sample variance is √((m4 - s^4)/n), m4 the fourth central moment, which
    the law must have.
    """
    value, error = _variance(a)
    other, other_error = (float(b), b_se) if isinstance(b, float) else _variance(b)
    return (value - other) / math.hypot(error, other_error)


def _variance(a: Float[np.ndarray, " n"]) -> tuple[float, float]:
    centred = a - a.mean()
    variance = float(a.var(ddof=1))
    fourth = float((centred**4).mean())
    return variance, math.sqrt(max(fourth - variance**2, 0.0) / a.size)


def holm(pvalues: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Holm's step-down adjusted p-values: reject where they are <= α for family-wise error α, whatever the dependence.

    NaN entries stay NaN and do not count as tests.
    """
    flat = pvalues.ravel()
    adjusted = np.full(flat.shape, math.nan)
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(flat[order] * factors), 1.0)
    return adjusted.reshape(pvalues.shape)


def simultaneous(
    estimates: Float[np.ndarray, " cells"], replicates: Float[np.ndarray, "replicates cells"], level: float = 0.95
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Lower and upper ends of a band that holds all true values together with probability `level`.

    Max-statistic: estimate ± c se, c the `level` quantile of max over cells of |replicate error|/se. `replicates` are
    joint bootstrap replicates of the errors (centred) or of the estimates: their mean is taken off.
    """
    errors = replicates - replicates.mean(axis=0)
    se = errors.std(axis=0, ddof=1)
    scaled = np.abs(errors) / np.where(se > 0, se, 1.0)
    critical = float(np.quantile(scaled.max(axis=1), level))
    return estimates - critical * se, estimates + critical * se


@dataclass(frozen=True)
class AtomTest:
    """Result of `atom_tests`: counts in the atom, binomial p-value of its mass, KS and p-value of the rest."""

    count: int
    expected: float
    mass_pvalue: float
    rest_ks: float
    rest_pvalue: float


def atom_tests(samples: Float[np.ndarray, " n"], law: Law, *, atom: float, mass: float, seed: int = 0) -> AtomTest:
    """Test samples against a law with an atom of the given `mass` at `atom` (which may be ±inf: dead or exploded).

    The number in the atom is Binomial(n, mass) (exact two-sided test). The rest is uniform after the randomised
    probability integral transform F(x-) + V (F(x) - F(x-)), V uniform, conditional on not being in the atom; `law` is
    the whole law, with F(x) including the atom from `atom` on. Ties in a discrete rest are broken by V too.

    Raises `InputError` for a mass outside [0, 1].
    """
    if not 0 <= mass <= 1:
        raise InputError("mass", mass, "a probability in [0, 1]")
    inside = samples == atom
    count, rest = int(inside.sum()), samples[~inside]
    mass_pvalue = float(stats.binomtest(count, samples.size, mass).pvalue)
    if not rest.size or mass == 1:
        return AtomTest(count, samples.size * mass, mass_pvalue, math.nan, math.nan)
    above = law.cdf(rest)
    below = np.minimum(law.cdf(np.nextafter(rest, -np.inf)), above)
    shift = np.where(rest > atom, mass, 0.0)
    v = np.random.default_rng(seed).random(rest.size)
    u = np.sort((below + v * (above - below) - shift) / (1 - mass))
    rank = np.arange(rest.size + 1) / rest.size
    ks = float(max((rank[1:] - u).max(), (u - rank[:-1]).max()))
    return AtomTest(count, samples.size * mass, mass_pvalue, ks, kolmogorov_pvalue(ks, rest.size))
