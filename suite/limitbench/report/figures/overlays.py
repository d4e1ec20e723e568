"""Network against theories at one cell: densities above, cdf differences with their sampling band below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limitbench.report.figures.ink import PAGE, Ink, place_label
from limitbench.report.results import Results
from limitbench.report.style import count, linear_ticks, number, plain

BINS = 32
#: 95 % point of the Kolmogorov distribution: half width of the band times sqrt(N).
BAND = 1.358
#: Spread relative to 1 + |value| up to which numbers are the same.
_ROUNDING = 1e-12
_WIDTH, _HEIGHT, _LEFT, _INNER = 350, 330, 62, 280


@dataclass(frozen=True, eq=False)
class Overlay:
    """What is drawn of one cell.

    Attributes:
        samples: the networks' values, sorted.
        edges: ends of the histogram's bins.
        curves: by theory the points (x, F(x)) of its tabulated cdf.
        points: by theory the value of a point mass.
    """

    samples: Float[np.ndarray, " networks"]
    edges: Float[np.ndarray, " edges"]
    curves: Mapping[str, tuple[Float[np.ndarray, " levels"], Float[np.ndarray, " levels"]]]
    points: Mapping[str, float]

    @property
    def band(self) -> float:
        """Half width of the band in which the networks' own cdf stays in 95 % of runs."""
        return float(BAND / np.sqrt(self.samples.size))

    @property
    def middle(self) -> Float[np.ndarray, " bins"]:
        """Middles of the bins."""
        return np.asarray((self.edges[:-1] + self.edges[1:]) / 2)

    @cached_property
    def density(self) -> Float[np.ndarray, " bins"]:
        """Histogram of the networks."""
        return np.asarray(np.histogram(self.samples, self.edges)[0] / self.samples.size / np.diff(self.edges))

    @cached_property
    def densities(self) -> dict[str, Float[np.ndarray, " bins"]]:
        """Mean density of each law in each bin."""
        return {t: np.diff(self._at_edges(t)) / np.diff(self.edges) for t in self.curves}

    @cached_property
    def differences(self) -> dict[str, Float[np.ndarray, " edges"]]:
        """Each law's cdf less the networks' at the ends of the bins."""
        empirical = np.searchsorted(self.samples, self.edges, side="right") / self.samples.size
        return {t: self._at_edges(t) - empirical for t in self.curves}

    def _at_edges(self, theory: str) -> Float[np.ndarray, " edges"]:
        x, f = self.curves[theory]
        return np.asarray(np.interp(self.edges, x, f, left=0.0, right=1.0))

    def columns(self) -> dict[str, list[float]]:
        """The drawing's numbers: one row a bin; cdf differences are those at its left end."""
        found = {
            "from": self.edges[:-1].tolist(),
            "to": self.edges[1:].tolist(),
            "networks density": self.density.tolist(),
        }
        for theory, density in self.densities.items():
            found[f"{theory} density"] = density.tolist()
            found[f"{theory} cdf difference"] = self.differences[theory][:-1].tolist()
        return found | {f"{theory} point": [x] for theory, x in self.points.items()}


def overlay_of(results: Results, observable: str, index: Mapping[str, int]) -> Overlay | None:
    """The cell at `index`; None where it has no samples or they are one value."""
    samples = np.sort(results.samples(observable, index))
    if samples.size < 2:
        return None
    levels, quantiles = results.quantiles(observable, index)
    low, high = np.quantile(samples, [0.002, 0.998])
    pad = 0.03 * (high - low)
    edges = np.linspace(max(low - pad, samples[0]), min(high + pad, samples[-1]), BINS + 1)
    if edges[-1] - edges[0] <= _ROUNDING * (1 + abs(edges[0])):  # one value, but for its last digits and stray networks
        return None
    laws = {t: q for t, q in zip(results.theories, quantiles, strict=True) if np.isfinite(q).sum() >= 2}
    points = {t: float(q[np.isfinite(q)][0]) for t, q in laws.items() if is_point(q)}
    return Overlay(samples, edges, {t: _cdf(levels, q) for t, q in laws.items() if t not in points}, points)


def overlay_figure(results: Results, observable: str, overlay: Overlay) -> Figure:
    """Both drawings, one above the other, as the page shows them."""
    with PAGE.style():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        upper, lower = (
            figure.add_axes((_LEFT / _WIDTH, bottom / _HEIGHT, _INNER / _WIDTH, height / _HEIGHT))
            for bottom, height in ((150, 174), (44, 84))
        )
        draw_density(upper, results, observable, overlay)
        draw_cdf_difference(lower, results, observable, overlay)
        upper.set_xlabel("")
        upper.tick_params(labelbottom=False)
        lower.yaxis.label.set_fontsize(10)
    return figure


