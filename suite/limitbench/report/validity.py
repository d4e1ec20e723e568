"""Which theory describes which part of the depth x width plane: the numbers of the validity map and its caption.

By one rule a cell belongs to the theory that is nearest; by the other to the simplest that holds: a study lists its
theories from the simplest to the most exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from limitbench.report.results import Results, Slice
from limitbench.report.style import count, number, plain

Rule = Literal["nearest", "simplest"]


@dataclass(frozen=True, eq=False)
class Validity:
    """The map of one observable at one slice of the grid.

    Attributes:
        results, at, observable: what it is about.
        rule: `nearest`: the smallest D; where the smallest lies within intervals of several theories, the first listed
            of them that holds, else the first. `simplest`: the first listed theory that holds, else the nearest.
    """

    results: Results
    at: Slice
    observable: str
    rule: Rule = "nearest"

    @cached_property
    def theories(self) -> list[str]:
        """The competing theories that say something, in report order."""
        return [t for t in self.results.said(self.observable) if not self.results.is_check(t)]

    @property
    def exists(self) -> bool:
        """Whether there is a plane to draw: two depths, two widths and a score."""
        results = self.results
        axes = (results.depth_axis, results.width_axis)
        return all(a is not None and len(results.values(a)) > 1 for a in axes) and bool((self.chosen >= 0).any())

    def plane(self, field: str, theory: str) -> Float[np.ndarray, "depths widths"]:
        """One field of the scores of one theory."""
        results = self.results
        return np.asarray(results.plane(results.score(field), self.at, self.observable, theory))

    @cached_property
    def _stack(self) -> tuple[Float[np.ndarray, "theories depths widths"], np.ndarray]:
        """D and verdicts of the competing theories."""
        results = self.results
        verdicts = [results.plane(results.verdicts, self.at, self.observable, t) for t in self.theories]
        return np.stack([self.plane("distance", t) for t in self.theories]), np.stack(verdicts)

    @cached_property
    def chosen(self) -> Int[np.ndarray, "depths widths"]:
        """Position in `theories` of the theory that each cell belongs to, -1 where nothing is scored."""
        if not self.theories:
            return np.full((1, 1), -1)
        distance, verdicts = self._stack
        scored = np.isfinite(distance)
        smallest = np.where(scored, distance, np.inf).min(axis=0)
        low = np.stack([self.plane("distance_low", t) for t in self.theories])
        # an interval of a D that has none ends at D itself
        tied = scored & (np.where(np.isfinite(low), np.minimum(low, distance), distance) <= smallest)
        holds = verdicts == "holds"
        tied = np.where((tied & holds).any(axis=0), tied & holds, tied)
        found = np.where(scored.any(axis=0), tied.argmax(axis=0), -1)
        if self.rule == "simplest":
            found = np.where(holds.any(axis=0), holds.argmax(axis=0), found)
        return np.asarray(found)

    def _of_chosen(self, values: np.ndarray) -> np.ndarray:
        picked = np.take_along_axis(values, np.maximum(self.chosen, 0)[None], axis=0)[0]
        return np.asarray(picked)

    @cached_property
    def distance(self) -> Float[np.ndarray, "depths widths"]:
        """D of the theory that each cell belongs to, NaN where nothing is scored."""
        return np.where(self.chosen >= 0, self._of_chosen(self._stack[0]), np.nan)

    @cached_property
    def verdict(self) -> np.ndarray:
        """Its verdict, empty where nothing is scored."""
        return np.where(self.chosen >= 0, self._of_chosen(self._stack[1]), "")

    @cached_property
    def n_star(self) -> Float[np.ndarray, "depths widths"]:
        """Networks that it takes to reject it; NaN where the run does not say."""
        return np.where(
            self.chosen >= 0, self._of_chosen(np.stack([self.plane("n_star", t) for t in self.theories])), np.nan
        )

    @property
    def depths(self) -> Float[np.ndarray, " depths"]:
        """Values of the depth axis of the grid."""
        return np.array(self.results.values(str(self.results.depth_axis)), dtype=float)

    @property
    def widths(self) -> Float[np.ndarray, " widths"]:
        """Values of the width axis of the grid."""
        return self.results.widths

    def columns(self) -> dict[str, list[object]]:
        """The map as a table, one row a cell."""
        rows, places = self.chosen.shape[0], self.chosen.shape[1]
        at = [(i, j) for i in range(rows) for j in range(places) if self.chosen[i, j] >= 0]
        return {
            str(self.results.depth_axis): [self.depths[i] for i, _ in at],
            "width": [self.widths[j] for _, j in at],
            "theory": [self.theories[self.chosen[c]] for c in at],
            "D": [self.distance[c] for c in at],
            "verdict": [self.verdict[c] for c in at],
            "n_star": [self.n_star[c] for c in at],
        }

    # -- words -----------------------------------------------------------------------------------------------------
    def caption(self, *, whole: bool = True) -> str:
        """Which theory covers which region, with numbers; `whole`: and where none holds, which no rule changes."""
        scored = int((self.chosen >= 0).sum())
        if not scored:
            return "Nothing is scored here."
        parts = [self._theory_words(int(k), scored) for k in np.unique(self.chosen[self.chosen >= 0])]
        first = "Nearest" if self.rule == "nearest" else "Simplest that holds"
        return f"{first}: {'; '.join(parts)}." + (self._where_none_holds(scored) if whole else "")

    def _theory_words(self, k: int, scored: int) -> str:
        """`covariance SDE in 6 of 15 cells (n ≥ 64), holds in 5, D at most 0.04, N* from 900`."""
        mine = self.chosen == k
        if self.rule == "simplest":
            kept = mine & (self.verdict == "holds")
            if not kept.any():
                return f"{self.results.theory_title(self.theories[k])} is only the nearest in {int(mine.sum())}"
            mine = kept
        holds = int((self.verdict[mine] == "holds").sum())
        text = f"{self.results.theory_title(self.theories[k])} in {int(mine.sum())} of {scored} cells"
        text += f" ({region(self, mine)})" if mine.sum() < (self.chosen >= 0).sum() else ""
        if self.rule == "nearest":
            undecided = int((self.verdict[mine] == "undecided").sum())
            text += f", where it holds in {'all' if holds == mine.sum() else holds or 'none'}"
            text += f" and is undecided in {undecided}" if undecided else ""
        text += f", D up to {number(max(float(np.nanmax(self.distance[mine])), 0.0), 2)}"
        needed = self.n_star[mine & np.isfinite(self.n_star)]
        return text + (f", N* from {count(needed.min())}" if needed.size else "")

    def _where_none_holds(self, scored: int) -> str:
        """How many cells no theory holds in, and in how many that is undecided, with their regions."""
        verdicts = self._stack[1]
        none = (self.chosen >= 0) & ~(verdicts == "holds").any(axis=0)
        open_ = none & (verdicts == "undecided").any(axis=0)
        if not none.any():
            return f" In each of the {scored} cells some theory holds."

        def cells(which: np.ndarray) -> str:
            if which.sum() == scored:
                return "all cells" if which is open_ else "any cell"
            return f"{int(which.sum())} cell{'s' if which.sum() > 1 else ''} ({region(self, which)})"

        failing = none & ~open_
        text = f" No theory holds in {cells(failing)}." if failing.any() else ""
        return text + (f" Whether one holds is undecided in {cells(open_)}." if open_.any() else "")


def region(validity: Validity, mine: Bool[np.ndarray, "depths widths"]) -> str:
    """Words for a set of cells: `n ≥ 64, d/n ≤ 0.5` where that is exactly it, else how far it reaches."""
    results, known = validity.results, validity.chosen >= 0
    parts, box = [], np.ones_like(mine)
    for axis, values, name in ((1, validity.widths, "width"), (0, validity.depths, str(results.depth_axis))):
        used = np.flatnonzero(mine.any(axis=1 - axis))
        low, high, last = int(used[0]), int(used[-1]), len(values) - 1
        keep = np.arange(len(values))
        inside = (keep >= low) & (keep <= high)
        box = box & (inside[None, :] if axis == 1 else inside[:, None])
        symbol = results.symbol(name)
        if low == high:
            parts.append(f"{symbol} = {plain(float(values[low]))}")
        elif low > 0 and high == last:
            parts.append(f"{symbol} ≥ {plain(float(values[low]))}")
        elif low == 0 and high < last:
            parts.append(f"{symbol} ≤ {plain(float(values[high]))}")
        elif low > 0:
            parts.append(f"{symbol} from {plain(float(values[low]))} to {plain(float(values[high]))}")
    if (box & known == mine).all():
        return ", ".join(parts) or "everywhere"
    return f"within {', '.join(parts)}" if parts else "scattered"
