"""Captions computed from the data, and the tables behind the fitted rates."""

from __future__ import annotations

import numpy as np

from limitbench.report import words
from limitbench.report.fits import predicted_errors
from limitbench.report.results import Results, Slice
from limitbench.report.style import number
from limitbench.report.tables import Table
from limitbench.statistics.rates import RateFit


def map_caption(results: Results, at: Slice, observable: str) -> str:
    """Which theories hold at one slice, and in how many cells."""
    ranked = words.standings(results, observable, dict(at.at))
    parts = [f"{results.theory_title(s.theory)} in {s.holds} of {s.scored} cells" for s in ranked if s.holds]
    if not parts:
        return "No theory holds in any cell."
    rest = len(ranked) - len(parts)
    others = (
        ""
        if not rest
        else "; the other theory holds nowhere"
        if rest == 1
        else f"; the other {rest} theories hold nowhere"
    )
    return f"Holds: {words.listing(parts)}{others}."


def reference_law(results: Results, at: Slice, depth: int, observable: str) -> tuple[str | None, dict[str, np.ndarray]]:
    """The best theory that is not a point mass at this slice, and D of the others as its law predicts it."""
    for standing in words.standings(results, observable, dict(at.at)):
        predicted = {
            t: predicted_errors(results, at, depth, observable, t, standing.theory)
            for t in results.said(observable)
            if t != standing.theory
        }
        if standing.holds and any(np.isfinite(p).any() for p in predicted.values()):
            return standing.theory, predicted
    return None, {}


def error_caption(results: Results, fits: dict[str, RateFit], reference: str | None, *, floored: bool) -> str:
    """How D moves with width: fitted exponents, theories that do not improve, what bands and carets mean."""
    parts, flat = [], []
    for theory, fit in fits.items():
        low, high = fit.interval("b")
        if low > 0:
            shape = " with the factor 1 + k n^−1/2" if fit.k else ""
            parts.append(
                f"D of {results.theory_title(theory)} falls with exponent {number(fit.b, 2)} "
                f"[{number(low, 2)}, {number(high, 2)}]{shape}"
            )
        else:
            flat.append(results.theory_title(theory))
    if flat:
        parts.append(f"D does not fall with width for {words.listing(flat)}")
    text = "; ".join(parts) + "." if parts else "No error stands clear of the noise at enough widths for a fit."
    text += " Carets at the lower edge: D not above zero." if floored else ""
    if reference is not None:
        text += (
            f" Broad bands: the error that {results.theory_title(reference)} predicts for the others, without samples."
        )
    return text


def fit_table(results: Results, heading: str, fits: dict[str, RateFit]) -> Table | None:
    """Fitted parameters, None where nothing could be fitted."""
    rows = [
        (results.theory_title(t), *map(number, (f.a, f.b, *f.interval("b"), f.k, f.pvalue))) for t, f in fits.items()
    ]
    return (
        Table(
            f"D = a n^−b (1 + k n^−1/2): {heading}",
            ("theory", "a", "b", "95 % from", "to", "k", "p-value of the fit"),
            rows,
        )
        if rows
        else None
    )