def draw_density(axes: Axes, results: Results, observable: str, overlay: Overlay, *, ink: Ink = PAGE) -> None:
    """Histogram of the networks and each law's density; a point mass as a vertical line."""
    highest = float(overlay.density.max())
    axes.stairs(overlay.density, overlay.edges, fill=True, color=ink.network, alpha=0.28, lw=0, label="networks")
    top = highest
    for theory, density in overlay.densities.items():
        look = ink.theory(results.theories.index(theory))
        top = max(top, min(float(density.max()), 1.8 * highest))
        axes.plot(overlay.middle, density, ls=look.dashes, color=look.colour, label=results.theory_title(theory))
    for theory, x0 in overlay.points.items():
        if overlay.edges[0] <= x0 <= overlay.edges[-1]:
            look = ink.theory(results.theories.index(theory))
            axes.plot([x0, x0], [0, top], ls=look.dashes, color=look.colour, clip_on=False)
            label = results.theory_title(theory)
            axes.plot([x0], [top], marker=look.marker, ls=look.dashes, color=look.colour, clip_on=False, label=label)
    axes.set_ylim(0, 1.06 * top)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    place_label(axes, ink, "density", 50, _INNER)
    _along(axes, results, observable, overlay)


def draw_cdf_difference(axes: Axes, results: Results, observable: str, overlay: Overlay, *, ink: Ink = PAGE) -> None:
    """Each law's cdf less the networks', with the band of sampling noise."""
    widest = 2 * overlay.band
    for theory, difference in overlay.differences.items():
        look = ink.theory(results.theories.index(theory))
        widest = max(widest, float(np.abs(difference).max()))
        label = results.theory_title(theory)
        axes.plot(overlay.edges, difference, ls=look.dashes, color=look.colour, clip_on=False, label=label)
    axes.axhspan(-overlay.band, overlay.band, color=ink.network, alpha=0.28, lw=0)
    axes.axhline(0, color=ink.muted, lw=0.8)
    axes.set_ylim(-1.08 * widest, 1.08 * widest)
    tick = float(f"{0.8 * widest:.1g}")
    axes.set_yticks([-tick, 0, tick], [number(-tick, 1), "0", number(tick, 1)])
    place_label(axes, ink, "cdf difference", 50, _INNER)
    _along(axes, results, observable, overlay)


def _along(axes: Axes, results: Results, observable: str, overlay: Overlay) -> None:
    ticks = linear_ticks(overlay.edges[0], overlay.edges[-1])
    axes.set_xlim(overlay.edges[0], overlay.edges[-1])
    axes.set_xticks(ticks, [plain(round(t, 12)) for t in ticks])
    axes.set_xlabel(results.observable_symbol(observable))


def is_point(quantiles: Float[np.ndarray, " levels"]) -> bool:
    """Whether a law is a point mass, from its quantiles, some of which are defined."""
    known = quantiles[np.isfinite(quantiles)]
    return bool(known.max() - known.min() <= _ROUNDING * (1 + abs(known[0])))


def _cdf(
    levels: Float[np.ndarray, " levels"], quantiles: Float[np.ndarray, " levels"]
) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(quantiles)
    return np.maximum.accumulate(quantiles[known]), levels[known]


def describe(results: Results, overlay: Overlay) -> tuple[str, str]:
    """A description of both drawings, and a sentence for the caption."""
    samples, band = overlay.samples, overlay.band
    found = {theory: _largest(samples, *curve) for theory, curve in overlay.curves.items()}
    nearest = min(found, key=lambda theory: found[theory], default=None)
    sentence = f"{count(samples.size)} networks"
    if nearest is not None:
        inside = "inside" if found[nearest] <= band else "outside"
        sentence += (
            f"; nearest is {results.theory_title(nearest)}, largest cdf difference {number(found[nearest], 2)}, "
            f"{inside} the sampling band ±{number(band, 2)}"
        )
    parts = [f"{count(samples.size)} networks, mean {number(samples.mean())}, sd {number(samples.std(ddof=1))}."]
    for theory, largest in found.items():
        inside = "inside" if largest <= band else "outside"
        parts.append(
            f"{results.theory_title(theory)}: largest cdf difference {number(largest, 2)}, "
            f"{inside} the sampling band ±{number(band, 2)}."
        )
    parts += [
        f"{results.theory_title(theory)}: a single point at {number(x0)}." for theory, x0 in overlay.points.items()
    ]
    return " ".join(parts), sentence + "."


def _largest(samples: Float[np.ndarray, " networks"], x: np.ndarray, f: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance between sorted samples and a tabulated cdf."""
    steps = np.interp(samples, x, f, left=0.0, right=1.0)
    ranks = np.arange(1, samples.size + 1) / samples.size
    return float(np.maximum(np.abs(steps - ranks), np.abs(steps - ranks + 1 / samples.size)).max())
