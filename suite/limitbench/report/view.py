"""What the templates show of one study: panels of figures, selectors, tables and words, ready to print."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from limitbench.report import tables, words
from limitbench.report.captions import error_caption, fit_table, map_caption, reference_law
from limitbench.report.figures.errors import error_figure
from limitbench.report.figures.overlays import overlay_figure
from limitbench.report.figures.throughput import throughput_figure
from limitbench.report.fits import errors_of, fit_errors
from limitbench.report.heatmap import HeatMap, heat_map
from limitbench.report.provenance import provenance, repeat_command
from limitbench.report.results import Results, Slice, spread
from limitbench.report.style import HEAT_EDGES, VERDICTS, number, plain, theory_style
from limitbench.report.svg import Drawings, inline_svg
from limitbench.report.tables import Table


@dataclass(frozen=True)
class Detail:
    """How much a page shows of each study, so that it stays small: figures by kind, and tables of every score."""

    overlays: int
    error_figures: int
    score_tables: bool = True
    n_star_tables: bool = True


#: From the most to the least; the first that fits the size limit is used.
DETAILS = (Detail(24, 48), Detail(16, 48, False, False), Detail(8, 12, False, False))
#: Beyond this many scores the tables of every score never fit.
MOST_TABLED_SCORES = 2500


@dataclass(frozen=True)
class Option:
    """One choice of a selector; panels that carry class `name` belong to it."""

    name: str
    label: str
    checked: bool


@dataclass(frozen=True)
class Selector:
    """Radio groups that show one panel at a time by CSS alone."""

    ident: str
    groups: list[tuple[str, list[Option]]]

    def css(self) -> str:
        """One rule per option: where it is checked, panels of the other options are hidden."""
        return "\n".join(
            f"#{self.ident}:has(#{self.ident}-{o.name}:checked) .panel:not(.{o.name}){{display:none}}"
            for _, options in self.groups
            for o in options
        )


@dataclass(frozen=True)
class Picture:
    """One drawing: heading, SVG text, theory whose key stands in front of the heading."""

    heading: str
    svg: str
    theory: str = ""


@dataclass(frozen=True)
class Panel:
    """What one choice of a selector shows."""

    classes: str
    heading: str
    pictures: list[Picture]
    caption: str
    table: Table | None = None
    maps: list[HeatMap] = field(default_factory=list)


@dataclass(frozen=True)
class Key:
    """Legend entry of a theory."""

    theory: str
    title: str
    css: str
    dashes: str
    mark: str


@dataclass
class StudyView:
    """Everything that the page says about one study."""

    results: Results
    ident: str
    drawings: Drawings
    detail: Detail
    selectors: list[Selector] = field(default_factory=list)

    # -- words and tables ------------------------------------------------------------------------------------------
    @property
    def sentences(self) -> list[str]:
        """The verdict."""
        return words.verdict_sentences(self.results)

    @property
    def facts(self) -> dict[str, object]:
        """Words of the study and the state of the run."""
        study = self.results.study
        return {
            "question": study.question if study else "",
            "reference": study.reference if study else "",
            "size": words.size_sentence(self.results),
            "notice": words.completeness(self.results),
        }

    @property
    def keys(self) -> dict[str, Key]:
        """Legend by theory."""
        return {t: _key(self.results, k, t) for k, t in enumerate(self.results.theories)}

    @property
    def margin(self) -> str:
        """Largest D at which a theory holds."""
        return plain(self.results.margin)

    @property
    def heat(self) -> list[tuple[str, str]]:
        """Colour classes of D with their ranges."""
        edges = [number(edge * self.results.margin, 2) for edge in HEAT_EDGES]
        labels = [f"≤ {edges[0]}", *(f"{a} – {b}" for a, b in itertools.pairwise(edges)), f"> {edges[-1]}"]
        return [(f"h{k}", label) for k, label in enumerate(labels)]

    @property
    def claims(self) -> list[tables.ClaimRow]:
        """The ledger, failures first."""
        return tables.ledger(self.results)

    @property
    def tally(self) -> list[tuple[str, str, int]]:
        """Claims by verdict: mark, word, number."""
        found = [row.verdict for row in self.claims]
        return [(mark, word, found.count(word)) for mark, word in VERDICTS.values()]

    @property
    def rankings(self) -> list[tuple[str, list[tables.RankRow]]]:
        """All observables together, then each."""
        results = self.results
        if not results.observables:
            return []
        single = [(results.observable_title(o), tables.ranking(results, o)) for o in results.observables]
        return single if len(single) == 1 else [("all observables", tables.ranking(results)), *single]

    @property
    def score_tables(self) -> list[Table]:
        """Every score in full."""
        return (
            [tables.scores_table(self.results, o) for o in self.results.observables] if self.detail.score_tables else []
        )

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """Where the numbers come from."""
        return list(provenance(self.results))

    @property
    def command(self) -> str:
        """The command that makes the run again."""
        return repeat_command(self.results)

    # -- figures ---------------------------------------------------------------------------------------------------
    def grid_panels(self) -> tuple[Selector, list[Panel]]:
        """Maps of D with the table of N*, one panel per observable and slice."""
        selector = self._selector("grid")
        panels = []
        for observable, at, classes in self._choices():
            heading = self._heading(observable, at)
            maps = [heat_map(self.results, at, observable, theory) for theory in self.results.said(observable)]
            caption = map_caption(self.results, at, observable)
            n_star = tables.detectability(self.results, at, observable) if self.detail.n_star_tables else None
            panels.append(Panel(classes, heading, [], caption, n_star, maps))
        return selector, panels

    def error_panels(self) -> tuple[Selector, list[Panel]]:
        """D against width at one depth, one panel per observable and slice; empty without two widths."""
        results = self.results
        if results.width_axis is None or len(results.values("width")) < 2:
            return Selector(f"{self.ident}-errors", []), []
        choices = list(self._choices())
        if len(choices) <= self.detail.error_figures:
            selector = self._selector("errors")
        else:
            selector, choices = self._some("errors", self.detail.error_figures)
        depth = reference_depth(results)
        panels = []
        for observable, at, classes in choices:
            errors = {t: errors_of(results, at, depth, observable, t) for t in results.said(observable)}
            fits = {t: fit for t, e in errors.items() if (fit := fit_errors(e)) is not None}
            heading = self._heading(observable, at, depth)
            reference, predicted = reference_law(results, at, depth, observable)
            figure, desc = error_figure(results, errors, fits, predicted)
            svg = self._svg(figure, f"Error against width: {heading}", desc)
            floored = any((e.distance <= 0).any() for e in errors.values())
            caption = error_caption(results, fits, reference, floored=floored)
            panels.append(Panel(classes, heading, [Picture("", svg)], caption, fit_table(results, heading, fits)))
        return selector, panels

    def overlay_panels(self) -> tuple[Selector, list[Panel]]:
        """Densities and cdf differences at the smallest and the largest width, for a few slices."""
        results = self.results
        widths = sorted({0, len(results.values("width")) - 1}) if results.width_axis else [0]
        selector, choices = self._some("laws", self.detail.overlays // len(widths))
        depth = reference_depth(results)
        panels = []
        for observable, at, classes in choices:
            pictures, said = [], []
            for width in widths:
                index = results.cell_index(at, width, depth)
                drawn = overlay_figure(results, observable, index)
                if drawn is not None:
                    label = results.cell_label(index)
                    title = f"Network against theories, {results.observable_title(observable)}: {label}"
                    svg = self._svg(drawn[0], title, drawn[1])
                    above = results.where({"width": results.values("width")[width]}) if results.width_axis else ""
                    pictures.append(Picture(above, svg))
                    said.append(f"{above}: {drawn[2]}" if above else drawn[2])
            if pictures:
                panels.append(Panel(classes, self._heading(observable, at, depth), pictures, " ".join(said)))
        return selector, panels

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

    def _choices(self) -> Iterator[tuple[str, Slice, str]]:
        """Every observable and slice with something scored, and the classes of its panel."""
        for o, observable in enumerate(self.results.observables):
            for at in self.results.slices:
                if np.isfinite(self.results.plane(self.results.distance, at, observable)).any():
                    names = [f"o{o}", *(f"a{k}v{at.at[a]}" for k, a in enumerate(self.results.varying))]
                    yield observable, at, " ".join(names)

    def _some(self, name: str, figures: int) -> tuple[Selector, list[tuple[str, Slice, str]]]:
        """A selector over a few slices, the leading one among them, and the choices that it offers."""
        results = self.results
        leaders = {a: leading(results, a) for a in results.varying}
        default = next((s for s in results.slices if all(s.at[a] == k for a, k in leaders.items())), None)
        shown = spread(results.slices, max(1, figures // max(1, len(results.observables))))
        if default is not None and default not in shown:
            shown[len(shown) // 2] = default
        cells = [Option(f"c{k}", s.label, s is (default or shown[0])) for k, s in enumerate(shown)]
        groups = [g for g in (("observable", self._observables()), ("cell", cells)) if len(g[1]) > 1]
        selector = Selector(f"{self.ident}-{name}", groups)
        self.selectors.append(selector)
        choices = [(o, s, f"o{i} c{k}") for i, o in enumerate(results.observables) for k, s in enumerate(shown)]
        return selector, choices

    def _observables(self) -> list[Option]:
        return [
            Option(f"o{k}", self.results.observable_title(o), k == 0) for k, o in enumerate(self.results.observables)
        ]

    def _selector(self, name: str) -> Selector:
        results = self.results
        groups = [("observable", self._observables())] if len(results.observables) > 1 else []
        for k, axis in enumerate(results.varying):
            first = leading(results, axis)
            options = [Option(f"a{k}v{i}", plain(v), i == first) for i, v in enumerate(results.values(axis))]
            groups.append((axis if results.symbol(axis) == axis else f"{axis} {results.symbol(axis)}", options))
        selector = Selector(f"{self.ident}-{name}", groups)
        self.selectors.append(selector)
        return selector


def slug(text: str) -> str:
    """`text` as an identifier for HTML."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def leading(results: Results, axis: str) -> int:
    """Position of the axis value where some theory holds most often: what a selector shows first."""
    holds = [
        max((s.holds for s in words.standings(results, where={axis: i})), default=0)
        for i in range(len(results.values(axis)))
    ]
    return int(np.argmax(holds)) if holds else 0


def reference_depth(results: Results) -> int:
    """Position on the depth axis of figures at one depth: depth = width where the grid has it, else the middle."""
    if results.depth_axis is None:
        return 0
    values = results.values(results.depth_axis)
    if results.depth_axis == "aspect":
        return int(np.argmin([abs(np.log(max(float(v), 1e-9))) for v in values]))  # type: ignore[arg-type]
    return len(values) // 2


def _key(results: Results, index: int, theory: str) -> Key:
    look = theory_style(index)
    dashes = "" if isinstance(look.dashes, str) else " ".join(f"{1.6 * d:g}" for d in look.dashes[1])
    return Key(theory, results.theory_title(theory), look.css, dashes, look.mark)
