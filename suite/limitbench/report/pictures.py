"""Pictures of one study: each drawing with its words, its numbers and the line of Python that makes it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from limitbench.report.captions import error_caption, reference_law
from limitbench.report.figures import errors as error_drawing
from limitbench.report.figures import overlays, paths, quantiles, series, throughput, validity
from limitbench.report.fits import Errors, errors_of, fit_errors
from limitbench.report.picture import Data, Picture
from limitbench.report.results import Results, Slice
from limitbench.report.selectors import slug
from limitbench.report.style import number
from limitbench.report.svg import Drawings, inline_svg
from limitbench.report.tables import Table
from limitbench.report.validity import Rule, Validity
from limitbench.statistics.rates import RateFit
from limitbench.studies.figures import StudyFigure

_RULES: dict[Rule, str] = {"nearest": "the nearest theory", "simplest": "the simplest theory that holds"}


@dataclass(frozen=True)
class OwnFigure:
    """One of the study's own figures: picture, caption, legend, perhaps a table; no drawing where it has no point."""

    picture: Picture
    caption: str
    keys: list[series.SeriesKey]
    table: Table | None = None

    @property
    def name(self) -> str:
        """Identifier within the study."""
        return self.picture.name

    @property
    def title(self) -> str:
        """Heading."""
        return self.picture.heading

    @property
    def svg(self) -> str:
        """The drawing, empty where no point can be shown."""
        return self.picture.svg


