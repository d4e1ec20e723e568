"""Figures of `shaped-relu`: the critical exponent, and the mean correlation on its way to each limit."""

from __future__ import annotations

import contextlib
import itertools
import math

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.theories.shaped_relu import CovarianceSDE

OBSERVABLE = "correlation"
LIMITS = ("infinite-width-clt", "covariance-sde", "covariance-sde-driftless")
#: Least D that is drawn: below it is noise, and a D that noise makes negative has no place on a logarithmic axis.
_FLOOR = 1e-3
#: With fewer depths the limit's curve has points between them.
_CURVE = 6


def figures(evidence: Evidence) -> list[StudyFigure]:
    """What the run's cells at d = n, for one pair of slope constants and one rho0, allow to draw."""
    cells = evidence.where(alpha=1.0)
    if not cells:
        return []
    first = cells[0].parameters
    same = [c for c in cells if all(c.parameters[a] == first[a] for a in ("c_plus", "c_minus", "rho0")) and _drawn(c)]
    shared = {a: first[a] for a in ("c_plus", "c_minus", "rho0")}
    drawn = [_critical_exponent(same), _mean_correlation(same)]
    with contextlib.suppress(InputError):  # times too short for the limit's equation
        drawn.append(_collapse(evidence.where(rate=0.5, **shared)))
    return [figure for figure in drawn if figure is not None]


def _drawn(cell: CellEvidence) -> bool:
    try:
        return cell.samples(OBSERVABLE).size > 1
    except InputError:
        return False


def _chain_mean(cell: CellEvidence) -> float:
    """NaN where the layer is too narrow for the chain."""
    try:
        return cell.theory("finite-width-chain").law(OBSERVABLE).mean
    except InputError:
        return math.nan


def _setting(cell: CellEvidence) -> str:
    p = cell.parameters
    return f"c₊ = {p['c_plus']:g}, c₋ = {p['c_minus']:g}, ρ₀ = {p['rho0']:g}, d = n"


def _critical_exponent(cells: list[CellEvidence]) -> StudyFigure | None:
    """D of the three limits against the rate, at the largest width."""
    widest = max((int(c.parameters["width"]) for c in cells), default=0)
    row = sorted((c for c in cells if c.parameters["width"] == widest), key=lambda c: float(c.parameters["rate"]))
    if len(row) < 3:
        return None
    rates = np.array([float(c.parameters["rate"]) for c in row])
    titles = {t.name: t.title for t in row[0].study.theories}
    distances = {t: np.array([c.score("distance", OBSERVABLE, t) for c in row]) for t in LIMITS}
    best = [min(LIMITS, key=lambda t: np.nan_to_num(distances[t][k], nan=math.inf)) for k in range(len(row))]
    smallest = [float(distances[t][k]) for k, t in enumerate(best)]
    seen = "; ".join(
        f"p = {rate:g}: {titles[t]} ({max(d, 0.0):.2g})" for rate, t, d in zip(rates, best, smallest, strict=True)
    )
    floored = any((d <= _FLOOR).any() for d in distances.values())
    return StudyFigure(
        name="critical-exponent",
        title=f"Which limit is right at which rate, n = {widest}",
        x_label="shaping exponent p",
        y_label="D of the correlation",
        series=tuple(
            Series(titles[t], rates, np.maximum(d, _FLOOR), kind="theory", theory=t) for t, d in distances.items()
        ),
        caption=f"{_setting(row[0])}. Smallest D at each rate: {seen}. In theory the limit changes at p = 1/2."
        + (f" D below {_FLOOR:g} is drawn there." if floored else ""),
        y_log=True,
    )


