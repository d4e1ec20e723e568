"""Error against width: the points of one theory, the curve that another law predicts for them, and the fitted rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.report.results import Results, Slice
from limitbench.statistics.rates import RateFit, clear_of_null, fit_rate

#: Half width of a reported interval in standard errors, to turn intervals back into weights.
INTERVAL_ERRORS = 1.96


@dataclass(frozen=True)
class Errors:
    """D against width for one theory at one depth, NaN where not scored.

    `resolved` marks widths where W1 is clear of the noise and D has an interval.
    """

    widths: Float[np.ndarray, " widths"]
    distance: Float[np.ndarray, " widths"]
    low: Float[np.ndarray, " widths"]
    high: Float[np.ndarray, " widths"]
    resolved: np.ndarray


def errors_of(results: Results, at: Slice, depth: int, observable: str, theory: str) -> Errors:
    """Scores along width at position `depth` of the depth axis."""
    fields = ("distance", "distance_low", "distance_high", "wasserstein", "wasserstein_null")
    distance, low, high, wasserstein, null = (
        np.asarray(results.plane(results.score(field), at, observable, theory)[depth]) for field in fields
    )
    with np.errstate(invalid="ignore"):
        resolved = np.isfinite(high - low) & (distance > 0) & clear_of_null(wasserstein, null)
    return Errors(results.widths, distance, low, high, resolved)


def predicted_errors(
    results: Results, at: Slice, depth: int, observable: str, theory: str, reference: str
) -> Float[np.ndarray, " widths"]:
    """D that `theory` would have if `reference` were the network's law: W1 between the two laws over the latter's sd.

    Computed from the stored quantiles, without any sample; NaN where a law is missing or the reference is a point.
    """
    found = []
    for width in range(len(results.values("width"))):
        levels, quantiles = results.quantiles(observable, results.cell_index(at, width, depth))
        one, other = quantiles[results.theories.index(theory)], quantiles[results.theories.index(reference)]
        known = np.isfinite(one) & np.isfinite(other)
        if known.sum() < 10:
            found.append(np.nan)
            continue
        u, p, q = levels[known], one[known], other[known]
        mass = np.trapezoid(np.ones_like(u), u)
        mean = np.trapezoid(q, u) / mass
        sd = np.sqrt(np.trapezoid((q - mean) ** 2, u) / mass)
        found.append(float(np.trapezoid(np.abs(p - q), u) / mass / sd) if sd > 1e-12 * (1 + abs(mean)) else np.nan)
    return np.array(found)


def fit_errors(errors: Errors) -> RateFit | None:
    """Weighted fit of D = a n^-b over the resolved widths; with the factor 1 + k n^-1/2 where the data ask for it.

    The factor is fitted where the pure power law is rejected at 1 % and the corrected fit still fixes b to ±0.25. None
    where fewer than three widths stand clear of the noise.
    """
    use = errors.resolved
    if use.sum() < 3:
        return None
    widths, distance = errors.widths[use], errors.distance[use]
    se = np.maximum((errors.high - errors.low)[use] / (2 * INTERVAL_ERRORS), 1e-6 * distance)
    plain = fit_rate(widths, distance, se)
    if use.sum() >= 4 and plain.pvalue < 0.01:
        corrected = fit_rate(widths, distance, se, corrected=True)
        if INTERVAL_ERRORS * corrected.b_se <= 0.25 and corrected.a > 0 and bool((corrected.predict(widths) > 0).all()):
            return corrected
    return plain if plain.a > 0 else None
