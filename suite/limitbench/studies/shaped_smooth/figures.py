"""Figures of `shaped-smooth`: explosion against beta and against the width, the norm in time, the ODE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammainc

from limitbench.errors import InputError
from limitbench.numerics.activations import activation_of
from limitbench.numerics.smooth_norm import norm_cdf
from limitbench.studies.evidence import CellEvidence, Evidence, widest
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.measured import Measured, mean_of, values
from limitbench.studies.phrases import last_point
from limitbench.studies.shaped_smooth.cells import CRITICAL, beta, time
from limitbench.studies.shaped_smooth.evidence import share
from limitbench.theories.base import Theory
from limitbench.theories.shaped_smooth import CovarianceODE

#: Curves are drawn with coarser meshes than laws have: 1e-4 in the cdf.
_NODES = 400


def figures(evidence: Evidence) -> list[StudyFigure]:
    """What the run's cells allow to draw."""
    cells = [c for c in evidence.cells if _drawn(c)]
    critical = [c for c in cells if c.parameters["rate"] == CRITICAL]
    below = [c for c in cells if float(c.parameters["rate"]) < CRITICAL]
    made = (_explosion(critical), _convergence(critical), _norm_in_time(critical), _ode(below))
    return [figure for figure in made if figure is not None]


def _drawn(cell: CellEvidence) -> bool:
    try:
        return cell.samples("exploded").size > 1
    except InputError:
        return False


def _points(label: str, x: Sequence[float], found: Sequence[Measured]) -> Series:
    order = np.argsort(x)
    y, se = (np.array([getattr(m, field) for m in found])[order] for field in ("value", "se"))
    return Series(label, np.asarray(x, dtype=float)[order], y, se=se)


def _at_one_time(cells: Sequence[CellEvidence]) -> list[CellEvidence]:
    """Cells at time 3, else at the largest time of the run."""
    times = sorted({round(time(c.parameters), 9) for c in cells}, key=lambda t: (t != 3.0, -t))
    return [c for c in cells if math.isclose(time(c.parameters), times[0], rel_tol=1e-6)] if times else []


def _explosion(cells: Sequence[CellEvidence]) -> StudyFigure | None:
    """Exploded share against beta at V_0 = 1, for the activation of most cells with beta > 0."""
    cells = _at_one_time([c for c in cells if beta(c.parameters) > 0 and c.parameters["norm0"] == 1.0])
    if len({beta(c.parameters) for c in cells}) < 2:
        return None
    at = time(cells[0].parameters)
    reach = max(beta(c.parameters) for c in cells)
    x = np.linspace(0.05, 1.2 * reach, 40)
    few = np.linspace(0.05, 1.2 * reach, 12)
    series = [
        Series("P(β + 1, β V₀), t → ∞", x, gammainc(x + 1, x), kind="theory", theory="explosion-probability"),
        Series(
            f"norm SDE, t = {at:g}",
            few,
            np.array([1 - norm_cdf(at, float(b), 1.0, nodes=_NODES).cdf[-1] for b in few]),
            kind="theory",
            theory="norm-sde",
        ),
    ]
    widths = sorted({int(c.parameters["width"]) for c in cells})
    for width in widths[:5]:
        row = [c for c in cells if c.parameters["width"] == width]
        series.append(_points(f"networks, n = {width}", [beta(c.parameters) for c in row], [share(c) for c in row]))
    last = max((c for c in cells if c.parameters["width"] == widths[-1]), key=lambda c: beta(c.parameters))
    law = float(gammainc(beta(last.parameters) + 1, beta(last.parameters)))
    return StudyFigure(
        name="explosion-probability",
        title="Share of networks whose norm explodes",
        x_label="β = (¾ φ''² + φ''')/a²",
        y_label=f"P(V > 10⁴ by t = {at:g})",
        series=tuple(series),
        caption=f"V₀ = 1. At β = {beta(last.parameters):.2f} the closed form is {law:.3f}, networks of width "
        f"{widths[-1]} give {share(last).value:.3f} ± {share(last).se:.3f}.",
    )


def _convergence(cells: Sequence[CellEvidence]) -> StudyFigure | None:
    """Exploded share against the width, with the norm SDE's as lines."""
    cells = _at_one_time([c for c in cells if c.parameters["activation"] == "root"])
    settings = sorted({(float(c.parameters["scale"]), float(c.parameters["norm0"])) for c in cells})
    series: list[Series] = []
    said = []
    for scale, norm0 in settings[:4]:
        row = [c for c in cells if c.parameters["scale"] == scale and c.parameters["norm0"] == norm0]
        widths = np.array(sorted({float(c.parameters["width"]) for c in row}))
        if widths.size < 2:
            continue
        limit = 1 - float(norm_cdf(time(row[0].parameters), beta(row[0].parameters), norm0, nodes=_NODES).cdf[-1])
        label = f"a = {scale:g}, V₀ = {norm0:g}"
        series.append(
            _points(f"networks, {label}", [float(c.parameters["width"]) for c in row], [share(c) for c in row])
        )
        series.append(
            Series(f"norm SDE, {label}", widths, np.full(widths.size, limit), kind="theory", theory="norm-sde")
        )
        points = series[-2]
        said.append(f"{label}: {points.y[0]:.3f} at n = {widths[0]:g}, {last_point(points)} at n = {widths[-1]:g}")
        said[-1] += f", the limit is {limit:.3f}"
    if not series:
        return None
    return StudyFigure(
        name="explosion-against-width",
        title="Share of exploded networks against width",
        x_label="width n",
        y_label=f"P(V > 10⁴ by t = {time(cells[0].parameters):g})",
        series=tuple(series),
        caption="φ = x + √(1 + x²) − 1; lines: the norm SDE, infinite width. " + "; ".join(said) + ".",
        x_log=True,
    )


