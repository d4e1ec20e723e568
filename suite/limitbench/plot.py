"""Figures of a results tree on matplotlib axes: the drawings of the report, for notebooks and papers.

Every function takes the tree that `limitbench.run` and `limitbench.open_results` return, draws on `ax` or on axes of
its own, and returns the axes. Axes of the grid are chosen by name, `rate=0.5, width=64`; those left out are where the
report starts: the largest width, d = n or the middle depth, elsewhere the value at which some theory holds most often.

    >>> import limitbench
    >>> from limitbench.testing.toy import STUDY
    >>> tree = limitbench.run(STUDY, samples=64)
    >>> axes = limitbench.plot.overlay(tree, "walk", width=8, depth=4)
    >>> axes.get_ylabel()
    'density'

Errors: `InputError` for a name or value that the results do not have, and where they hold nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, get_args

from limitbench.errors import InputError
from limitbench.report.figures import errors as _errors
from limitbench.report.figures import overlays as _overlays
from limitbench.report.figures import paths as _paths
from limitbench.report.figures import quantiles as _quantiles
from limitbench.report.figures import series as _series
from limitbench.report.figures import throughput as _throughput
from limitbench.report.figures import validity as _validity
from limitbench.report.figures.distance import draw_distance
from limitbench.report.figures.ink import light
from limitbench.report.panels import reference_depth
from limitbench.report.pictures import errors_at
from limitbench.report.results import Results, Slice
from limitbench.report.selectors import leading, scored
from limitbench.report.validity import Rule, Validity

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = [
    "cdf_difference",
    "distance",
    "error_against_width",
    "overlay",
    "paths",
    "quantiles",
    "study_figure",
    "throughput",
    "validity",
]


def validity(
    tree: xr.DataTree,
    observable: str = "",
    *,
    rule: str = "nearest",
    own: Sequence[tuple[float, float, str]] = (),
    contours: Sequence[str] | None = None,
    ax: Axes | None = None,
    **where: object,
) -> Axes:
    """Which theory describes which part of the depth x width plane.

    Arguments:
        tree: results of one study.
        observable: its name; the first that is scored by default.
        rule: `nearest` gives a cell to the theory of the smallest D (where it lies within the intervals of several, to
            the first listed of them that holds), `simplest` to the first listed theory that holds.
        own: networks of your own as (depth, width, label), shown as stars.
        contours: theories whose line D = margin is drawn; all that have one by default.
        ax: axes to draw on.
        where: values of the other axes.

    Cells are pale and hatched where their theory fails or is undecided; the number is N*, the networks that it takes to
    reject it.

    >>> import limitbench
    >>> from limitbench.testing.toy import STUDY
    >>> axes = limitbench.plot.validity(limitbench.run(STUDY, samples=64), "walk", own=[(3, 6, "mine")])
    >>> axes.get_xlabel()
    'width n'
    """
    results = _results(tree)
    observable = _observable(results, observable)
    if rule not in get_args(Rule):
        raise InputError("rule", rule, f"one of {', '.join(get_args(Rule))}")
    for theory in contours or ():
        _theory(results, observable, theory)
    at = _slice(results, where)
    found = Validity(results, at, observable, cast(Rule, rule))
    if not found.exists:
        raise InputError("tree", results.name, "results with a depth axis, several widths and scores")
    axes = _axes(ax)
    _validity.draw_validity(axes, found, own=own, contours=contours, ink=light())
    handles, place = _validity.legend_handles(axes, found, light()), (0.5, -0.13)
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=place, ncols=2, frameon=False, fontsize="small")
    return _finish(axes, results, observable, at.label, legend=False)


def distance(
    tree: xr.DataTree, observable: str = "", theory: str = "", *, ax: Axes | None = None, **where: object
) -> Axes:
    """D of one theory over the depth x width plane, with the verdict of every cell.

    Arguments:
        tree, ax, where: as for `validity`.
        observable, theory: names; the first observable that is scored, the first theory that says something about it.
    """
    results = _results(tree)
    observable = _observable(results, observable)
    theory = _theory(results, observable, theory)
    at = _slice(results, where)
    axes = _axes(ax)
    draw_distance(axes, results, at, observable, theory, ink=light())
    return _finish(axes, results, observable, f"D of {results.theory_title(theory)}", at.label, legend=False)


def error_against_width(tree: xr.DataTree, observable: str = "", *, ax: Axes | None = None, **where: object) -> Axes:
    """D of every theory against the width with its interval, fitted rates, and the errors that the best law predicts.

    Arguments:
        tree, observable, ax: as for `validity`.
        where: values of the axes but `width`, the depth axis among them.
    """
    results = _results(tree)
    observable = _observable(results, observable)
    if results.width_axis is None or len(results.values("width")) < 2:
        raise InputError("tree", results.name, "results at several widths")
    index = _index(results, where, without=("width",))
    at, depth = _slice_of(results, index), index.get(str(results.depth_axis), 0)
    found = errors_at(results, observable, at, depth)
    if not found.errors:
        raise InputError("observable", observable, "one that is scored in these cells")
    axes = _axes(ax)
    _errors.draw_errors(axes, results, found.errors, found.fits, found.predicted, ink=light())
    return _finish(axes, results, observable, results.cell_label(index))


def overlay(tree: xr.DataTree, observable: str = "", *, ax: Axes | None = None, **where: object) -> Axes:
    """Histogram of the networks of one cell and the density of every theory.

    Arguments:
        tree, observable, ax: as for `validity`.
        where: values of the axes of the grid.
    """
    return _one_cell(tree, observable, where, ax, _overlays.draw_density)


def cdf_difference(tree: xr.DataTree, observable: str = "", *, ax: Axes | None = None, **where: object) -> Axes:
    """Every theory's cdf less the networks' at one cell, with the band of sampling noise.

    Arguments are those of `overlay`.
    """
    return _one_cell(tree, observable, where, ax, _overlays.draw_cdf_difference)


def quantiles(tree: xr.DataTree, observable: str = "", *, ax: Axes | None = None, **where: object) -> Axes:
    """Quantiles of every theory against those of the networks at one cell, with their pointwise 95 % band.

    Arguments are those of `overlay`.
    """
    results = _results(tree)
    observable = _observable(results, observable)
    index = _index(results, where)
    found = _quantiles.quantiles_of(results, observable, index)
    if found is None:
        raise InputError("tree", results.cell_label(index), "a cell with networks that differ and a law with a spread")
    axes = _axes(ax)
    _quantiles.draw_quantiles(axes, results, observable, found, ink=light())
    return _finish(axes, results, observable, results.cell_label(index))


def paths(
    tree: xr.DataTree,
    observable: str = "",
    *,
    theories: Sequence[str] | None = None,
    ax: Axes | None = None,
    **where: object,
) -> Axes:
    """One observable along depth: networks with their 90 % band, and the same quantiles of theories.

    Arguments:
        tree, observable, ax: as for `validity`.
        theories: those to draw; the three best ones by default.
        where: values of the axes but the depth axis.
    """
    results = _results(tree)
    observable = _observable(results, observable)
    for theory in theories or ():
        _theory(results, observable, theory)
    index = _index(results, where, without=(str(results.depth_axis),))
    found = _paths.paths_of(results, observable, _slice_of(results, index), index.get("width", 0), theories)
    if found is None:
        raise InputError("tree", results.name, "results with networks at three depths or more")
    axes = _axes(ax)
    _paths.draw_paths(axes, results, observable, found, ink=light())
    return _finish(axes, results, observable, results.cell_label(index))


def study_figure(tree: xr.DataTree, name: str, *, ax: Axes | None = None) -> Axes:
    """One of the study's own figures by its name.

    Raises `InputError` with the names that these results have. Cost: some studies solve equations for their figures, a
    few seconds.
    """
    results = _results(tree)
    figures = {} if isinstance(results.figures, str) else {f.name: f for f in results.figures}
    if name not in figures:
        raise InputError("name", name, f"one of {', '.join(figures) or 'none: this study has no figures here'}")
    figure = figures[name]
    if _series.series_figure(figure, results.theories) is None:
        raise InputError("name", name, "a figure that has a point in these results")
    axes = _axes(ax)
    _series.draw_series(axes, figure, results.theories, ink=light())
    axes.set_title(figure.title)
    if figure.series:
        axes.legend(fontsize="small")
    return axes


def throughput(tree: xr.DataTree, *, ax: Axes | None = None) -> Axes:
    """Networks per second against width: a dot for each column of the grid, a line through the medians."""
    results = _results(tree)
    speeds = _throughput.speeds_of(results)
    if speeds is None:
        raise InputError("tree", results.name, "results with a width axis and seconds")
    axes = _axes(ax)
    _throughput.draw_throughput(axes, results, speeds, ink=light())
    axes.set_title(results.title)
    return axes


# -- parts ---------------------------------------------------------------------------------------------------------
def _results(tree: xr.DataTree) -> Results:
    """The tree with its study's words, where this installation knows the study."""
    from limitbench import studies

    return Results(tree, studies.of(tree))


