"""One study's result store as the report reads it: axes, slices, scores and words, whatever is finished so far.

This is the only file of the report that knows the layout of a store.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from limitbench.report.style import plain
from limitbench.statistics.observables import OBSERVABLES
from limitbench.studies.base import Study
from limitbench.studies.figures import StudyFigure

#: A grid with the first has the second as an axis like any other.
DEPTH_AXES = ("layer", "depth", "aspect")
DEFAULT_MARGIN = 0.05
SYMBOLS = {"width": "n", "depth": "d", "aspect": "d/n", "layer": "l", "rate": "p"}


@dataclass(frozen=True)
class Slice:
    """One combination of the axes other than width and depth: position and value by axis."""

    at: Mapping[str, int]
    values: Mapping[str, object]
    label: str


@dataclass(frozen=True)
class Results:
    """A study's results with the study's words.

    Attributes:
        tree: the store, possibly half finished.
        study: the study's definition; None where this installation does not know it (names then serve as titles).
        environment: versions and machines that made the numbers, by label.
    """

    tree: xr.DataTree
    study: Study | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    # -- words -----------------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """Identifier of the study."""
        return str(self.tree.attrs.get("study") or (self.study.name if self.study else "unnamed study"))

    @property
    def title(self) -> str:
        """Heading of the study."""
        return self.study.title if self.study else self.name

    @cached_property
    def spec(self) -> dict[str, object]:
        """The stored spec; empty where it is missing or not JSON."""
        raw = self.tree.attrs.get("spec", {})
        if isinstance(raw, Mapping):
            return dict(raw)
        try:
            spec = json.loads(raw)
        except (TypeError, ValueError):
            return {}
        return spec if isinstance(spec, dict) else {}

    @property
    def margin(self) -> float:
        """Largest D at which a theory holds."""
        try:
            return float(self.spec.get("margin", self.scores.attrs.get("margin", DEFAULT_MARGIN)))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return DEFAULT_MARGIN

    def theory_title(self, theory: str) -> str:
        """A few words for a theory."""
        known = {t.name: t.title for t in self.study.theories} if self.study else {}
        return known.get(theory, theory)

    def observable_title(self, observable: str) -> str:
        """A few words for an observable."""
        return OBSERVABLES[observable].title if observable in OBSERVABLES else observable

    def observable_symbol(self, observable: str) -> str:
        """Formula of an observable in plain Unicode."""
        return OBSERVABLES[observable].symbol if observable in OBSERVABLES else observable

    def symbol(self, axis: str) -> str:
        """Short symbol of an axis."""
        known = {a.name: a.symbol for a in self.study.axes} if self.study else {}
        return known.get(axis) or SYMBOLS.get(axis, axis)

    @cached_property
    def figures(self) -> list[StudyFigure] | str:
        """The study's own figures; the reason where its definition cannot draw this store, as one of another version.

        A defect of one study's figures must not cost the page of all, so any error is such a reason.
        """
        try:
            return self.study.figures(self.tree) if self.study else []
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    # -- grid ------------------------------------------------------------------------------------------------------
    def group(self, name: str) -> xr.Dataset:
        """One group of the store; an empty data set where it is missing."""
        return self.tree[name].to_dataset() if name in self.tree.children else xr.Dataset()

    @cached_property
    def run(self) -> xr.Dataset:
        """Per cell: n_samples, status, attempts, seconds, host, device, error."""
        return self.group("run")

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Grid axes in the order of array dimensions."""
        for name in ("n_samples", "status"):
            if name in self.run:
                return tuple(str(d) for d in self.run[name].dims)
        scored = self.scores.get("distance")
        return tuple(str(d) for d in scored.dims if d not in ("observable", "theory")) if scored is not None else ()

    def values(self, axis: str) -> list[object]:
        """Grid values of an axis as plain Python values."""
        for group in (self.run, self.scores):
            if axis in group.coords:
                return list(group[axis].to_numpy().tolist())
        return list(range(self.run.sizes.get(axis, self.scores.sizes.get(axis, 0))))

    @property
    def widths(self) -> Float[np.ndarray, " widths"]:
        """Grid values of the width axis."""
        return np.array(self.values("width"), dtype=float)

    @property
    def depth_axis(self) -> str | None:
        """`layer`, `depth` or `aspect`, whichever varies within the columns of the grid."""
        return next((a for a in DEPTH_AXES if a in self.axes), None)

    @property
    def width_axis(self) -> str | None:
        """`width` where the grid has it."""
        return "width" if "width" in self.axes else None

    @cached_property
    def slice_axes(self) -> tuple[str, ...]:
        """Axes other than width and depth."""
        return tuple(a for a in self.axes if a not in (self.depth_axis, self.width_axis))

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Slice axes with more than one value: what a selector must offer."""
        return tuple(a for a in self.slice_axes if len(self.values(a)) > 1)

    @cached_property
    def slices(self) -> list[Slice]:
        """Every combination of slice-axis values."""
        found = []
        for index in itertools.product(*(range(len(self.values(a))) for a in self.slice_axes)):
            at = dict(zip(self.slice_axes, index, strict=True))
            values = {a: self.values(a)[i] for a, i in at.items()}
            found.append(Slice(at, values, self.where({a: values[a] for a in self.varying})))
        return found

    def where(self, values: Mapping[str, object]) -> str:
        """`p = 0.5, n = 64` for a cell or a part of one."""
        return ", ".join(f"{self.symbol(axis)}\u00a0=\u00a0{plain(value)}" for axis, value in values.items())

    @cached_property
    def n_cells(self) -> int:
        """Number of cells of the grid."""
        return math.prod(len(self.values(a)) for a in self.axes) if self.axes else 0

    @cached_property
    def counts(self) -> Int[np.ndarray, "*cells"]:
        """Networks drawn per cell, dims as `axes`; zero where nothing is finished."""
        if "n_samples" not in self.run:
            return np.zeros([len(self.values(a)) for a in self.axes], dtype=int)
        stored = np.asarray(self.run["n_samples"].transpose(*self.axes).to_numpy(), dtype=float)
        return np.asarray(np.nan_to_num(stored), dtype=int)

    @cached_property
    def counts_asked(self) -> Int[np.ndarray, "*cells"]:
        """The most networks that each cell may have, dims as `axes`."""
        if "n_requested" not in self.run:
            return self.counts
        return np.asarray(self.run["n_requested"].transpose(*self.axes).to_numpy(), dtype=int)

    @cached_property
    def looks(self) -> Int[np.ndarray, "*cells"]:
        """Looks that each cell took, dims as `axes`; 0 where it has a fixed number of networks."""
        if "looks" not in self.run:
            return np.zeros(self.counts.shape, dtype=int)
        return np.asarray(self.run["looks"].transpose(*self.axes).to_numpy(), dtype=int)

    @property
    def sequential(self) -> Bool[np.ndarray, "*cells"]:
        """Whether each cell is drawn until its verdicts are clear, dims as `axes`."""
        return self.looks > 0

    @property
    def unfinished(self) -> int:
        """Cells whose status is not `done`."""
        return int((self.run["status"].to_numpy() != "done").sum()) if "status" in self.run else 0

    # -- scores ----------------------------------------------------------------------------------------------------
    @cached_property
    def scores(self) -> xr.Dataset:
        """All scores, in memory."""
        return self.group("scores").load()

    @cached_property
    def observables(self) -> tuple[str, ...]:
        """Scored observables, in report order."""
        return tuple(str(o) for o in self.scores["observable"].to_numpy()) if "observable" in self.scores.coords else ()

    @cached_property
    def theories(self) -> tuple[str, ...]:
        """Competing theories, in report order."""
        for group in (self.scores, self.group("laws")):
            if "theory" in group.coords:
                return tuple(str(t) for t in group["theory"].to_numpy())
        return tuple(t.name for t in self.study.theories) if self.study else ()

    def is_check(self, theory: str) -> bool:
        """Whether a theory only checks another one: scored and shown, but not ranked."""
        known = {t.name: t.role for t in self.study.theories} if self.study else {}
        return known.get(theory) == "check"

    def score(self, field: str) -> Float[np.ndarray, "*cells observables theories"]:
        """One score field with dims (*axes, observable, theory); NaN where it is missing."""
        if field not in self.scores:
            shape = [len(self.values(a)) for a in self.axes]
            return np.full((*shape, len(self.observables), len(self.theories)), np.nan)
        return np.asarray(self.scores[field].transpose(*self.axes, "observable", "theory").to_numpy(), dtype=float)

    @cached_property
    def distance(self) -> Float[np.ndarray, "*cells observables theories"]:
        """D of every cell, observable and theory."""
        return self.score("distance")

    @cached_property
    def verdicts(self) -> np.ndarray:
        """Verdict words with dims (*axes, observable, theory); empty where nothing is scored."""
        if "verdict" not in self.scores:
            return np.full(self.distance.shape, "", dtype=object)
        stored = self.scores["verdict"].transpose(*self.axes, "observable", "theory")
        raw = stored.to_numpy()
        meanings = stored.attrs.get("flag_meanings")
        if raw.dtype.kind in "iuf" and meanings is not None:
            words = meanings.split() if isinstance(meanings, str) else [str(m) for m in meanings]
            codes = [int(v) for v in stored.attrs.get("flag_values", range(len(words)))]
            table = dict(zip(codes, words, strict=False))
            decoded = np.array([table.get(int(v), "") if np.isfinite(v) else "" for v in raw.ravel()], dtype=object)
            raw = decoded.reshape(raw.shape)
        found = np.asarray(raw, dtype=object).astype(str).astype(object)
        found[~np.isfinite(self.distance)] = ""
        return found

    def plane(
        self, values: np.ndarray, at: Slice, observable: str, theory: str | None = None
    ) -> Float[np.ndarray, "depths widths *theories"] | np.ndarray:
        """The (depth, width) plane of a score array at one slice; with a last axis of theories if none is named."""
        index: list[object] = [at.at.get(a, slice(None)) for a in self.axes]
        part = values[(*index, self.observables.index(observable))]  # type: ignore[arg-type]
        order = [a for a in self.axes if a not in at.at]
        if self.depth_axis is None:
            part, order = part[None], ["", *order]
        if self.width_axis is None:
            part, order = part[:, None] if order else part[None], [*order, ""]
        if order and order[0] == self.width_axis:
            part = np.swapaxes(part, 0, 1)
        return part[..., self.theories.index(theory)] if theory is not None else part

    def axis_labels(self, axis: str | None) -> list[str]:
        """Tick labels of the width or depth axis."""
        return [plain(v) for v in self.values(axis)] if axis else [""]

    def said(self, observable: str) -> list[str]:
        """Theories that have a score for `observable` somewhere."""
        o = self.observables.index(observable)
        finite = np.isfinite(self.distance[..., o, :]).reshape(-1, len(self.theories)).any(axis=0)
        return [t for t, found in zip(self.theories, finite, strict=True) if found]

    def cell_index(self, at: Slice, width: int, depth: int) -> dict[str, int]:
        """Array position of a cell by axis."""
        index = dict(at.at)
        if self.width_axis:
            index[self.width_axis] = width
        if self.depth_axis:
            index[self.depth_axis] = depth
        return index

    def cell_label(self, index: Mapping[str, int], *, all_axes: bool = False) -> str:
        """Words for a cell: its width, depth and every axis that varies."""
        shown = [a for a in self.axes if all_axes or len(self.values(a)) > 1 or a not in self.slice_axes]
        return self.where({a: self.values(a)[index[a]] for a in shown if a in index})

    # -- laws and samples ------------------------------------------------------------------------------------------
    def samples(self, observable: str, index: Mapping[str, int]) -> Float[np.ndarray, " networks"]:
        """The networks' values at one cell: the finite ones, which leaves out padding and blocks not yet drawn."""
        group = self.group("samples")
        if observable not in group:
            return np.empty(0)
        values = np.asarray(group[observable].isel(dict(index)).to_numpy(), dtype=float)
        if values.ndim != 1:
            return np.empty(0)
        return np.asarray(values[np.isfinite(values)])

    def quantiles(
        self, observable: str, index: Mapping[str, int]
    ) -> tuple[Float[np.ndarray, " levels"], Float[np.ndarray, "theories levels"]]:
        """Levels and every theory's quantiles at one cell; NaN where a theory says nothing."""
        laws = self.group("laws")
        if observable not in laws:
            return np.empty(0), np.full((len(self.theories), 0), np.nan)
        law = laws[observable].isel(dict(index)).transpose("theory", "quantile")
        return law["quantile"].to_numpy().astype(float), law.to_numpy().astype(float)
