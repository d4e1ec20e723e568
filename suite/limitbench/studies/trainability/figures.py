"""Figures of `trainability`: maps of accuracy with contours of theory, accuracy on each predictor, edges, deficits."""

from __future__ import annotations

import contextlib

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks.training_data import DIGITS
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import Heat, Series, StudyFigure
from limitbench.studies.trainability.accuracies import Accuracies
from limitbench.studies.trainability.asked import Tables
from limitbench.studies.trainability.claims import data_sets, tables_of
from limitbench.studies.trainability.collapse import explained
from limitbench.studies.trainability.designs import RELU_IMAGES, mean_field
from limitbench.studies.trainability.edges import HE, XAVIER, deficits, slope, upper_edges
from limitbench.studies.trainability.predictors import PREDICTORS

#: Levels of ln chi_0/chi_L that the map shows, and points of each contour.
_LEVELS, _POINTS = (1.0, 2.0, 4.0, 8.0), 12
#: Beyond this ln s_L no ReLU network trains.
_FAR = 25.0


def figures(evidence: Evidence) -> list[StudyFigure]:
    """What the run of the first data set can show; what needs images that are not at hand is left out."""
    sets = data_sets(evidence)
    if not sets:
        return []
    data = DIGITS if DIGITS in sets else sets[0]
    tables, found = tables_of(evidence, data), []
    for design, words in (("tanh-adam", "tanh, Adam"), ("relu-adam", "ReLU, Adam")):
        if design in tables and min(tables[design].mean.shape) > 1:
            found.append(_map(tables[design], f"{words}, {data}"))
    for draw in (_on_gradient, _on_distance, _images, _edges, _deficits):
        with contextlib.suppress(InputError):
            figure = draw(tables)
            found += [figure] if figure is not None else []
    return found


def _map(table: Accuracies, words: str) -> StudyFigure:
    heat = Heat("test accuracy in %", table.variances, table.depths, 100 * table.mean)
    span = np.array([table.depths[0], table.depths[-1]])
    series = [
        Series("Xavier", np.full(2, XAVIER), span, kind="reference"),
        Series("He", np.full(2, HE), span, kind="reference"),
    ]
    for level in _LEVELS:
        x, y = _contour(table, level)
        if len(x):
            series.append(Series(f"ln χ₀/χ_L = {level:g}", x, y, kind="theory"))
    best = table.variances[np.argmax(np.nan_to_num(table.mean), axis=1)]
    shown = ", ".join(f"{b:g} at L = {d:g}" for b, d in zip(best, table.depths, strict=True))
    low, high = float(np.nanmin(table.mean)), float(np.nanmax(table.mean))
    return StudyFigure(
        f"map-{table.design}",
        f"Which networks train: {words}",
        "σ_w²",
        "depth L",
        tuple(series),
        f"Test accuracy in %, from {100 * low:.0f} to {100 * high:.0f}, at least {table.replicates} networks a cell; "
        "lines: contours of gradient explosion in theory, before training. Best σ_w² (within noise where a row is "
        f"flat): {shown}.",
        x_log=True,
        y_log=True,
        heat=heat,
    )


def _contour(table: Accuracies, level: float) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """sigma_w^2 at which ln chi_0/chi_L is `level`, by depth: it grows with both, so bisection in the table's range."""
    xs, ys = [], []
    parameters = dict(table.cells[0].parameters)
    for depth in np.unique(np.geomspace(table.depths[0], table.depths[-1], _POINTS).round().astype(int)):
        low, high = np.log(table.variances[0]), np.log(table.variances[-1])
        for _ in range(24):
            middle = (low + high) / 2
            field = mean_field({**parameters, "sigma_w2": float(np.exp(middle))})
            low, high = (middle, high) if field.log_gradient_ratio(int(depth)) < level else (low, middle)
        if np.log(table.variances[0]) + 1e-3 < low < np.log(table.variances[-1]) - 1e-3:
            xs.append(float(np.exp(low)))
            ys.append(float(depth))
    return np.array(xs), np.array(ys)


def _on_gradient(tables: Tables) -> StudyFigure | None:
    return _collapse(tables, "gradient", "accuracy-on-the-gradient-ratio", "Accuracy against gradient explosion")


def _on_distance(tables: Tables) -> StudyFigure | None:
    return _collapse(tables, "distance", "accuracy-on-the-distance", "Accuracy against the distance of two images")