@dataclass(frozen=True)
class Pictures:
    """Draws the figures of one study.

    Attributes:
        results: what is shown.
        drawings: shared by all figures of the page.
    """

    results: Results
    drawings: Drawings

    def validity(
        self, observable: str, at: Slice, rule: Rule, own: Sequence[validity.Own] = ()
    ) -> tuple[Picture, Validity] | None:
        """The depth x width map of one slice with networks of the reader's own; None where there is no plane."""
        found = Validity(self.results, at, observable, rule)
        if not found.exists:
            return None
        title = f"Which theory describes {self.results.observable_title(observable)}, {_RULES[rule]}: {at.label}"
        picture = self._picture(
            validity.validity_figure(found, own=own),
            title.removesuffix(": "),
            validity.describe(found),
            heading=_RULES[rule],
            name=self._name(f"validity-{rule}", observable, at.values),
            data=Data(found.columns()),
            code=self.code("validity", (observable,), at.values, rule=rule, **({"own": list(own)} if own else {})),
        )
        return picture, found

    def overlay(self, observable: str, index: Mapping[str, int]) -> tuple[Picture, str] | None:
        """Densities and cdf differences at one cell, and the sentence of its caption."""
        found = overlays.overlay_of(self.results, observable, index)
        if found is None:
            return None
        desc, said = overlays.describe(self.results, found)
        title = f"Network against theories, {self._of(observable, index)}"
        figure = overlays.overlay_figure(self.results, observable, found)
        data = Data(found.columns())
        return self._at(figure, title, desc, "overlay", observable, index, data, self._width(index)), said

    def quantiles(self, observable: str, index: Mapping[str, int]) -> tuple[Picture, str] | None:
        """Quantiles against quantiles at one cell, and the sentence of its caption."""
        found = quantiles.quantiles_of(self.results, observable, index)
        if found is None:
            return None
        desc, said = quantiles.describe(self.results, found)
        title = f"Quantiles of networks and theories, {self._of(observable, index)}"
        heading = ", ".join(filter(None, (self._width(index), "quantiles")))
        figure = quantiles.quantile_figure(self.results, observable, found)
        return self._at(figure, title, desc, "quantiles", observable, index, Data(found.columns()), heading), said

    def paths(self, observable: str, at: Slice, width: int) -> tuple[Picture, str] | None:
        """One column along depth, and the sentence of its caption."""
        results = self.results
        found = paths.paths_of(results, observable, at, width)
        if found is None:
            return None
        said = paths.describe(results, found)
        index = {a: i for a, i in results.cell_index(at, width, 0).items() if a != results.depth_axis}
        title = f"Networks and theories along {results.depth_axis}, {self._of(observable, index)}"
        figure = paths.paths_figure(results, observable, found)
        data = Data(found.columns())
        return self._at(figure, title, said, "paths", observable, index, data, self._width(index)), said

    def errors(
        self, observable: str, at: Slice, depth: int, heading: str
    ) -> tuple[Picture, str, dict[str, RateFit]] | None:
        """D against width at one depth, its caption and the fitted rates."""
        results = self.results
        found = errors_at(results, observable, at, depth)
        if not found.errors:
            return None
        figure, desc = error_drawing.error_figure(results, found.errors, found.fits, found.predicted)
        floored = any((e.distance <= 0).any() for e in found.errors.values())
        where = dict(at.values)
        if results.depth_axis:
            where[results.depth_axis] = results.values(results.depth_axis)[depth]
        picture = self._picture(
            figure,
            f"Error against width: {heading}",
            desc,
            name=self._name("error", observable, where),
            data=Data(error_drawing.columns(found.errors, found.predicted)),
            code=self.code("error_against_width", (observable,), where),
        )
        return picture, error_caption(results, found.fits, found.reference, floored=floored), found.fits

    def throughput(self) -> Picture | None:
        """Networks per second against width."""
        speeds = throughput.speeds_of(self.results)
        if speeds is None:
            return None
        said = throughput.describe(speeds)
        return self._picture(
            throughput.throughput_figure(self.results, speeds),
            f"Networks per second against width, {self.results.name}",
            said,
            heading=said,
            name="throughput",
            data=Data(speeds.columns()),
            code=self.code("throughput", (), {}),
        )

    def own(self, figure: StudyFigure) -> OwnFigure:
        """One of the study's own figures."""
        drawn = series.series_figure(figure, self.results.theories)
        name, code = slug(figure.name), self.code("study_figure", (figure.name,), {})
        if drawn is None:
            empty = Picture(figure.title, "", name, "", Data(series.columns(figure)), code)
            return OwnFigure(empty, figure.caption, [], _table(figure))
        picture = self._picture(
            drawn[0],
            figure.title,
            drawn[1],
            heading=figure.title,
            name=name,
            data=Data(series.columns(figure)),
            code=code,
        )
        return OwnFigure(picture, figure.caption, drawn[2], _table(figure))

    # -- parts -----------------------------------------------------------------------------------------------------
    def code(self, function: str, arguments: tuple[str, ...], where: Mapping[str, object], **options: object) -> str:
        """The line of Python that draws with `limitbench.plot`; only axes with several values are named."""
        results = self.results
        named = {a: v for a, v in where.items() if len(results.values(a)) > 1} | options
        given = [repr(a) for a in arguments] + [f"{name}={value!r}" for name, value in named.items()]
        store = f"limitbench.open_results({f'results/{results.name}.zarr'!r})"
        return f"limitbench.plot.{function}({', '.join([store, *given])})"

    def _picture(self, figure: Figure, title: str, desc: str, *, heading: str = "", **fields: object) -> Picture:
        svg = inline_svg(figure, title=title, desc=desc, drawings=self.drawings)
        return Picture(heading, svg, description=desc, **fields)  # type: ignore[arg-type]

    def _at(
        self,
        figure: Figure,
        title: str,
        desc: str,
        kind: str,
        observable: str,
        index: Mapping[str, int],
        data: Data,
        heading: str,
    ) -> Picture:
        """The picture of one cell or column; `kind` names it and the function that draws it."""
        where = {a: self.results.values(a)[i] for a, i in index.items()}
        name, code = self._name(kind, observable, where), self.code(kind, (observable,), where)
        return self._picture(figure, title, desc, heading=heading, name=name, data=data, code=code)

    def _name(self, kind: str, observable: str, where: Mapping[str, object]) -> str:
        """`overlay-correlation-rate-0-5-width-64`."""
        parts = [f"{a}-{v}" for a, v in where.items() if len(self.results.values(a)) > 1]
        return slug("-".join([kind, observable, *parts]))

    def _of(self, observable: str, index: Mapping[str, int]) -> str:
        return f"{self.results.observable_title(observable)}: {self.results.cell_label(index)}"

    def _width(self, index: Mapping[str, int]) -> str:
        results = self.results
        return results.where({"width": results.values("width")[index["width"]]}) if results.width_axis else ""


def _table(figure: StudyFigure) -> Table | None:
    if figure.table is None:
        return None
    rows = [tuple(v if isinstance(v, str) else number(v) for v in row) for row in figure.table.rows]
    labels = next((k for k, v in enumerate(figure.table.rows[0]) if not isinstance(v, str)), 1) if rows else 1
    return Table(figure.table.title, figure.table.head, rows, labels=labels)


@dataclass(frozen=True, eq=False)
class ErrorCurves:
    """D of every theory against width, fitted rates, the law that predicts the others' errors, its predictions."""

    errors: dict[str, Errors]
    fits: dict[str, RateFit]
    reference: str | None
    predicted: dict[str, np.ndarray]


def errors_at(results: Results, observable: str, at: Slice, depth: int) -> ErrorCurves:
    """The curves of one observable at one slice and depth; no errors where nothing is scored."""
    errors = {t: errors_of(results, at, depth, observable, t) for t in results.said(observable)}
    if not any(np.isfinite(e.distance).any() for e in errors.values()):
        return ErrorCurves({}, {}, None, {})
    fits = {t: fit for t, e in errors.items() if (fit := fit_errors(e)) is not None}
    return ErrorCurves(errors, fits, *reference_law(results, at, depth, observable))
