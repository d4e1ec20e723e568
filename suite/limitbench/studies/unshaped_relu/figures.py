"""Figures of `unshaped-relu`: paths of q, the mean of w, distance against width, the angle by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.unshaped_relu.evidence import OBSERVABLE, RELU, aligned, mean_or_nan, mean_w, w_of, widest

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


def _laws(cells: Sequence[CellEvidence], theory: str, level: float) -> Float[np.ndarray, " cells"]:
    return np.array([float(cell.theory(theory).law(OBSERVABLE).quantile(level)) for cell in cells])


def _title(cells: Sequence[CellEvidence], theory: str) -> str:
    return next(t.title for t in cells[0].study.theories if t.name == theory)


def _paths(column: list[CellEvidence]) -> StudyFigure | None:
    if not column:
        return None
    t, width, theory = _times(column), int(column[0].parameters["width"]), "q-sde-finite-start"
    networks = np.stack([aligned(cell) for cell in column], axis=1)
    networks = networks[np.isfinite(networks).all(axis=1)]
    if not networks.size:
        return None
    middle, low, high = (_laws(column, theory, level) for level in (0.5, *_BAND))
    inside = float(((networks >= low) & (networks <= high)).mean())
    band = Series(f"{_title(column, theory)}: 10 to 90 %", t, middle, kind="band", low=low, high=high, theory=theory)
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
    curves = [
        Series(
            _title(column, name),
            t,
            np.array([mean_w(cell.theory(name), time) for cell, time in zip(column, t, strict=True)]),
            kind="theory",
            theory=name,
        )
        for name in (*SDES, "finite-width-chain")
    ]
    start, limit, without, _ = (float(curve.y[-1]) for curve in curves)
    return StudyFigure(
        name="mean-w",
        title=f"E w against time, n = {width}",
        x_label="t = l/n",
        y_label="E w, w = t q^(−1/2)",
        series=(Series("networks", t, means, se=ses), *curves),
        caption=f"ReLU, ρ₀ = 0.3. At t = {t[-1]:g}: networks {means[-1]:.3f} ± {ses[-1]:.3f}, limit {limit:.3f}, from "
        f"w₀ {start:.3f}, without the drift + 2q {without:.3f}.",
    )


def _distances(cells: list[CellEvidence]) -> StudyFigure | None:
    """D of ln q at the deepest common time against width."""
    row = sorted((c for c in cells if abs(_time(c) - 1) < 1e-9), key=lambda c: int(c.parameters["width"]))
    if len(row) < _LEAST_WIDTHS:
        return None
    n = np.array([float(c.parameters["width"]) for c in row])
    names = (*SDES, "matched-discrete", "angle-law", "finite-width-chain")
    distances = {name: np.array([c.score("distance", OBSERVABLE, name) for c in row]) for name in names}
    return StudyFigure(
        name="distance-by-width",
        title="How far each version is at t = 1, against width",
        x_label="width n",
        y_label="D of ln q",
        series=tuple(
            Series(_title(row, name), n, np.where(d > 0, d, np.nan), kind="theory", theory=name)
            for name, d in distances.items()
        ),
        caption=f"ReLU, ρ₀ = 0.3, d = n. From n = {n[0]:g} to {n[-1]:g} the limit's D goes from "
        f"{distances['q-sde'][0]:.3f} to {distances['q-sde'][-1]:.3f} (O(log n/n) in w), from w₀ "
        f"{distances['q-sde-finite-start'][0]:.3f} to {distances['q-sde-finite-start'][-1]:.3f}; without the drift "
        f"+ 2q it ends at {distances['q-sde-no-drift'][-1]:.3f}. A D that noise makes negative is left out.",
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
    curves = {name: np.array([c.theory(name).law("log_gap").mean for c in column]) for name in names}
    off = ", ".join(f"{_title(column, name)} {curve[-1] - means[-1]:+.2f}" for name, curve in curves.items())
    return StudyFigure(
        name="angle-by-layer",
        title=f"The angle between two inputs, layer by layer, n = {column[0].parameters['width']}",
        x_label="layer l",
        y_label="E ln(1 − ρ_l)",
        series=(
            Series("networks", depth, means, se=ses),
            *(Series(_title(column, name), depth, y, kind="theory", theory=name) for name, y in curves.items()),
        ),
        caption=f"ReLU, ρ₀ = 0.995 (an angle of 0.1). Error of the mean at the last layer: {off}.",
    )