def _observable(results: Results, name: str) -> str:
    known = scored(results)
    if not known:
        raise InputError("tree", results.name, "results with scores")
    if name and name not in known:
        raise InputError("observable", name, f"one of {', '.join(known)}")
    return name or known[0]


def _theory(results: Results, observable: str, name: str) -> str:
    known = results.said(observable)
    if name and name not in known:
        raise InputError("theory", name, f"one of {', '.join(known)}")
    return name or known[0]


def _index(results: Results, where: Mapping[str, object], without: Sequence[str] = ()) -> dict[str, int]:
    """Position by axis: of the values named, elsewhere where the report starts; none for axes in `without`."""
    axes = [a for a in results.axes if a not in without]
    for name in where:
        if name not in axes:
            raise InputError(name, where[name], f"an axis of this figure: {', '.join(axes) or 'it has none'}")
    return {a: _position(results, a, where[a]) if a in where else _start(results, a) for a in axes}


def _position(results: Results, axis: str, value: object) -> int:
    values = results.values(axis)
    for k, known in enumerate(values):
        if known == value:
            return k
        if isinstance(known, int | float) and isinstance(value, int | float) and math.isclose(known, value):
            return k
    raise InputError(axis, value, f"one of {', '.join(map(str, values))}")


def _start(results: Results, axis: str) -> int:
    if axis == results.width_axis:
        return len(results.values(axis)) - 1
    return reference_depth(results) if axis == results.depth_axis else leading(results, axis)


