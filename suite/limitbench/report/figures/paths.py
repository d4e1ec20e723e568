"""One observable along depth at one width: networks as paths and quantile bands, theories by the same quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench.report import words
from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.results import Results, Slice
from limitbench.report.style import linear_ticks, log_ticks, number, plain

#: Levels of the bands and of the theories' lines.
BAND = (0.05, 0.5, 0.95)
#: Networks and theories that are drawn, and depths that a path needs.
_PATHS, _THEORIES, _LEAST = 6, 3, 3
_WIDTH, _HEIGHT, _LEFT, _INNER = 420, 300, 64, 346


@dataclass(frozen=True, eq=False)
class Paths:
    """What is drawn of one column.

    Attributes:
        depths: values of the depth axis.
        networks: 5 %, 50 % and 95 % quantiles of the networks by depth; NaN where none has a value.
        theories: by name the same quantiles of each law.
        paths: single networks; none where networks of different depths are different ones.
    """

    depths: Float[np.ndarray, " depths"]
    networks: Float[np.ndarray, "three depths"]
    theories: Mapping[str, Float[np.ndarray, "three depths"]]
    paths: Float[np.ndarray, "few depths"]

    def columns(self) -> dict[str, list[float]]:
        """The drawing's numbers, one row a depth."""
        found = {"depth": self.depths.tolist()}
        for name, values in {"networks": self.networks, **self.theories}.items():
            found |= {f"{name} {100 * level:g} %": row.tolist() for level, row in zip(BAND, values, strict=True)}
        return found | {f"network {k + 1}": row.tolist() for k, row in enumerate(self.paths)}


def paths_of(
    results: Results, observable: str, at: Slice, width: int, theories: Sequence[str] | None = None
) -> Paths | None:
    """The column at a slice and a position on the width axis.

    `theories`: those to draw; the three that rank first by default. None where fewer than three depths have networks.
    """
    if results.depth_axis is None or observable not in results.group("samples"):
        return None
    column = {a: i for a, i in results.cell_index(at, width, 0).items() if a != results.depth_axis}
    drawn = results.group("samples")[observable].isel(column)
    if set(drawn.dims) != {results.depth_axis, "sample"}:
        return None
    values = np.asarray(drawn.transpose(results.depth_axis, "sample").to_numpy(), dtype=float)
    values = np.where(np.isfinite(values), values, np.nan)
    known = np.isfinite(values).sum(axis=1) >= 2
    if known.sum() < _LEAST:
        return None
    networks = np.full((len(BAND), len(values)), np.nan)
    networks[:, known] = np.nanquantile(values[known], BAND, axis=1)
    chosen = [s.theory for s in words.standings(results, observable, dict(at.at))[:_THEORIES]]
    said = {t: np.full((len(BAND), len(values)), np.nan) for t in (chosen if theories is None else theories)}
    for depth in range(len(values)):
        levels, laws = results.quantiles(observable, results.cell_index(at, width, depth))
        for theory, rows in said.items():
            q = laws[results.theories.index(theory)]
            use = np.isfinite(q)
            if use.sum() >= 2:
                rows[:, depth] = np.interp(BAND, levels[use], q[use])
    depths = np.array(results.values(results.depth_axis), dtype=float)
    few = np.empty((0, len(depths)))
    if _shared(results, at, width):
        few = values.T[np.isfinite(values[known]).all(axis=0)][:_PATHS]
    return Paths(depths, networks, {t: q for t, q in said.items() if np.isfinite(q).any()}, few)


def _shared(results: Results, at: Slice, width: int) -> bool:
    """Whether one network is read at all depths of a column, so that its values are a path."""
    if results.study is None or results.depth_axis is None:
        return False
    if results.depth_axis == "layer":
        return True
    ends = []
    for depth in (0, len(results.values(results.depth_axis)) - 1):
        index = results.cell_index(at, width, depth)
        cell = {a: results.values(a)[i] for a, i in index.items()}
        if results.depth_axis == "aspect":
            cell["depth"] = max(1, round(float(cell["aspect"]) * float(cell["width"])))  # type: ignore[arg-type]
        ends.append(results.study.network(cell))  # type: ignore[arg-type]
    return not ends[0].depends_on_final_depth and ends[0].parameters == ends[1].parameters


