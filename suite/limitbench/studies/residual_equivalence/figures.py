"""Figures of `residual-equivalence`: one curve of correlations, two of norms, two sizes of fluctuation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.figures import Series, StudyFigure
from limitbench.studies.phrases import apart, each, furthest, moves
from limitbench.studies.residual_equivalence.cells import (
    MLP,
    NORMALISED,
    OBSERVABLE,
    PLAIN,
    Estimate,
    mean,
    root_cells,
    scaled,
    size,
    std,
)
from limitbench.theories.equivalence import ShapingODE
from limitbench.theories.equivalence.shaping_ode import correlation_and_variance

_LABELS = {MLP: "shaped MLP", NORMALISED: "ResNet, normalised", PLAIN: "ResNet"}


def drawn(evidence: Evidence) -> list[StudyFigure]:
    """All figures for which the run has cells with d = n^1/2."""
    makers = (_correlation_along_time, _norm_along_time, _fluctuation_against_width, _difference_against_aspect)
    return [figure for make in makers if (figure := _defined(make, evidence)) is not None]


def _defined(make: Callable[[Evidence], StudyFigure | None], evidence: Evidence) -> StudyFigure | None:
    """The figure, None where its cells hold no two networks that differ."""
    try:
        return make(evidence)
    except InputError:
        return None


def _points(
    label: str,
    cells: Sequence[CellEvidence],
    x: Callable[[CellEvidence], float],
    estimate: Callable[[CellEvidence], Estimate],
) -> Series:
    found = [estimate(cell) for cell in cells]
    return Series(
        label,
        np.array([x(cell) for cell in cells]),
        np.array([e.value for e in found]),
        se=np.array([e.se for e in found]),
    )


def _along_time(evidence: Evidence) -> dict[str, list[CellEvidence]]:
    """Cells of all times at the largest d = n^1/2 of the symmetric setting, by network."""
    found = {}
    for network in _LABELS:
        cells = root_cells(evidence, network)
        if cells:
            largest = {name: value for name, value in cells[-1].parameters.items() if name != "time"}
            found[network] = sorted(evidence.where(**largest), key=lambda c: float(c.parameters["time"]))
    return found


def _time(cell: CellEvidence) -> float:
    return float(cell.parameters["time"])


def _correlation_along_time(evidence: Evidence) -> StudyFigure | None:
    along = _along_time(evidence)
    if not along:
        return None
    cell = next(iter(along.values()))[-1]
    ode = cell.theory("ode")
    assert isinstance(ode, ShapingODE)
    rho0 = float(cell.parameters["rho0"])
    times = np.linspace(0, 1, 41)
    curve = [rho0, *(correlation_and_variance(float(t), ode.slope_difference, rho0)[0] for t in times[1:])]
    points = [
        _points(_LABELS[network], cells, _time, lambda c: mean(c.samples(OBSERVABLE)))
        for network, cells in along.items()
    ]
    ends = ", ".join(f"{s.label} {s.y[-1]:.4f} ± {s.se[-1]:.4f}" for s in points if s.se is not None)
    return StudyFigure(
        "correlation-along-time",
        "Mean correlation of MLP and residual networks along depth",
        "t = l/d",
        "mean correlation ρ",
        (Series("common ODE", times, np.array(curve), "theory", theory="ode"), *points),
        f"Mean correlation along depth at {size(cell)}, Δ = {ode.slope_difference:g}, ρ₀ = {rho0:g}. "
        f"The common ODE ends at {curve[-1]:.4f}; {ends} at the last time of the run.",
    )


def _norm_along_time(evidence: Evidence) -> StudyFigure | None:
    along = _along_time(evidence)
    if not along:
        return None
    times = np.linspace(0, 1, 41)
    points = [
        _points(_LABELS[network], cells, _time, lambda c: mean(c.samples("covariance_11")))
        for network, cells in along.items()
    ]
    curves = [Series("constant norm", times, np.ones(len(times)), "theory", theory="ode")]
    still = [(s.label, furthest(s, 1.0)) for s in points if s.label != _LABELS[PLAIN]]
    words = each([f"{label} {apart(off)} a constant norm" for label, off in still if math.isfinite(off)], "") + "."
    words = words if len(words) > 1 else "No network of constant norm was drawn."
    if PLAIN in along:
        cell = along[PLAIN][-1]
        ode = cell.theory("ode")
        assert isinstance(ode, ShapingODE)
        curves.append(Series(f"e^ht, h = {ode.growth:g}", times, np.exp(ode.growth * times), "reference"))
        discrete = cell.theory("infinite-width").law("covariance_11").mean
        last = next(s for s in points if s.label == _LABELS[PLAIN])
        words += f" The plain ResNet reaches {last.y[-1]:.3f}; at infinite width (1 + h/d)^(td) = {discrete:.3f}."
    cell = next(iter(along.values()))[-1]
    return StudyFigure(
        "norm-along-time",
        "Mean squared norm along depth",
        "t = l/d",
        "mean V¹¹",
        (*curves, *points),
        f"Mean squared norm of input 1 along depth at {size(cell)}. {words}",
        y_log=True,
    )


def _width(cell: CellEvidence) -> float:
    return float(cell.parameters["width"])


def _chain_std(cell: CellEvidence) -> float | None:
    """Scaled standard deviation of the finite-width chain; None where the network is too narrow for it."""
    try:
        law = cell.theory("finite-width-chain").law(OBSERVABLE)
    except InputError:
        return None
    return law.std * math.sqrt(_width(cell) / float(cell.parameters["depth"]))


def _fluctuation_against_width(evidence: Evidence) -> StudyFigure | None:
    mlp = root_cells(evidence, MLP)
    if not mlp:
        return None
    widths = np.array([_width(c) for c in mlp])
    limit = math.sqrt(correlation_and_variance(1.0, 3.0, -0.2)[1])
    chain = np.array([(n, std) for n, c in zip(widths, mlp, strict=True) if (std := _chain_std(c)) is not None])
    exact = []
    if len(chain):
        exact.append(Series("finite-width chain", chain[:, 0], chain[:, 1], "theory", theory="finite-width-chain"))
    points = [
        _points(_LABELS[network], root_cells(evidence, network), _width, scaled)
        for network in (MLP, NORMALISED)
        if root_cells(evidence, network)
    ]
    ends = [f"{scaled(c).value:.3f} ± {scaled(c).se:.3f} ({size(c)})" for c in (mlp[0], mlp[-1])]
    found = f"goes from {ends[0]} to {ends[1]}" if len(mlp) > 1 else f"is {ends[0]}"
    other = "".join(
        f" That of the {s.label} {moves(s)}; fluctuations of order n^-1/2 fall as d^-1/2 in this scale."
        for s in points
        if s.label == _LABELS[NORMALISED]
    )
    return StudyFigure(
        "scaled-fluctuation",
        "The scaled fluctuation of the correlation",
        "width n, d = n^1/2",
        "sd(ρ)/(d/n)^1/2",
        (
            Series("limit s₁^1/2", widths, np.full(len(widths), limit), "reference"),
            *exact,
            *points,
        ),
        f"The MLP's scaled standard deviation {found}; its limit is {limit:.4f}.{other}",
        x_log=True,
    )


def _difference_against_aspect(evidence: Evidence) -> StudyFigure | None:
    largest = root_cells(evidence, MLP)
    if not largest:
        return None
    shared = {name: largest[-1].parameters[name] for name in ("slope_difference", "slope_mean", "rho0", "time")}
    series, worst = [], 0.0
    depths = sorted({int(c.parameters["depth"]) for c in evidence.where(**shared)})
    for depth in depths[:8]:
        rows = []
        for mlp in evidence.where(network=MLP, depth=depth, **shared):
            width = mlp.parameters["width"]
            ours = evidence.one(network=NORMALISED, depth=depth, width=width, **shared)
            if ours is not None:
                a, b = mean(ours.samples(OBSERVABLE)), mean(mlp.samples(OBSERVABLE))
                rows.append((depth / float(width), a.value - b.value, math.hypot(a.se, b.se)))
        if rows:
            x, y, se = np.array(sorted(rows)).T
            series.append(Series(f"d = {depth}", x, y, se=se))
            worst = max(worst, *(Estimate(*row).deviation for row in zip(y.tolist(), se.tolist(), strict=True)))
    if not series:
        return None
    ratio = std(largest[-1].samples(OBSERVABLE)).value
    return StudyFigure(
        "difference-against-aspect",
        "Residual network against MLP, directly",
        "d/n",
        "mean ρ, ResNet less MLP",
        tuple(series),
        "Difference of the mean correlations of the normalised residual network and the symmetric MLP; both have the "
        f"same infinite-width recursion. Largest: {worst:.1f} standard errors. One MLP's correlation has a standard "
        f"deviation of {ratio:.3f} at {size(largest[-1])}.",
        x_log=True,
    )
