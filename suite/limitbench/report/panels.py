"""The drawings of one study, section by section: as many as the page has room for, each drawn once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from matplotlib.figure import Figure

from limitbench.report import tables
from limitbench.report.captions import error_caption, fit_table, map_caption, reference_law
from limitbench.report.figures.errors import error_figure
from limitbench.report.figures.overlays import overlay_figure
from limitbench.report.figures.series import SeriesKey, series_figure
from limitbench.report.figures.throughput import throughput_figure
from limitbench.report.fits import errors_of, fit_errors
from limitbench.report.heatmap import HeatMap, heat_map
from limitbench.report.picture import Picture
from limitbench.report.results import Results, Slice
from limitbench.report.selectors import Selector, choose, scored, slug
from limitbench.report.svg import Drawings, inline_svg
from limitbench.report.tables import Table
from limitbench.studies.figures import StudyFigure


@dataclass(frozen=True)
class Detail:
    """How much a page shows of a study, so that it stays small: panels by section, and longer tables."""

    maps: int
    error_figures: int
    overlays: int
    each_ranking: bool = True
    score_tables: bool = False
    n_star_tables: bool = False


#: From the least to the most. Ledger, overall ranking and the study's own figures are never left out.
DETAILS = (
    Detail(2, 1, 1, each_ranking=False),
    Detail(4, 2, 2),
    Detail(8, 4, 4),
    Detail(16, 8, 8),
    Detail(32, 16, 12),
    Detail(96, 48, 24),
    Detail(96, 48, 24, n_star_tables=True),
    Detail(500, 48, 24, n_star_tables=True, score_tables=True),
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


@dataclass(frozen=True)
class OwnFigure:
    """One of the study's own figures: identifier, heading, drawing (empty where no point can be shown), legend."""

    name: str
    title: str
    svg: str
    caption: str
    keys: list[SeriesKey]


@dataclass
class Panels:
    """Everything that is drawn of one study.

    Attributes:
        results, ident: what is shown, and the prefix of its identifiers.
        drawings: shared by all figures of the page.
        drawn, overlays: panels and pictures that are drawn already: pages of any detail share them.
    """

    results: Results
    ident: str
    drawings: Drawings
    drawn: dict[object, Panel | None] = field(default_factory=dict)
    overlays: dict[object, tuple[Picture, str] | None] = field(default_factory=dict)

    def sections(self, detail: Detail) -> dict[str, Section]:
        """Maps of D with tables of N* (`grid`), errors against width (`errors`), and laws against laws (`laws`)."""
        results = self.results
        wide = results.width_axis is not None and len(results.values("width")) > 1
        widths = overlay_widths(results, detail)
        overlays = functools.partial(self._overlay_panel, widths)
        return {
            "grid": self._section("grid", detail.maps, self._grid_panel),
            "errors": self._section("errors", detail.error_figures if wide else 0, self._error_panel),
            "laws": self._section("laws", max(1, detail.overlays // len(widths)), overlays, tuple(widths)),
        }

    @cached_property
    def figures(self) -> list[OwnFigure]:
        """The study's own figures."""
        figures = self.results.figures
        return [] if isinstance(figures, str) else [own_figure(f, self.results, self.drawings) for f in figures]

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

    def _grid_panel(self, observable: str, at: Slice) -> Panel | None:
        results = self.results
        if not np.isfinite(results.plane(results.distance, at, observable)).any():
            return None
        maps = [heat_map(results, at, observable, theory) for theory in results.said(observable)]
        n_star = tables.detectability(results, at, observable)
        return Panel(self._heading(observable, at), [], map_caption(results, at, observable), n_star, maps)

    def _error_panel(self, observable: str, at: Slice) -> Panel | None:
        """D against width at one depth."""
        results = self.results
        depth = reference_depth(results)
        errors = {t: errors_of(results, at, depth, observable, t) for t in results.said(observable)}
        if not any(np.isfinite(e.distance).any() for e in errors.values()):
            return None
        fits = {t: fit for t, e in errors.items() if (fit := fit_errors(e)) is not None}
        heading = self._heading(observable, at, depth)
        reference, predicted = reference_law(results, at, depth, observable)
        figure, desc = error_figure(results, errors, fits, predicted)
        svg = self._svg(figure, f"Error against width: {heading}", desc)
        floored = any((e.distance <= 0).any() for e in errors.values())
        caption = error_caption(results, fits, reference, floored=floored)
        return Panel(heading, [Picture("", svg)], caption, fit_table(results, heading, fits))

    def _overlay_panel(self, widths: Sequence[int], observable: str, at: Slice) -> Panel | None:
        """Densities and cdf differences, one drawing per width."""
        drawn = [found for width in widths if (found := self._overlay(observable, at, width)) is not None]
        heading = self._heading(observable, at, reference_depth(self.results))
        return Panel(heading, [p for p, _ in drawn], " ".join(said for _, said in drawn)) if drawn else None

    def _overlay(self, observable: str, at: Slice, width: int) -> tuple[Picture, str] | None:
        results = self.results
        key = (observable, tuple(at.at.values()), width)
        if key not in self.overlays:
            index = results.cell_index(at, width, reference_depth(results))
            drawn = overlay_figure(results, observable, index)
            self.overlays[key] = None
            if drawn is not None:
                title = f"Network against theories, {results.observable_title(observable)}: {results.cell_label(index)}"
                above = results.where({"width": results.values("width")[width]}) if results.width_axis else ""
                said = f"{above}: {drawn[2]}" if above else drawn[2]
                self.overlays[key] = Picture(above, self._svg(drawn[0], title, drawn[1])), said
        return self.overlays[key]

    @cached_property
    def throughput(self) -> tuple[Picture | None, Table]:
        """Networks per second against width, drawn and as a table."""
        drawn = throughput_figure(self.results)
        picture = None
        if drawn is not None:
            title = f"Networks per second against width, {self.results.name}"
            picture = Picture(drawn[1], self._svg(drawn[0], title, drawn[1]))
        return picture, tables.throughput(self.results)

    # -- parts -----------------------------------------------------------------------------------------------------
    def _svg(self, figure: Figure, title: str, desc: str) -> str:
        return inline_svg(figure, title=title, desc=desc, drawings=self.drawings)

    def _heading(self, observable: str, at: Slice, depth: int | None = None) -> str:
        """`correlation, p = 0.5, d/n = 1`."""
        results = self.results
        parts = [results.observable_title(observable), at.label]
        if depth is not None and results.depth_axis:
            parts.append(results.where({results.depth_axis: results.values(results.depth_axis)[depth]}))
        return ", ".join(part for part in parts if part)


def own_figure(figure: StudyFigure, results: Results, drawings: Drawings) -> OwnFigure:
    """`figure` drawn."""
    drawn = series_figure(figure, results.theories)
    if drawn is None:
        return OwnFigure(slug(figure.name), figure.title, "", figure.caption, [])
    svg = inline_svg(drawn[0], title=figure.title, desc=drawn[1], drawings=drawings)
    return OwnFigure(slug(figure.name), figure.title, svg, figure.caption, drawn[2])


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
