"""Quantiles of the networks against those of each theory at one cell, with the band of sampling noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench.report import words
from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.figures.overlays import is_point
from limitbench.report.results import Results
from limitbench.report.style import linear_ticks, number, plain

#: Half width of a pointwise 95 % band in standard errors.
_ERRORS = 1.96
#: Levels that are compared; the outer ones only where this many networks lie beyond them.
_LEVELS = np.concatenate([[0.001, 0.003], np.linspace(0.01, 0.99, 29), [0.997, 0.999]])
_BEYOND = 20
_WIDTH, _HEIGHT, _LEFT, _INNER = 350, 330, 62, 280


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Quantiles of one cell at common levels.

    Attributes:
        levels: from the smallest to the largest.
        networks, low, high: the networks' quantiles and the ends of their pointwise 95 % band.
        theories: by name the quantiles of each law that is no point mass; NaN beyond its table.
        sd: standard deviation of the networks.
    """

    levels: Float[np.ndarray, " levels"]
    networks: Float[np.ndarray, " levels"]
    low: Float[np.ndarray, " levels"]
    high: Float[np.ndarray, " levels"]
    theories: Mapping[str, Float[np.ndarray, " levels"]]
    sd: float

    def columns(self) -> dict[str, list[float]]:
        """The drawing's numbers, one row a level."""
        own = {"level": self.levels, "networks": self.networks, "low": self.low, "high": self.high}
        return {name: values.tolist() for name, values in {**own, **self.theories}.items()}


def quantiles_of(results: Results, observable: str, index: Mapping[str, int]) -> Quantiles | None:
    """The cell at `index`; None where it has too few networks, one value, or no law but point masses."""
    samples = np.sort(results.samples(observable, index))
    levels = _LEVELS[np.minimum(_LEVELS, 1 - _LEVELS) * samples.size >= _BEYOND]
    tabled, laws = results.quantiles(observable, index)
    known = {t: q for t, q in zip(results.theories, laws, strict=True) if np.isfinite(q).sum() >= 2 and not is_point(q)}
    sd = float(samples.std()) if samples.size else 0.0
    if levels.size < 3 or not known or not sd > 1e-12 * (1 + abs(float(samples.mean()))):
        return None
    spread = _ERRORS * np.sqrt(levels * (1 - levels) / samples.size)
    low, middle, high = (np.quantile(samples, np.clip(u, 0, 1)) for u in (levels - spread, levels, levels + spread))
    theories = {}
    for theory, q in known.items():
        use = np.isfinite(q)
        theories[theory] = np.interp(levels, tabled[use], q[use], left=np.nan, right=np.nan)
    return Quantiles(levels, middle, low, high, theories, sd)


def quantile_figure(results: Results, observable: str, found: Quantiles) -> Figure:
    """The drawing as the page shows it."""
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        axes = figure.add_axes((_LEFT / _WIDTH, 44 / _HEIGHT, _INNER / _WIDTH, 278 / _HEIGHT))
        draw_quantiles(axes, results, observable, found)
    return figure


def draw_quantiles(axes: Axes, results: Results, observable: str, found: Quantiles, *, ink: Ink = PAGE) -> None:
    """A theory's quantiles upwards, the networks' to the right; on the grey line they are equal."""
    x = found.networks
    ends = x[0], x[-1]
    pad = 0.04 * (ends[1] - ends[0])
    axes.fill_between(x, found.low, found.high, color=ink.network, alpha=0.28, lw=0, label="networks, 95 %")
    axes.plot(ends, ends, color=ink.muted, lw=0.8)
    for theory, y in found.theories.items():
        look = ink.theory(results.theories.index(theory))
        inside = np.where((y > ends[0] - 5 * pad) & (y < ends[1] + 5 * pad), y, np.nan)
        label = results.theory_title(theory)
        axes.plot(x, inside, ls=look.dashes, marker=look.marker, ms=3, mew=0, lw=1.1, color=look.colour, label=label)
    axes.set_xlim(ends[0] - pad, ends[1] + pad)
    axes.set_ylim(ends[0] - 3 * pad, ends[1] + 3 * pad)
    for setter, limits in ((axes.set_xticks, axes.get_xlim()), (axes.set_yticks, axes.get_ylim())):
        ticks = linear_ticks(*limits)
        setter(ticks, [plain(round(t, 12)) for t in ticks])
    symbol = results.observable_symbol(observable)
    axes.set_xlabel(f"quantiles of the networks, {symbol}")
    place_label(axes, ink, "quantiles of the theory", 50, _INNER)


def describe(results: Results, found: Quantiles) -> tuple[str, str]:
    """For each theory how many quantiles lie in the band and the furthest one; and the counts in one sentence."""
    parts: list[str] = []
    counts: dict[tuple[int, int], list[str]] = {}
    for theory, q in found.theories.items():
        known = np.isfinite(q)
        if not known.any():
            continue
        inside, title = int(((q >= found.low) & (q <= found.high))[known].sum()), results.theory_title(theory)
        off = np.where(known, (q - found.networks) / found.sd, 0.0)
        k = int(np.argmax(np.abs(off)))
        parts.append(
            f"{title} has {inside} of {int(known.sum())} inside; the furthest, at "
            f"{plain(round(100 * float(found.levels[k]), 1))} %, is {number(abs(off[k]), 2)} sd "
            f"{'above' if off[k] > 0 else 'below'}"
        )
        if not results.is_check(theory):
            counts.setdefault((inside, int(known.sum())), []).append(title)
    said = [
        f"{words.listing(titles)} {'have' if len(titles) > 1 else 'has'} {inside} of {all_of}"
        for (inside, all_of), titles in sorted(counts.items(), reverse=True)
    ]
    return (
        f"Quantiles in the pointwise 95 % band of the networks: {'; '.join(parts)}.",
        f"of the quantiles, {'; '.join(said)} in the pointwise 95 % band of the networks.",
    )
