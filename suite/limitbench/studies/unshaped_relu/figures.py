"""Figures of `unshaped-relu`: paths of q, the mean of w, distance against width, the angle by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence, widest
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.unshaped_relu.evidence import OBSERVABLE, RELU, aligned, mean_or_nan, mean_w, w_of
from limitbench.theories.base import Theory

#: Networks whose paths are drawn, fewest depths of a path, fewest widths of a curve.
_PATHS, _LEAST_DEPTHS, _LEAST_WIDTHS = 5, 3, 2
#: Half-width of a band of 80 %.
_BAND = (0.1, 0.9)
SDES = ("q-sde-finite-start", "q-sde", "q-sde-no-drift")


def draw(evidence: Evidence) -> list[StudyFigure]:
    """All figures that the run's cells allow."""
    relu = [cell for cell in evidence.where(**RELU) if _drawn(cell)]
    small = [cell for cell in evidence.where(slope_minus=0.0, rho0=0.995) if _drawn(cell)]
    found = (_paths(_column(relu)), _means(_column(relu)), _distances(relu), _angles(_column(small)))
    return [figure for figure in found if figure is not None]


def _drawn(cell: CellEvidence) -> bool:
    try:
        return cell.samples(OBSERVABLE).size > 1
    except InputError:
        return False


def _column(cells: Sequence[CellEvidence]) -> list[CellEvidence]:
    """The cells of the largest width, by depth; none where there are too few depths."""
    column = sorted(widest(cells), key=_time)
    return column if len(column) >= _LEAST_DEPTHS else []


def _time(cell: CellEvidence) -> float:
    return float(cell.parameters["depth"]) / float(cell.parameters["width"])


def _times(cells: Sequence[CellEvidence]) -> Float[np.ndarray, " cells"]:
    return np.array([_time(cell) for cell in cells])


def _said(
    cells: Sequence[CellEvidence], theory: str, number: Callable[[Theory, CellEvidence], float]
) -> Float[np.ndarray, " cells"]:
    """A number that `theory` gives in each cell, NaN where the cell is outside its range."""

    def at(cell: CellEvidence) -> float:
        try:
            return number(cell.theory(theory), cell)
        except InputError:
            return math.nan

    return np.array([at(cell) for cell in cells])


def _quantiles(cells: Sequence[CellEvidence], theory: str, level: float) -> Float[np.ndarray, " cells"]:
    return _said(cells, theory, lambda made, _: float(made.law(OBSERVABLE).quantile(level)))


def _caption(*clauses: tuple[str, Iterable[float]]) -> str:
    """The clauses whose numbers the run has."""
    found = [(text, list(numbers)) for text, numbers in clauses]
    return " ".join(text.format(*numbers) for text, numbers in found if np.isfinite(numbers).all())


def _curves(
    curves: dict[str, Float[np.ndarray, " cells"]], x: Float[np.ndarray, " cells"], row: Sequence[CellEvidence]
) -> tuple[Series, ...]:
    """The curves that have a point."""
    return tuple(
        Series(_title(row, name), x, y, kind="theory", theory=name)
        for name, y in curves.items()
        if np.isfinite(y).any()
    )


def _title(cells: Sequence[CellEvidence], theory: str) -> str:
    return next(t.title for t in cells[0].study.theories if t.name == theory)


def _paths(column: list[CellEvidence]) -> StudyFigure | None:
    if not column:
        return None
    t, width, theory = _times(column), int(column[0].parameters["width"]), "q-sde-finite-start"
    networks = np.stack([aligned(cell) for cell in column], axis=1)
    networks = networks[np.isfinite(networks).all(axis=1)]
    middle, low, high = (_quantiles(column, theory, level) for level in (0.5, *_BAND))
    there = np.isfinite(middle)
    if not networks.size or not there.any():
        return None
    inside = float(((networks >= low) & (networks <= high))[:, there].mean())
    band = Series(
        f"{_title(column, theory)}: 10 to 90 %",
        t[there],
        middle[there],
        kind="band",
        low=low[there],
        high=high[there],
        theory=theory,
    )
    paths = [Series("networks, one by one", t, networks[i], kind="path") for i in range(min(_PATHS, len(networks)))]
    return StudyFigure(
        name="q-paths",
        title=f"ln q along depth, n = {width}",
        x_label="t = l/n",
        y_label="ln q = ln(l² (1 − ρ_l))",
        series=(band, Series("median of networks", t, np.median(networks, axis=0)), *paths),
        caption=f"ReLU, ρ₀ = 0.3: {min(_PATHS, len(networks))} of {len(networks)} networks at {len(t)} depths, and the "
        f"SDE's band of 80 % from w₀, which holds {100 * inside:.1f} % of all networks. The singular limit starts at "
        f"ln(9π²/2) = {math.log(4.5 * math.pi**2):.2f} whatever the inputs.",
    )


