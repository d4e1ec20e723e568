"""The drawings of one study, section by section: as many as the page has room for, each drawn once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from limitbench.report import tables
from limitbench.report.captions import fit_table, map_caption
from limitbench.report.heatmap import HeatMap, heat_map
from limitbench.report.picture import Picture
from limitbench.report.pictures import OwnFigure, Pictures
from limitbench.report.results import Results, Slice
from limitbench.report.selectors import Selector, choose, scored
from limitbench.report.svg import Drawings
from limitbench.report.tables import Table


@dataclass(frozen=True)
class Detail:
    """How much a page shows of a study, so that it stays small: panels by section, longer tables, numbers as CSV."""

    maps: int
    error_figures: int
    overlays: int
    validity: int = 1
    paths: int = 0
    quantiles: bool = False
    each_ranking: bool = True
    score_tables: bool = False
    n_star_tables: bool = False
    data: bool = True


#: From the least to the most. Ledger, overall ranking and the study's own figures are never left out.
DETAILS = (
    Detail(1, 0, 1, each_ranking=False, data=False),
    Detail(2, 1, 1, each_ranking=False),
    Detail(4, 2, 2, validity=2, paths=1),
    Detail(6, 3, 2, validity=3, paths=1, quantiles=True),
    Detail(8, 4, 4, validity=4, paths=2, quantiles=True),
    Detail(16, 8, 8, validity=9, paths=4, quantiles=True),
    Detail(32, 16, 12, validity=18, paths=6, quantiles=True),
    Detail(96, 48, 24, validity=36, paths=8, quantiles=True),
    Detail(96, 48, 24, validity=36, paths=8, quantiles=True, n_star_tables=True),
    Detail(500, 48, 24, validity=36, paths=8, quantiles=True, n_star_tables=True, score_tables=True),
)
#: Beyond this many scores the tables of every score never fit.
MOST_TABLED_SCORES = 2500


@dataclass(frozen=True)
class Panel:
    """What one choice of a selector shows."""

    heading: str
    pictures: list[Picture]
    caption: str
    table: Table | None = None
    maps: list[HeatMap] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A selector and its panels with their classes; a sentence where some were left out."""

    selector: Selector
    panels: list[tuple[str, Panel]]
    left_out: str = ""


