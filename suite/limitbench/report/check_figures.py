"""The figures of a checked module: measured along depth with quantile bands, theories beside it, and Gram spectra."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from limitbench.advice.check.limits import layers
from limitbench.advice.check.result import CellResult
from limitbench.advice.check.words import spectra
from limitbench.advice.rows import Opinion
from limitbench.report.style import number
from limitbench.statistics.base import Law
from limitbench.studies.figures import Series, StudyFigure

#: Layers at which theories are evaluated, and theories that one figure shows.
_LAYERS, _THEORIES = 13, 4
#: Levels of measured bands, and of the thin lines of theories.
_LOW, _HIGH = 0.025, 0.975
#: Bins of the histogram at the last layer.
_BINS = 25

Values = Float[np.ndarray, "networks layers"]


def figures(cell: CellResult) -> Iterator[StudyFigure]:
    """All figures of one cell."""
    nodes, unit = layers(cell.measured.cell)
    x = np.arange(1.0, len(nodes) + 1)
    if len(nodes) > 1:
        yield _norms(cell, nodes, unit, x)
        if (found := _gaps(cell, nodes, unit, x)) is not None:
            yield found
        if (found := _gradients(cell, nodes, unit, x)) is not None:
            yield found
    if cell.case is not None and "log_norm" in cell.observed:
        yield _density(cell)
    if (found := _active(cell, unit)) is not None:
        yield found
    yield from _spectra(cell, nodes, unit, x)


def _norms(cell: CellResult, nodes: tuple[int, ...], unit: str, x: Float[np.ndarray, " layers"]) -> StudyFigure:
    case = cell.case
    values = np.stack([cell.measured.at("log_square", n) for n in nodes], axis=1)
    if case is None:
        label = "ln mean square of the first input's values"
        series: list[Series] = []
    else:
        label = "log squared norm, against the start"
        start = case.start(cell.measured)
        values = values - (start[:, None] if isinstance(start, np.ndarray) else start)
        series = _theories(cell, "log_norm")
    band = _band(x, values)
    caption = (
        f"Median and middle 95 % of {len(values):,} networks: {number(band.y[0])} after {unit} 1, "
        f"{number(band.y[-1])} after {unit} {len(x)}. {_said(series)}"
    )
    return StudyFigure("norm", "Squared norm along depth", unit, label, (band, *series), caption.strip())


def _gaps(cell: CellResult, nodes: tuple[int, ...], unit: str, x: Float[np.ndarray, " layers"]) -> StudyFigure | None:
    values = np.stack([cell.measured.at("log_gap", n) for n in nodes], axis=1)
    if not np.isfinite(np.median(values, axis=0)).any():
        return None
    series = _theories(cell, "log_gap")
    band = _band(x, values)
    caption = (
        f"Two inputs part or merge: median 1 - correlation {number(math.exp(band.y[0]))} after {unit} 1, "
        f"{number(math.exp(band.y[-1]))} after {unit} {len(x)}; the band holds 95 % of networks. {_said(series)}"
    )
    return StudyFigure("gap", "Two inputs along depth", unit, "ln(1 - correlation)", (band, *series), caption.strip())


def _gradients(
    cell: CellResult, nodes: tuple[int, ...], unit: str, x: Float[np.ndarray, " layers"]
) -> StudyFigure | None:
    case, series = cell.case, []
    at = nodes if case is None else tuple(case.gradient_nodes(layer)[1] for layer in range(1, len(nodes) + 1))
    sizes = np.log([math.prod(cell.measured.cell.nodes[n].shape[1:]) for n in at])
    values = np.stack([cell.measured.at("log_gradient", n) for n in at], axis=1) - sizes
    with np.errstate(invalid="ignore"):  # dead networks have no ratio: NaN
        values = values - values[:, -1:]
    if not np.isfinite(np.median(values, axis=0)).all():
        return None
    if case is not None and case.log_gradient(case.depth) is not None:
        known = np.array([_or_nan(case.log_gradient(int(layer))) for layer in x])
        # the same in mean squares, whatever the widths
        line = known[-1] - known - (0.0 if case.mean_square_gradient else sizes - sizes[-1])
        series.append(Series("infinite width (NNGP)", x, line, "theory", theory="infinite-width"))
    band = _band(x, values)
    caption = (
        f"Log mean squared gradient, against the last {unit}'s, from a random direction at the first input's output: "
        f"median {number(band.y[0])} at {unit} 1; the band holds 95 % of networks."
    )
    return StudyFigure("gradient", "Gradients along depth", unit, "ln squared gradient", (band, *series), caption)


def _density(cell: CellResult) -> StudyFigure:
    case = cell.case
    assert case is not None
    values = cell.observed["log_norm"]
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.002, 0.998])
    edges = np.linspace(low, high, min(_BINS, max(6, int(len(values) ** 0.5))) + 1)
    counts, _ = np.histogram(values, edges)
    width = edges[1] - edges[0]
    centres = (edges[1:] + edges[:-1]) / 2
    density = counts / len(values) / width
    se = np.sqrt(counts * (1 - counts / len(values))) / len(values) / width
    series = [Series("networks", centres, density, "network", se=se)]
    grid = np.linspace(low, high, 120)
    offset = case.offset("log_norm", case.depth)
    for opinion in _chosen(cell, "log_norm"):
        law = opinion.laws["log_norm"]
        if law.is_point_mass:
            continue
        cdf = np.asarray(law.cdf(grid - offset))
        series.append(
            Series(
                opinion.title, (grid[1:] + grid[:-1]) / 2, np.diff(cdf) / np.diff(grid), "theory", theory=opinion.theory
            )
        )
    lines = [line for line in cell.lines if line.observable == "log_norm"]
    parts = ", ".join(f"{line.title} D = {number(max(line.score.distance, 0.0), 2)}" for line in lines)
    caption = (
        f"Log squared norm after the last layer: {number(float(values.mean()))} ± {number(float(values.std()))} over "
        f"{len(values):,} networks. {parts}. Bars are two standard errors; point masses are not drawn."
    )
    return StudyFigure("density", "At the last layer", "log squared norm", "density", tuple(series), caption)


def _active(cell: CellResult, unit: str) -> StudyFigure | None:
    """Share of positive entries after each activation."""
    nodes = cell.measured.cell.nodes
    points = [p for p in cell.measured.cell.points if nodes[p].kind == "elementwise"]
    if len(points) < 2:
        return None
    values = np.stack([cell.measured.at("positive", p) for p in points], axis=1)
    x = np.arange(1.0, len(points) + 1)
    band = _band(x, values)
    caption = (
        f"Share of the first input's entries that are positive after each activation: mean "
        f"{number(float(np.mean(values[:, 0])))} at the first, {number(float(np.mean(values[:, -1])))} at the last; "
        "the band holds 95 % of networks."
    )
    return StudyFigure("active", "Active units", "activation", "share of positive entries", (band,), caption)


def _spectra(
    cell: CellResult, nodes: tuple[int, ...], unit: str, x: Float[np.ndarray, " layers"]
) -> Iterator[StudyFigure]:
    points = cell.measured.cell.points
    columns = [points.index(n) for n in nodes]
    condition, effective = (values[columns] for values in spectra(cell))
    if not np.isfinite(effective).all():
        return
    inputs, networks = cell.measured.spectra.shape[-1], len(cell.measured.spectra)
    if len(nodes) > 1:
        caption = (
            f"Effective rank (exp of the entropy of the eigenvalues) of the Gram matrix of {inputs} inputs, mean over "
            f"{networks} networks: {number(effective[0])} after {unit} 1, {number(effective[-1])} after {unit} "
            f"{len(x)}."
        )
        series = (Series("networks", x, effective, "path"),)
        yield StudyFigure("effective-rank", "Effective rank of the batch", unit, "effective rank", series, caption)
        usable = np.isfinite(condition)
        if usable.any():
            caption = (
                f"Median condition number of that matrix: {number(condition[0])} after {unit} 1, "
                f"{number(condition[-1])} after {unit} {len(x)}; beyond 1e14 it is rounding noise and left out."
            )
            series = (Series("networks", x, np.where(usable, condition, np.nan), "path"),)
            yield StudyFigure(
                "condition", "Condition number of the batch", unit, "condition number", series, caption, y_log=True
            )
    shown = sorted({0, len(columns) // 2, len(columns) - 1})
    rank = np.arange(1.0, inputs + 1)
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(np.maximum(cell.measured.spectra, 0.0), axis=0)[:, ::-1]
    share = np.where(mean > 1e-16, mean, np.nan)
    curves = [Series(f"after {unit} {k + 1}", rank, share[columns[k]], "theory") for k in shown]
    first = "; ".join(f"{c.label} the first holds {number(100 * c.y[0], 2)} %" for c in curves)
    caption = f"Eigenvalues of the Gram matrix over their sum, largest first, mean over {networks} networks: {first}."
    yield StudyFigure(
        "spectrum", "Spectrum of the batch", "eigenvalue", "share of the sum", tuple(curves), caption, y_log=True
    )


def _band(x: Float[np.ndarray, " layers"], values: Values) -> Series:
    finite = np.where(np.isfinite(values), values, np.nan)
    low, middle, high = np.nanquantile(finite, [_LOW, 0.5, _HIGH], axis=0)
    return Series("networks: median, middle 95 %", x, middle, "band", low=low, high=high)


def _chosen(cell: CellResult, observable: str) -> list[Opinion]:
    """The coarsest, the finest and the closest theories: no more than a figure can show."""
    said = [o for o in cell.opinions if observable in o.laws]
    distances = {line.theory: line.score.distance for line in cell.lines if line.observable == observable}
    nearest = sorted(said, key=lambda o: distances.get(o.theory, math.inf))
    kept = dict.fromkeys(o.theory for o in (*said[:1], *said[-1:], *nearest))
    names = list(kept)[:_THEORIES]
    return [o for o in said if o.theory in names]


def _theories(cell: CellResult, observable: str) -> list[Series]:
    """Median of each theory along depth, and thin lines around its middle 95 %."""
    case = cell.case
    if case is None:
        return []
    chosen = [o.theory for o in _chosen(cell, observable)]
    at = np.unique(np.round(np.linspace(1, case.depth, min(_LAYERS, case.depth))).astype(int))
    rows: dict[str, dict[int, Law]] = {name: {} for name in chosen}
    titles: dict[str, str] = {}
    for layer in at:
        for opinion in case.opinions(int(layer)):
            if opinion.theory in rows and observable in opinion.laws:
                rows[opinion.theory][int(layer)] = opinion.laws[observable]
                titles[opinion.theory] = opinion.title
    found = []
    for name, laws in rows.items():
        x = np.array(sorted(laws), dtype=float)
        for level in (0.5, _LOW, _HIGH):
            y = [float(laws[int(k)].quantile(level)) + case.offset(observable, int(k)) for k in x]
            if level == 0.5 or not laws[int(x[-1])].is_point_mass:
                found.append(Series(titles[name], x, np.array(y), "theory", theory=name))
    return found


def _said(series: list[Series]) -> str:
    """The medians of the theories at the last layer."""
    first = {s.label: s for s in reversed(series)}
    parts = [f"{label} {number(s.y[-1])}" for label, s in reversed(first.items())]
    return f"Medians of theories there: {', '.join(parts)}; their outer lines hold 95 %." if parts else ""


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