def _norm_in_time(cells: Sequence[CellEvidence]) -> StudyFigure | None:
    """E ln V in time at V_0 = 1 and the largest width, one activation and scale each."""
    cells = widest([c for c in cells if c.parameters["norm0"] == 1.0])
    keys = {(beta(c.parameters), str(c.parameters["activation"]), float(c.parameters["scale"])) for c in cells}
    ordered = sorted(keys)
    # the extremes and what lies between, each a pair of series
    chosen = [ordered[round(i)] for i in np.linspace(0, len(ordered) - 1, min(4, len(ordered)))]
    series: list[Series] = []
    said = []
    for b, activation, scale in chosen:
        row = [c for c in cells if c.parameters["activation"] == activation and c.parameters["scale"] == scale]
        times = np.array([time(c.parameters) for c in row])
        if len(set(times)) < 2:
            continue
        label = f"{activation}, a = {scale:g} (β = {b:.2f})"
        series.append(_points(f"networks, {label}", list(times), [mean_of(values(c, "log_norm")) for c in row]))
        said.append(f"{label}: {last_point(series[-1])} at t = {max(times):g}")
        curve = np.linspace(0, max(times), 9)
        y = [0.0, *(_mean_log_norm(t, b) for t in curve[1:])]
        series.append(Series(f"norm SDE, {label}", curve, np.array(y), kind="theory", theory="norm-sde"))
        said[-1] += f", SDE {y[-1]:.3f}"
    if not series:
        return None
    return StudyFigure(
        name="norm-in-time",
        title="The log norm in time",
        x_label="t = l/n",
        y_label="E ln V, explosions left out",
        series=tuple(series),
        caption=f"Width {cells[0].parameters['width']}, V₀ = 1. {'; '.join(said)}. In theory the mean settles for β < "
        "−1 and falls for ever else; for β > 0 part of the networks explodes and the rest collapses.",
    )


def _mean_log_norm(t: float, b: float) -> float:
    """E ln V_t from V_0 = 1 given no explosion."""
    found = norm_cdf(float(t), b, 1.0, nodes=_NODES)
    z = math.sqrt(2) * found.z
    return float(z[-1] - np.trapezoid(found.cdf, z) / found.cdf[-1])


def _ode(cells: Sequence[CellEvidence]) -> StudyFigure | None:
    """E rho against t = l/n^{2p} below the critical rate, for one setting with phi''(0) not 0."""
    cells = [c for c in cells if activation_of(str(c.parameters["activation"])).second and time(c.parameters) <= 4]
    if not cells:
        return None
    names = ("activation", "scale", "rate", "norm0", "rho0")
    first = cells[0].parameters
    cells = [c for c in cells if all(c.parameters[a] == first[a] for a in names)]
    activation = activation_of(str(first["activation"]))
    largest = max(time(c.parameters) for c in cells)
    curve = np.linspace(0, largest, 41)
    norm0, rho0, scale = (float(first[a]) for a in ("norm0", "rho0", "scale"))

    def ode(t: float) -> float:
        return _said(CovarianceODE(t, activation.second, activation.third, scale, norm0, rho0))

    drawn = np.array([rho0, *(ode(float(t)) for t in curve[1:])])
    series = [Series("ODE", curve, drawn, kind="theory", theory="smooth-ode")]
    for width in sorted({int(c.parameters["width"]) for c in cells})[-4:]:
        row = [c for c in cells if c.parameters["width"] == width]
        series.append(
            _points(f"networks, n = {width}", [time(c.parameters) for c in row], [_mean_correlation(c) for c in row])
        )
    row = widest(cells)
    last = row[-1]
    recursion = np.array([_said(c.theory("infinite-width")) for c in row])
    label = f"infinite width with the s of n = {last.parameters['width']}"
    at = np.array([time(c.parameters) for c in row])
    series.append(Series(label, at, recursion, kind="theory", theory="infinite-width"))
    seen = _mean_correlation(last)
    limit = ode(time(last.parameters))
    return StudyFigure(
        name="ode",
        title="The mean correlation below the critical rate",
        x_label="t = l/n^{2p}",
        y_label="E ρ",
        series=(*series, Series("1/2", curve[[0, -1]], np.array([0.5, 0.5]), kind="reference")),
        caption=f"{activation.name}, a = {scale:g}, p = {first['rate']:g}, V₀ = {norm0:g}, ρ₀ = {rho0:g}. At width "
        f"{last.parameters['width']}, t = {time(last.parameters):.3g}: {seen.value:.4f} ± {seen.se:.4f}, "
        f"ODE {limit:.4f}.",
    )


def _said(theory: Theory) -> float:
    """Mean correlation, NaN where the norm has exploded."""
    return theory.law("correlation").mean if "correlation" in theory.observables else math.nan


def _mean_correlation(cell: CellEvidence) -> Measured:
    return mean_of(values(cell, "correlation"))