@dataclass
class Panels:
    """Everything that is drawn of one study.

    Attributes:
        results, ident: what is shown, and the prefix of its identifiers.
        drawings: shared by all figures of the page.
        drawn, laws: panels and pictures that are drawn already: pages of any detail share them.
    """

    results: Results
    ident: str
    drawings: Drawings
    drawn: dict[object, Panel | None] = field(default_factory=dict)
    laws: dict[object, tuple[Picture, str] | None] = field(default_factory=dict)

    def sections(self, detail: Detail) -> dict[str, Section]:
        """The sections that have selectors.

        `validity`: which theory describes which part of the plane; `grid`: maps of D with tables of N*; `errors`:
        against width; `laws`: densities, cdf differences and quantiles; `paths`: along depth.
        """
        results = self.results
        wide = results.width_axis is not None and len(results.values("width")) > 1
        deep = results.depth_axis is not None and len(results.values(results.depth_axis)) > 1
        long = deep and len(results.values(str(results.depth_axis))) > 2
        widths = overlay_widths(results, detail)
        laws = functools.partial(self._law_panel, widths, detail.quantiles)
        most = max(1, detail.overlays // len(widths))
        return {
            "validity": self._section("validity", detail.validity if wide and deep else 0, self._validity_panel),
            "grid": self._section("grid", detail.maps, self._grid_panel),
            "errors": self._section("errors", detail.error_figures if wide else 0, self._error_panel),
            "laws": self._section("laws", most, laws, tuple(widths), detail.quantiles),
            "paths": self._section("paths", detail.paths if long else 0, self._path_panel),
        }

    @property
    def pictures(self) -> Pictures:
        """Draws them."""
        return Pictures(self.results, self.drawings)

    @cached_property
    def figures(self) -> list[OwnFigure]:
        """The study's own figures."""
        figures = self.results.figures
        return [] if isinstance(figures, str) else [self.pictures.own(figure) for figure in figures]

    @cached_property
    def throughput(self) -> tuple[Picture | None, Table]:
        """Networks per second against width, drawn and as a table."""
        return self.pictures.throughput(), tables.throughput(self.results)

    def _section(self, name: str, most: int, draw: Callable[[str, Slice], Panel | None], *how: object) -> Section:
        """The panels of a section, those drawn before taken over; none where there is nothing to show."""
        if not most or not scored(self.results):
            return Section(Selector(f"{self.ident}-{name}", []), [])
        choices = choose(self.results, f"{self.ident}-{name}", most)
        panels = []
        for choice in choices.panels:
            key = (name, choice.observable, tuple(choice.at.at.values()), *how)
            if key not in self.drawn:
                self.drawn[key] = draw(choice.observable, choice.at)
            panel = self.drawn[key] or Panel(self._heading(choice.observable, choice.at), [], "Nothing is scored here.")
            panels.append((choice.classes, panel))
        return Section(choices.selector, panels, choices.left_out)

    def _validity_panel(self, observable: str, at: Slice) -> Panel | None:
        """The map by the nearest theory, and by the simplest that holds where that is another one."""
        nearest, simplest = (self.pictures.validity(observable, at, rule) for rule in ("nearest", "simplest"))
        if nearest is None or simplest is None:
            return None
        same = bool((nearest[1].chosen == simplest[1].chosen).all())
        drawn = [nearest] if same else [simplest, nearest]
        captions = [validity.caption(whole=k == len(drawn) - 1) for k, (_, validity) in enumerate(drawn)]
        return Panel(self._heading(observable, at), [picture for picture, _ in drawn], " ".join(captions))

    def _grid_panel(self, observable: str, at: Slice) -> Panel | None:
        results = self.results
        if not np.isfinite(results.plane(results.distance, at, observable)).any():
            return None
        maps = [heat_map(results, at, observable, theory) for theory in results.said(observable)]
        n_star = tables.detectability(results, at, observable)
        return Panel(self._heading(observable, at), [], map_caption(results, at, observable), n_star, maps)

    def _error_panel(self, observable: str, at: Slice) -> Panel | None:
        """D against width at one depth."""
        depth = reference_depth(self.results)
        heading = self._heading(observable, at, depth)
        found = self.pictures.errors(observable, at, depth, heading)
        if found is None:
            return None
        picture, caption, fits = found
        return Panel(heading, [picture], caption, fit_table(self.results, heading, fits))

    def _law_panel(self, widths: Sequence[int], quantiles: bool, observable: str, at: Slice) -> Panel | None:
        """Densities and cdf differences, one drawing per width, and quantiles at the largest."""
        kinds = [("overlay", width) for width in widths] + [("quantiles", widths[-1])] * quantiles
        drawn = [found for kind, width in kinds if (found := self._law(kind, observable, at, width)) is not None]
        heading = self._heading(observable, at, reference_depth(self.results))
        return Panel(heading, [p for p, _ in drawn], " ".join(said for _, said in drawn)) if drawn else None

    def _law(self, kind: str, observable: str, at: Slice, width: int) -> tuple[Picture, str] | None:
        key = (kind, observable, tuple(at.at.values()), width)
        if key not in self.laws:
            index = self.results.cell_index(at, width, reference_depth(self.results))
            draw = self.pictures.overlay if kind == "overlay" else self.pictures.quantiles
            found = draw(observable, index)
            if found is not None and found[0].heading:
                found = found[0], f"{found[0].heading.removesuffix(', quantiles')}: {found[1]}"
            self.laws[key] = found
        return self.laws[key]

    def _path_panel(self, observable: str, at: Slice) -> Panel | None:
        """One column along depth, at the largest width."""
        last = max(len(self.results.values("width")) - 1, 0) if self.results.width_axis else 0
        found = self.pictures.paths(observable, at, last)
        return None if found is None else Panel(self._heading(observable, at), [found[0]], found[1])

    def _heading(self, observable: str, at: Slice, depth: int | None = None) -> str:
        """`correlation, p = 0.5, d/n = 1`."""
        results = self.results
        parts = [results.observable_title(observable), at.label]
        if depth is not None and results.depth_axis:
            parts.append(results.where({results.depth_axis: results.values(results.depth_axis)[depth]}))
        return ", ".join(part for part in parts if part)


def overlay_widths(results: Results, detail: Detail) -> list[int]:
    """Positions of the smallest and the largest width; of the largest alone where the page has room for one."""
    if results.width_axis is None:
        return [0]
    last = len(results.values("width")) - 1
    return sorted({0, last}) if detail.overlays > len(scored(results)) else [last]


def reference_depth(results: Results) -> int:
    """Position on the depth axis of figures at one depth: depth = width where the grid has it, else the middle."""
    if results.depth_axis is None:
        return 0
    values = results.values(results.depth_axis)
    if results.depth_axis == "aspect":
        return int(np.argmin([abs(np.log(max(float(v), 1e-9))) for v in values]))  # type: ignore[arg-type]
    return len(values) // 2