def paths_figure(results: Results, observable: str, found: Paths) -> Figure:
    """The drawing as the page shows it."""
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        axes = figure.add_axes((_LEFT / _WIDTH, 44 / _HEIGHT, _INNER / _WIDTH, 248 / _HEIGHT))
        draw_paths(axes, results, observable, found)
    return figure


def draw_paths(axes: Axes, results: Results, observable: str, found: Paths, *, ink: Ink = PAGE) -> None:
    """The 90 % band and the median of the networks, some paths, and each theory's median and 5 % and 95 % quantiles."""
    x = found.depths
    log = bool(x[0] > 0 and x[-1] / x[0] > 10)
    axes.set_xscale("log" if log else "linear")
    low, middle, high = found.networks
    axes.fill_between(x, low, high, color=ink.network, alpha=0.2, lw=0, label="networks, 90 %")
    for path in found.paths:
        axes.plot(x, path, color=ink.network, lw=0.7, alpha=0.6)
    axes.plot(x, middle, ls="none", marker="o", ms=4, mew=0, color=ink.network, label="networks, median")
    for theory, (lower, centre, upper) in found.theories.items():
        look = ink.theory(results.theories.index(theory))
        axes.plot(x, centre, ls=look.dashes, color=look.colour, label=results.theory_title(theory))
        for end in (lower, upper):
            if not np.allclose(end, centre, rtol=1e-9, atol=1e-12, equal_nan=True):
                axes.plot(x, end, ls=look.dashes, lw=1.0, color=look.colour)
    least, most = float(np.nanmin(low)), float(np.nanmax(high))
    pad = max(0.15 * (most - least), 1e-9 * (1 + abs(most)))
    axes.set_ylim(least - pad, most + pad)
    axes.set_xlim(x[0], x[-1])
    ticks = x.tolist() if len(x) <= 6 and not log else log_ticks(x[0], x[-1]) if log else linear_ticks(x[0], x[-1])
    axes.set_xticks(ticks, [plain(round(t, 12)) for t in ticks])
    axes.set_xticks([], minor=True)
    ticks = linear_ticks(least - pad, most + pad)
    axes.set_yticks(ticks, [plain(round(t, 12)) for t in ticks])
    axes.grid(True, axis="y")
    axis = str(results.depth_axis)
    symbol = results.symbol(axis)
    axes.set_xlabel(symbol if axis in ("aspect", symbol) else f"{axis} {symbol}")
    place_label(axes, ink, results.observable_symbol(observable), _LEFT - 12, _INNER)


def describe(results: Results, found: Paths) -> str:
    """How the networks' median and band move, and where each theory's median and spread end beside them."""
    known = np.flatnonzero(np.isfinite(found.networks[1]))
    first, last = int(known[0]), int(known[-1])
    symbol = results.symbol(str(results.depth_axis))

    def spread(rows: np.ndarray, k: int) -> str:
        return f"{number(rows[1, k])} [{number(rows[0, k])}, {number(rows[2, k])}]"

    text = (
        f"Median [5 %, 95 %] of the networks: {spread(found.networks, first)} at {symbol} = "
        f"{plain(float(found.depths[first]))}, {spread(found.networks, last)} at {symbol} = "
        f"{plain(float(found.depths[last]))}"
    )
    said = [
        f"{results.theory_title(t)} {number(rows[1, last]) if np.ptp(rows[:, last]) == 0 else spread(rows, last)}"
        for t, rows in found.theories.items()
        if np.isfinite(rows[:, last]).all()
    ]
    return f"{text}; there {words.listing(said)}." if said else f"{text}."
