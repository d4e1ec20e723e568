"""Figures of `shaped-relu`: the critical exponent, and the mean correlation on its way to each limit."""

from __future__ import annotations

import math

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure

OBSERVABLE = "correlation"
LIMITS = ("infinite-width-clt", "covariance-sde", "covariance-sde-driftless")


def figures(evidence: Evidence) -> list[StudyFigure]:
    """What the run's cells at d = n, for one pair of slope constants and one rho0, allow to draw."""
    cells = evidence.where(alpha=1.0)
    if not cells:
        return []
    first = cells[0].parameters
    same = [c for c in cells if all(c.parameters[a] == first[a] for a in ("c_plus", "c_minus", "rho0")) and _drawn(c)]
    return [figure for figure in (_critical_exponent(same), _mean_correlation(same)) if figure is not None]


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
    seen = "; ".join(f"p = {rate:g}: {titles[t]}" for rate, t in zip(rates, best, strict=True))
    return StudyFigure(
        name="critical-exponent",
        title=f"Which limit is right at which rate, n = {widest}",
        x_label="shaping exponent p",
        y_label="D of the correlation",
        series=tuple(
            Series(titles[t], rates, np.where(d > 0, d, np.nan), kind="theory", theory=t) for t, d in distances.items()
        ),
        caption=f"{_setting(row[0])}. Smallest D at each rate: {seen}. The critical exponent is 1/2.",
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