def _mean_correlation(cells: list[CellEvidence]) -> StudyFigure | None:
    """E rho at d = n against the width, by rate, with the finite-width chain and the SDE."""
    series: list[Series] = []
    off = []
    for rate in sorted({float(c.parameters["rate"]) for c in cells}):
        row = sorted((c for c in cells if c.parameters["rate"] == rate), key=lambda c: int(c.parameters["width"]))
        if len(row) < 2:
            continue
        widths = np.array([float(c.parameters["width"]) for c in row])
        drawn = [c.samples(OBSERVABLE) for c in row]
        means = np.array([x.mean() for x in drawn])
        ses = np.array([x.std(ddof=1) / math.sqrt(x.size) for x in drawn])
        chain = np.array([_chain_mean(c) for c in row])
        off.append(float(np.nanmax(np.abs((means - chain) / ses), initial=0.0)))
        series.append(Series(f"networks, p = {rate:g}", widths, means, kind="network", se=ses))
        series.append(
            Series(f"finite-width chain, p = {rate:g}", widths, chain, kind="theory", theory="finite-width-chain")
        )
    if not series:
        return None
    ends = np.array([float(series[0].x[0]), float(series[0].x[-1])])
    for name, words in (("covariance-sde", "SDE, p = 1/2"), ("covariance-sde-driftless", "SDE with ν = 0, p > 1/2")):
        limit = cells[0].theory(name).law(OBSERVABLE).mean
        series.append(Series(words, ends, np.full(2, limit), kind="reference"))
    return StudyFigure(
        name="mean-correlation",
        title="The mean correlation on its way to each limit",
        x_label="width n",
        y_label="E ρ_d at d = n",
        series=tuple(series),
        caption=f"{_setting(cells[0])}. Networks against the finite-width chain: at most {max(off):.1f} standard "
        "errors apart at any width and rate. Horizontal lines are the limits of infinite width.",
        x_log=True,
    )


def _collapse(cells: list[CellEvidence]) -> StudyFigure | None:
    """E rho against d/n at the critical rate: one curve for all widths where the SDE is right."""
    cells = [c for c in cells if _drawn(c)]
    widths = sorted({int(c.parameters["width"]) for c in cells})
    ratios = sorted({_ratio(c) for c in cells})
    if len(widths) < 2 or len(ratios) < 2:
        return None
    rho0, at = float(cells[0].parameters["rho0"]), cells[0].parameters
    between = [ratios[0] / 2, *((a + b) / 2 for a, b in itertools.pairwise(ratios))] if len(ratios) < _CURVE else []
    times = np.array([0.0, *sorted({*ratios, *between})])
    limits = [CovarianceSDE(float(t), float(at["c_plus"]), float(at["c_minus"]), rho0) for t in times[1:]]
    limit = np.array([rho0, *(theory.law(OBSERVABLE).mean for theory in limits)])
    series = [Series("covariance SDE", times, limit, kind="theory", theory="covariance-sde")]
    for width in widths:
        row = sorted((c for c in cells if c.parameters["width"] == width), key=_ratio)
        drawn = [c.samples(OBSERVABLE) for c in row]
        x, y = np.array([_ratio(c) for c in row]), np.array([v.mean() for v in drawn])
        se = np.array([v.std(ddof=1) / math.sqrt(v.size) for v in drawn])
        series.append(Series(f"networks, n = {width}", x, y, se=se))
    spread = [float(np.abs(s.y - np.interp(s.x, times, limit)).max()) for s in series[1:]]
    return StudyFigure(
        name="collapse-in-depth-over-width",
        title="The mean correlation of all widths against d/n, p = 1/2",
        x_label="d/n",
        y_label="E ρ_d",
        series=tuple(series),
        caption=f"c₊ = {at['c_plus']:g}, c₋ = {at['c_minus']:g}, ρ₀ = {rho0:g}. Means are at most {spread[0]:.3f} from "
        f"the covariance SDE at n = {widths[0]} and at most {spread[-1]:.3f} at n = {widths[-1]}.",
    )


def _ratio(cell: CellEvidence) -> float:
    return float(cell.parameters["depth"]) / float(cell.parameters["width"])