def _means(column: list[CellEvidence]) -> StudyFigure | None:
    if not column:
        return None
    t, width = _times(column), int(column[0].parameters["width"])
    drawn = [w_of(cell.samples(OBSERVABLE), time) for cell, time in zip(column, t, strict=True)]
    means, ses = np.array([mean_or_nan(w) for w in drawn]).T
    if not np.isfinite(means).any():
        return None
    curves = {
        name: _said(column, name, lambda made, cell: mean_w(made, _time(cell)))
        for name in (*SDES, "finite-width-chain")
    }
    start, limit, without = (float(curves[name][-1]) for name in SDES)
    return StudyFigure(
        name="mean-w",
        title=f"E w against time, n = {width}",
        x_label="t = l/n",
        y_label="E w, w = t q^(−1/2)",
        series=(Series("networks", t, means, se=ses), *_curves(curves, t, column)),
        caption=_caption(
            ("ReLU, ρ₀ = 0.3. At t = {:g}:", [t[-1]]),
            ("networks {:.3f} ± {:.3f},", [means[-1], ses[-1]]),
            ("limit {:.3f}, from w₀ {:.3f}, without the drift + 2q {:.3f}.", [limit, start, without]),
        ),
    )


def _distances(cells: list[CellEvidence]) -> StudyFigure | None:
    """D of ln q at the deepest common time against width."""
    row = sorted((c for c in cells if abs(_time(c) - 1) < 1e-9), key=lambda c: int(c.parameters["width"]))
    if len(row) < _LEAST_WIDTHS:
        return None
    n = np.array([float(c.parameters["width"]) for c in row])
    names = (*SDES, "matched-discrete", "angle-law", "finite-width-chain")
    distances = {name: np.array([c.score("distance", OBSERVABLE, name) for c in row]) for name in names}
    curves = _curves({name: np.where(d > 0, d, np.nan) for name, d in distances.items()}, n, row)
    if not curves:
        return None
    start, limit, without = (distances[name] for name in SDES)
    return StudyFigure(
        name="distance-by-width",
        title="How far each version is at t = 1, against width",
        x_label="width n",
        y_label="D of ln q",
        series=curves,
        caption=_caption(
            ("ReLU, ρ₀ = 0.3, d = n. Widths {:g} to {:g}.", n[[0, -1]]),
            ("The limit's D goes from {:.3f} to {:.3f} (O(log n/n) in w).", limit[[0, -1]]),
            ("From w₀ it goes from {:.3f} to {:.3f}.", start[[0, -1]]),
            ("Without the drift + 2q it ends at {:.3f}.", without[-1:]),
            ("A D that noise makes negative is left out.", ()),
        ),
        x_log=True,
        y_log=True,
    )


def _angles(column: list[CellEvidence]) -> StudyFigure | None:
    """Mean of ln(1 - rho) along depth, about ln sin^2 theta - ln 2 at small angles, against the angle law."""
    if not column:
        return None
    depth = np.array([float(c.parameters["depth"]) for c in column])
    drawn = [c.samples(OBSERVABLE) - 2 * math.log(layer) for c, layer in zip(column, depth, strict=True)]
    means, ses = np.array([mean_or_nan(x) for x in drawn]).T
    names = ("infinite-width", "angle-law", "angle-law-small-angles", "matched-discrete")
    curves = {name: _said(column, name, lambda made, _: made.law("log_gap").mean) for name in names}
    off = {name: float(curve[-1] - means[-1]) for name, curve in curves.items()}
    said = ", ".join(f"{_title(column, name)} {d:+.2f}" for name, d in off.items() if math.isfinite(d))
    if not said:
        return None
    return StudyFigure(
        name="angle-by-layer",
        title=f"The angle between two inputs, layer by layer, n = {column[0].parameters['width']}",
        x_label="layer l",
        y_label="E ln(1 − ρ_l)",
        series=(Series("networks", depth, means, se=ses), *_curves(curves, depth, column)),
        caption=f"ReLU, ρ₀ = 0.995 (an angle of 0.1). Error of the mean at the last layer: {said}.",
    )