def _slice_of(results: Results, index: Mapping[str, int]) -> Slice:
    at = {a: index[a] for a in results.slice_axes}
    return next(s for s in results.slices if s.at == at)


def _slice(results: Results, where: Mapping[str, object]) -> Slice:
    plane = (str(results.depth_axis), "width")
    return _slice_of(results, _index(results, where, without=plane))


def _one_cell(
    tree: xr.DataTree, observable: str, where: Mapping[str, object], ax: Axes | None, draw: Callable[..., None]
) -> Axes:
    """One part of the page's drawing of network and theories at a cell."""
    results = _results(tree)
    observable = _observable(results, observable)
    index = _index(results, where)
    found = _overlays.overlay_of(results, observable, index)
    if found is None:
        raise InputError("tree", results.cell_label(index), "a cell with networks that differ")
    axes = _axes(ax)
    draw(axes, results, observable, found, ink=light())
    return _finish(axes, results, observable, results.cell_label(index))


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    made: Any = plt.subplots(figsize=(6.0, 4.4), layout="constrained")
    axes: Axes = made[1]
    return axes


def _finish(axes: Axes, results: Results, observable: str, *parts: str, legend: bool = True) -> Axes:
    axes.set_title(", ".join(filter(None, (results.observable_title(observable), *parts))), fontsize="medium")
    if legend:
        axes.legend(fontsize="small")
    return axes
