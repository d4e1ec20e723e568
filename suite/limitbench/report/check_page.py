"""The page of a checked module: what it is, which theory describes it, what happens along depth, what to change."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from limitbench.advice.check import words
from limitbench.advice.check.limits import FORMATS
from limitbench.advice.check.recommend import recommendations
from limitbench.advice.check.result import TITLES, CellResult, Check
from limitbench.report import shell
from limitbench.report.check_figures import figures
from limitbench.report.figures import series
from limitbench.report.picture import Data, Picture
from limitbench.report.style import number
from limitbench.report.svg import Drawings, inline_svg
from limitbench.report.tables import Table

_WHAT = {
    "overflow": "values overflow",
    "underflow": "values underflow",
    "gradient overflow": "gradients overflow",
    "gradient underflow": "gradients underflow",
    "merging": "inputs merge",
}


@dataclass(frozen=True)
class _Drawn:
    """One figure with its caption and legend."""

    picture: Picture
    caption: str
    keys: list[series.SeriesKey]


@dataclass(frozen=True)
class _Row:
    """One theory and observable."""

    observable: str
    theory: str
    predicted: str
    measured: str
    distance: str
    verdict: str
    best: bool


@dataclass(frozen=True)
class _Section:
    """One depth and width as the template reads it."""

    ident: str
    title: str
    call: str
    networks: str
    is_: list[str]
    theories: list[str]
    rows: list[_Row]
    behaviour: list[str]
    advice: list[str]
    figures: list[_Drawn]
    limits: Table
    matrices: Table


def render_check(check: Check) -> str:
    """The page as text: self-contained, everything escaped."""
    drawings = Drawings()
    sections = [_section(cell, f"cell-{k + 1}", drawings) for k, cell in enumerate(check.cells)]
    css = Markup("\n".join([shell.style_sheet(), drawings.css()]))
    return (
        shell.environment()
        .get_template("check.html")
        .render(css=css, check=check, headline=words.headline(check), sections=sections, margin=number(check.margin, 2))
    )


def _section(cell: CellResult, ident: str, drawings: Drawings) -> _Section:
    return _Section(
        ident,
        cell.title,
        cell.measured.cell.words,
        f"{cell.measured.networks:,}",
        words.what_it_is(cell),
        words.theories(cell),
        _rows(cell),
        words.behaviour(cell),
        list(recommendations(cell)),
        _figures(cell, ident, drawings),
        _limits(cell),
        _matrices(cell),
    )


def _figures(cell: CellResult, ident: str, drawings: Drawings) -> list[_Drawn]:
    theories = [o.theory for o in cell.opinions]
    found = []
    for figure in figures(cell):
        drawn = series.series_figure(figure, theories)
        if drawn is None:
            continue
        svg = inline_svg(drawn[0], title=f"{figure.title}, {cell.title}", desc=drawn[1], drawings=drawings)
        data = Data(series.columns(figure))
        picture = Picture(figure.title, svg, f"{ident}-{figure.name}", drawn[1], data)
        found.append(_Drawn(picture, figure.caption, drawn[2]))
    return found


def _rows(cell: CellResult) -> list[_Row]:
    found = []
    for line in cell.lines:
        s = line.score
        found.append(
            _Row(
                TITLES[line.observable],
                line.title,
                f"{number(line.predicted[0], 4)} ± {number(line.predicted[1], 3)}",
                f"{number(line.measured[0], 4)} ± {number(line.measured[1], 3)}",
                f"{number(s.distance, 2)} [{number(s.distance_low, 2)}, {number(s.distance_high, 2)}]",
                s.verdict,
                cell.best.get(line.observable, ("",))[0] == line.theory,
            )
        )
    return found


def _limits(cell: CellResult) -> Table:
    """Layers of limits, in the formats."""
    at = {(limit.what, limit.format): limit for limit in cell.limits}
    rows = [
        (text, *(_layer(at[what, name].layer, at[what, name].extrapolated) for name in FORMATS))  # type: ignore[index]
        for what, text in _WHAT.items()
    ]
    note = "Layer or block; * is extrapolated beyond the measured depth; gradients: number of layers on their way back."
    return Table("From which depth, by floating-point format", ("what", *FORMATS), rows, note=note)


def _layer(layer: float, extrapolated: bool) -> str:
    return "–" if layer == float("inf") else f"{layer:,.0f}{' *' if extrapolated else ''}"


def _matrices(cell: CellResult) -> Table:
    """What every matrix is drawn from, and the gradient by its weights."""
    rows: list[tuple[str, ...]] = []
    for node, weights in cell.measured.weights.items():
        gradient = cell.measured.parameter_gradients[node]
        rows.append(
            (
                weights.name,
                weights.ensemble,
                f"{weights.fan_in} to {weights.fan_out}",
                number(weights.sigma_w2, 4),
                number(weights.sigma_b2, 3),
                number(float(gradient.mean()), 3),
            )
        )
    head = ("matrix", "weights", "size", "variance x fan-in", "bias variance", "ln mean squared gradient")
    return Table("Matrices in order of execution", head, rows, labels=3)