def _collapse(tables: Tables, name: str, ident: str, title: str) -> StudyFigure | None:
    """Accuracies of tanh networks trained with Adam against one predictor, one series a depth."""
    table = tables.get("tanh-adam")
    if table is None:
        return None
    x = table.predictors(name)
    series = [
        _points(f"L = {depth:g}", x[i], table.mean[i], table.se[i]) for i, depth in enumerate(table.depths.tolist())
    ][:8]
    known = np.isfinite(table.mean)
    depth = np.broadcast_to(table.depths[:, None], table.mean.shape)
    shares = {p: explained(table.predictors(p)[known], table.mean[known], depth[known]) for p in PREDICTORS}
    listed = ", ".join(f"{PREDICTORS[p]} {share:.2f}" for p, share in shares.items())
    return StudyFigure(
        ident,
        f"{title}: tanh, Adam",
        f"{PREDICTORS[name]} in theory",
        "test accuracy",
        tuple(series),
        f"One curve for all depths is what a predictor needs. Share of the accuracy explained at a depth that was left "
        f"out: {listed}.",
    )


def _points(label: str, x: np.ndarray, y: np.ndarray, se: np.ndarray) -> Series:
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    known = known[np.argsort(x[known], kind="stable")][:60]
    return Series(label, x[known], y[known], se=se[known])


def _images(tables: Tables) -> StudyFigure | None:
    """ReLU networks on images of several norms, all depths, against the distance."""
    used = [tables[design] for design in RELU_IMAGES if design in tables]
    if len(used) < 2:
        return None
    series = [
        _points(t.design, np.where(x < _FAR, x, np.nan), t.mean.ravel(), t.se.ravel())
        for t in used
        for x in [t.predictors("distance").ravel()]
    ]
    flat = {p: np.concatenate([t.predictors(p).ravel() for t in used]) for p in ("gradient", "distance")}
    y = np.concatenate([t.mean.ravel() for t in used])
    depth = np.concatenate([np.repeat(t.depths, len(t.variances)) for t in used])
    known = np.isfinite(y)
    shares = [explained(flat[p][known], y[known], depth[known]) for p in ("distance", "gradient")]
    return StudyFigure(
        "relu-images",
        "ReLU: images of several norms tell distance from gradients",
        f"{PREDICTORS['distance']} in theory",
        "test accuracy",
        tuple(series),
        f"All depths, up to ln s_L = {_FAR:g}. Images of norm 0.1 (faint) shift the distance and leave the gradient "
        f"ratio: the distance explains {shares[0]:.2f} of the accuracy at a depth that was left out, the gradient "
        f"ratio {shares[1]:.2f}.",
    )


def _edges(tables: Tables) -> StudyFigure | None:
    series, said = [], []
    for design in ("tanh-adam", "tanh-sgd", "relu-adam"):
        table = tables.get(design)
        edge = upper_edges(table.mean, table.variances) if table is not None else np.empty(0)
        if table is None or np.isfinite(edge).sum() < 2:
            continue
        known = np.isfinite(edge)
        series.append(Series(design, table.depths[known], np.exp(edge[known])))
        if known.sum() >= 3:
            said.append(f"{design} {slope(np.log(table.depths), edge):.2f}")
    if not series:
        return None
    ends = np.array([min(s.x[0] for s in series), max(s.x[-1] for s in series)])
    first = max(series, key=lambda s: float(s.y[0] * s.x[0]))
    series.append(Series("1/L", ends, first.y[0] * first.x[0] / ends, kind="reference"))
    return StudyFigure(
        "edge-of-the-trainable-region",
        "Upper edge of the trainable region",
        "depth L",
        "σ_w² at the edge",
        tuple(series),
        f"Accuracy is 5 points below the best of its depth. Slopes in ln L: {', '.join(said) or 'too few depths'}; "
        "theory at infinite depth says −1.",
        x_log=True,
        y_log=True,
    )


def _deficits(tables: Tables) -> StudyFigure | None:
    series: list[Series] = []
    for design in ("tanh-adam", "relu-adam"):
        found = deficits(tables[design]) if design in tables else None
        if found is not None and np.isfinite(found[0]).any():
            series.append(Series(design, tables[design].depths, found[0], se=found[1]))
    if not series:
        return None
    ends = np.array([series[0].x[0], series[0].x[-1]])
    listed = ", ".join(f"{s.label} {s.y[-1]:.3f} ± {s.se[-1]:.3f}" for s in series if s.se is not None)
    return StudyFigure(
        "deficit-of-xavier-and-he",
        "How far Xavier and He stay behind the best σ_w² of a depth",
        "depth L",
        "best accuracy less the better of the two",
        (*series, Series("none", ends, np.zeros(2), kind="reference")),
        f"The best σ_w² is chosen and measured on different networks. At the largest depth: {listed}.",
        x_log=True,
    )
