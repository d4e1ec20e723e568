"""Network against theories at one cell: densities above, cdf differences with their sampling band below."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from limitbench.report.results import Results
from limitbench.report.style import INK, MUTED, NETWORK, count, house_style, linear_ticks, number, plain, theory_style

BINS = 32
#: 95 % point of the Kolmogorov distribution: half width of the band times sqrt(N).
BAND = 1.358
#: Spread relative to 1 + |value| up to which numbers are the same.
_ROUNDING = 1e-12


def overlay_figure(results: Results, observable: str, index: Mapping[str, int]) -> tuple[Figure, str, str] | None:
    """The figure, a description and a sentence for the caption; None where the cell has no samples or they
    are one value.

    Arguments:
        results, observable: what to show.
        index: position of the cell by axis.
    """
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
    points = {t: float(q[0]) for t, q in laws.items() if _is_point(q)}
    curves = {t: _cdf(levels, q) for t, q in laws.items() if t not in points}
    band = BAND / np.sqrt(samples.size)
    with house_style():
        figure = Figure(figsize=(350 / 72, 330 / 72))
        upper = figure.add_axes((62 / 350, 150 / 330, 280 / 350, 174 / 330))
        lower = figure.add_axes((62 / 350, 44 / 330, 280 / 350, 84 / 330))
        heights = np.histogram(samples, edges)[0] / samples.size / np.diff(edges)
        top = float(heights.max())
        upper.stairs(heights, edges, fill=True, color=NETWORK, alpha=0.28, lw=0)
        centres = (edges[:-1] + edges[1:]) / 2
        widest = 2 * band
        for theory, (x, f) in curves.items():
            look = theory_style(results.theories.index(theory))
            at_edges = np.interp(edges, x, f, left=0.0, right=1.0)
            density = np.diff(at_edges) / np.diff(edges)
            top = max(top, min(float(density.max()), 1.8 * float(heights.max())))
            upper.plot(centres, density, ls=look.dashes, color=look.colour)
            difference = at_edges - np.searchsorted(samples, edges, side="right") / samples.size
            widest = max(widest, float(np.abs(difference).max()))
            lower.plot(edges, difference, ls=look.dashes, color=look.colour, clip_on=False)
        for theory, x0 in points.items():
            if edges[0] <= x0 <= edges[-1]:
                look = theory_style(results.theories.index(theory))
                upper.plot([x0, x0], [0, top], ls=look.dashes, color=look.colour, clip_on=False)
                upper.plot([x0], [top], marker=look.marker, color=look.colour, clip_on=False)
        upper.set_ylim(0, 1.06 * top)
        upper.set_yticks([])
        upper.spines["left"].set_visible(False)
        upper.set_ylabel("density")
        upper.yaxis.set_label_coords(-50 / 280, 0.5)
        lower.axhspan(-band, band, color=NETWORK, alpha=0.28, lw=0)
        lower.axhline(0, color=MUTED, lw=0.8)
        lower.set_ylim(-1.08 * widest, 1.08 * widest)
        tick = float(f"{0.8 * widest:.1g}")
        lower.set_yticks([-tick, 0, tick], [number(-tick, 1), "0", number(tick, 1)])
        lower.set_ylabel("cdf difference", fontsize=10, color=INK)
        lower.yaxis.set_label_coords(-50 / 280, 0.5)
        lower.set_xlabel(results.observable_symbol(observable))
        ticks = linear_ticks(edges[0], edges[-1])
        for axes in (upper, lower):
            axes.set_xlim(edges[0], edges[-1])
            axes.set_xticks(ticks, [plain(round(t, 12)) for t in ticks])
        upper.tick_params(labelbottom=False)
    return figure, *_describe(results, samples, curves, points, band)


def _is_point(quantiles: Float[np.ndarray, " levels"]) -> bool:
    known = quantiles[np.isfinite(quantiles)]
    return bool(known.max() - known.min() <= _ROUNDING * (1 + abs(known[0])))


def _cdf(
    levels: Float[np.ndarray, " levels"], quantiles: Float[np.ndarray, " levels"]
) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(quantiles)
    return np.maximum.accumulate(quantiles[known]), levels[known]


def _describe(
    results: Results,
    samples: Float[np.ndarray, " networks"],
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    points: Mapping[str, float],
    band: float,
) -> tuple[str, str]:
    found = {theory: _largest(samples, *curve) for theory, curve in curves.items()}
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
    parts += [f"{results.theory_title(theory)}: a single point at {number(x0)}." for theory, x0 in points.items()]
    return " ".join(parts), sentence + "."


def _largest(samples: Float[np.ndarray, " networks"], x: np.ndarray, f: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance between sorted samples and a tabulated cdf."""
    steps = np.interp(samples, x, f, left=0.0, right=1.0)
    ranks = np.arange(1, samples.size + 1) / samples.size
    return float(np.maximum(np.abs(steps - ranks), np.abs(steps - ranks + 1 / samples.size)).max())
