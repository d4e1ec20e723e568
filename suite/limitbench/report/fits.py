"""Error against width: the points of one theory, the curve that another law predicts for them, and the fitted rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.report.results import Results, Slice

#: A point enters a fit only where W1 exceeds this many null means: below, the debiased error is noise.
NULL_FACTOR = 5.0
#: Half width of a reported interval in standard errors, to turn intervals back into weights.
INTERVAL_ERRORS = 1.96


@dataclass(frozen=True)
class Errors:
    """D against width for one theory at one depth, NaN where not scored."""

    widths: Float[np.ndarray, " widths"]
    distance: Float[np.ndarray, " widths"]
    low: Float[np.ndarray, " widths"]
    high: Float[np.ndarray, " widths"]
    resolved: np.ndarray


@dataclass(frozen=True)
class Fit:
    """D = a n^-b (1 + k n^-1/2) fitted by weighted least squares, with a 95 % interval for b; k = 0 where not fitted."""

    a: float
    b: float
    b_low: float
    b_high: float
    k: float = 0.0

    def __call__(self, widths: Float[np.ndarray, " widths"]) -> Float[np.ndarray, " widths"]:
        """D at `widths`."""
        return self.a * widths**-self.b * (1 + self.k * widths**-0.5)


def errors_of(results: Results, at: Slice, depth: int, observable: str, theory: str) -> Errors:
    """Scores along width at position `depth` of the depth axis."""

    def line(field: str) -> Float[np.ndarray, " widths"]:
        return results.plane(results.score(field), at, observable, theory)[depth]

    widths = np.array([float(v) for v in results.values("width")])  # type: ignore[arg-type]
    distance = line("distance")
    with np.errstate(invalid="ignore"):
        resolved = np.isfinite(distance) & (distance > 0) & (line("wasserstein") > NULL_FACTOR * line("wasserstein_null"))
    return Errors(widths, distance, line("distance_low"), line("distance_high"), resolved)


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


def fit_errors(errors: Errors) -> Fit | None:
    return None
