"""Laws against laws: the stored quantiles of each theory, judged by the errors that the theory declares.

A solved law has no sampling error: its cdf moves by no more than its declared error unless the theory changed. A law
estimated from simulated paths has one, and two such tables are tested like two samples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.report.comparison.findings import Finding
from limitbench.report.comparison.pair import Pair, SharedCell
from limitbench.report.comparison.tables import (
    ASSUMED_ERROR,
    LEAST_ERROR,
    allowed_difference,
    cdf_difference,
    sampling_pvalue,
)
from limitbench.report.style import number


@dataclass(frozen=True)
class Declared:
    """What a law says of its own accuracy: the error of its cdf, and the draws behind it where it is estimated."""

    cdf_error: float
    draws: int | None = None


@dataclass(frozen=True)
class Tables:
    """The laws of one observable in both stores.

    Attributes:
        levels: of the quantiles.
        a, b: quantiles, dims (*axes, theory, quantile) with the axes and theories of each store.
        points_a, points_b: 1 where a law is a point mass, 0 where not, -1 where there is none; dims (*axes, theory).
    """

    pair: Pair
    observable: str

    @cached_property
    def levels(self) -> Float[np.ndarray, " levels"]:
        """Levels of the quantiles; empty where the stores keep different ones."""
        a, b = (r.group("laws") for r in (self.pair.a, self.pair.b))
        if self.observable not in a or self.observable not in b:
            return np.empty(0)
        one, other = a["quantile"].to_numpy().astype(float), b["quantile"].to_numpy().astype(float)
        return one if np.array_equal(one, other) else np.empty(0)

    @cached_property
    def _quantiles(self) -> tuple[Float[np.ndarray, "*a"], Float[np.ndarray, "*b"]]:
        runs = (self.pair.a, self.pair.b)
        return tuple(r.group("laws")[self.observable].transpose(*r.axes, "theory", "quantile").to_numpy() for r in runs)  # type: ignore[return-value]

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        runs = (self.pair.a, self.pair.b)
        stored = [r.group("laws")["point_mass"].sel(observable=self.observable) for r in runs]
        return tuple(s.transpose(*r.axes, "theory").to_numpy().astype(str) for r, s in zip(runs, stored, strict=True))  # type: ignore[return-value]

    def of(
        self, cell: SharedCell, theory: str
    ) -> tuple[Float[np.ndarray, " levels"], Float[np.ndarray, " levels"], str, str]:
        """Quantiles in A and in B, and whether each is a point mass (`yes`, `no`, empty)."""
        parts = []
        for run, at, table, points in zip(
            (self.pair.a, self.pair.b), (cell.a, cell.b), self._quantiles, self._points, strict=True
        ):
            place = (*(at[axis] for axis in run.axes), run.theories.index(theory))
            parts.append((np.asarray(table[place], dtype=float), str(points[place])))
        return parts[0][0], parts[1][0], parts[0][1], parts[1][1]


def compare_laws(pair: Pair, observable: str) -> Iterator[tuple[SharedCell, str, Finding | None]]:
    """Every shared cell and theory that both stores have a law for; None where its tables are bit-identical.

    A law that differs is built once more by this installation, whose declaration of its error is what is known of
    both. Cost: that of the laws that differ.
    """
    tables = Tables(pair, observable)
    if not tables.levels.size:
        return
    for cell in pair.cells:
        for theory in pair.theories:
            a, b, point_a, point_b = tables.of(cell, theory)
            if not (np.isfinite(a).any() and np.isfinite(b).any()):
                continue
            if np.array_equal(a, b, equal_nan=True):
                yield cell, theory, None
                continue
            found = Finding(
                "law",
                pair.name,
                f"{theory}, {observable}",
                cell.label,
                _words(tables.levels, a, point_a == "yes"),
                _words(tables.levels, b, point_b == "yes"),
                math.nan,
                "in the cdf",
            )
            if "yes" in (point_a, point_b):
                yield cell, theory, _judge_points(found, a, b, same_kind=point_a == point_b)
            else:
                yield cell, theory, _judge_tables(found, tables.levels, a, b, pair, cell, theory, observable)


def _judge_points(
    found: Finding, a: Float[np.ndarray, " levels"], b: Float[np.ndarray, " levels"], *, same_kind: bool
) -> Finding:
    """Point masses by their places; a point mass that became a law, or the reverse, is another law."""
    middle = a.size // 2
    difference = abs(float(a[middle] - b[middle]))
    allowed = LEAST_ERROR * max(1.0, abs(float(a[middle])))
    certain = not same_kind or not difference <= allowed
    return dataclasses.replace(found, difference=difference, unit="in its place", allowed=allowed, certain=certain)


def _judge_tables(
    found: Finding,
    levels: Float[np.ndarray, " levels"],
    a: Float[np.ndarray, " levels"],
    b: Float[np.ndarray, " levels"],
    pair: Pair,
    cell: SharedCell,
    theory: str,
    observable: str,
) -> Finding:
    """Two tables by the largest difference of their cdfs, over the levels at which both are finite."""
    finite = np.isfinite(a) & np.isfinite(b)
    difference = cdf_difference(levels[finite], a[finite], b[finite])
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):  # dead or exploded at other levels
        difference = max(difference, float(np.diff(levels).min()))
        return dataclasses.replace(found, difference=difference, allowed=0.0, certain=True)
    known = declared(pair, cell, theory, observable) if difference > allowed_difference(0.0) else Declared(0.0)
    allowed = allowed_difference(known.cdf_error)
    if known.draws is not None:
        pvalue = sampling_pvalue(max(difference - allowed, 0.0), known.draws)
        return dataclasses.replace(found, difference=difference, pvalue=pvalue)
    return dataclasses.replace(found, difference=difference, allowed=allowed, certain=difference > allowed)


def declared(pair: Pair, cell: SharedCell, theory: str, observable: str) -> Declared:
    """What the law of a cell declares in this installation; `ASSUMED_ERROR` where it cannot be built here."""
    known = pair.theory(theory)
    if known is None:
        return Declared(ASSUMED_ERROR)
    try:
        law = known.build(pair.parameters(cell.a)).law(observable)
    except (InputError, KeyError):  # a store of another version may have cells or axes that this one refuses
        return Declared(ASSUMED_ERROR)
    return Declared(law.cdf_error, law.reference_size)


def _words(levels: Float[np.ndarray, " levels"], quantiles: Float[np.ndarray, " levels"], point: bool) -> str:
    low, middle, high = (number(quantiles[np.abs(levels - u).argmin()], 4) for u in (0.05, 0.5, 0.95))
    return f"at {middle}" if point else f"median {middle}, 90 % from {low} to {high}"
