"""Figures of `ntk`: the spread of K_11 on one curve in d/n, and the cosine of the kernel along depth."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.measured import mean_of, values, variance
from limitbench.studies.ntk.claims import NARROWEST
from limitbench.studies.phrases import last_point
from limitbench.theories.ntk import LogNormal


def figures(evidence: Evidence) -> list[StudyFigure]:
    """What the run's cells allow to draw, for its first rate and rho0."""
    if not evidence.cells:
        return []
    first = evidence.cells[0].parameters
    cells = evidence.where(rate=first["rate"], rho0=first["rho0"])
    rows = [
        sorted((c for c in cells if c.parameters["width"] == n), key=lambda c: int(c.parameters["depth"]))
        for n in sorted({int(c.parameters["width"]) for c in cells})
    ]
    rows = [row for row in rows if len(row) > 1]
    return [_spread(rows), _cosine(rows)] if rows else []


def _label(row: list[CellEvidence]) -> str:
    return f"networks, n = {row[0].parameters['width']}"


def _setting(cell: CellEvidence) -> str:
    return f"p = {cell.parameters['rate']:g}, ρ₀ = {cell.parameters['rho0']:g}"


def _spread(rows: list[list[CellEvidence]]) -> StudyFigure:
    series, off, compared = [], 0.0, 0
    for row in rows:
        t = np.array([float(c.parameters["depth"]) / float(c.parameters["width"]) for c in row])
        found = [variance(c, "log_ntk") for c in row]
        exact = np.array([cast(LogNormal, c.theory("log-normal")).variance for c in row])
        seen, se = np.array([m.value for m in found]), np.array([m.se for m in found])
        if float(row[0].parameters["width"]) >= NARROWEST:
            off = max(off, float(np.max(np.abs(seen / exact - 1)[t <= 1.0], initial=0.0)))
            compared += int((t <= 1.0).sum())
        series.append(Series(_label(row), t, seen, se=se))
        width = row[0].parameters["width"]
        series.append(Series(f"log-normal, n = {width}", t, exact, kind="theory", theory="log-normal"))
    said = (
        f"Up to d = n, from n = {NARROWEST} on, the variances of {compared} cells are within {100 * off:.0f} % of "
        "those of the log-normal law with the exact mean and second moment"
        if compared
        else f"At d/n = {series[0].x[-1]:g}, {series[0].label} have {last_point(series[0])}"
    )
    return StudyFigure(
        name="spread-of-the-kernel",
        title="The spread of ln K₁₁ against depth over width",
        x_label="d/n",
        y_label="Var ln K₁₁",
        series=tuple(series),
        caption=f"{_setting(rows[0][0])}. {said}. Infinite width has none.",
        x_log=True,
        y_log=True,
    )


def _cosine(rows: list[list[CellEvidence]]) -> StudyFigure:
    series = []
    for row in rows:
        depths = np.array([float(c.parameters["depth"]) for c in row])
        found = [mean_of(values(c, "ntk_ratio")) for c in row]
        series.append(
            Series(_label(row), depths, np.array([m.value for m in found]), se=np.array([m.se for m in found]))
        )
    widest = rows[-1]
    limit = np.array([c.theory("infinite-width").law("ntk_ratio").mean for c in widest])
    depths = np.array([float(c.parameters["depth"]) for c in widest])
    series.append(Series("infinite width", depths, limit, kind="theory", theory="infinite-width"))
    gap = float(series[-2].y[-1] - limit[-1])
    spread = math.sqrt(variance(widest[-1], "ntk_ratio").value)
    return StudyFigure(
        name="cosine-of-the-kernel",
        title="The cosine of the kernel along depth",
        x_label="depth d",
        y_label="E K₁₂/√(K₁₁K₂₂)",
        series=tuple(series),
        caption=f"{_setting(widest[0])}. At d = {depths[-1]:g}, n = {widest[0].parameters['width']} the mean is "
        f"{gap:+.3f} from infinite width, and one network's own value has a standard deviation of {spread:.3f}.",
        x_log=True,
    )
