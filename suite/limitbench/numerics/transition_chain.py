"""The law after many steps of a Markov chain on the line, by its transition matrix: no sampling.

A step from z is a shifted log-normal variable with the mean, standard deviation and third cumulant that the caller
gives for every z. Densities are smooth from the first step on, so that the trapezoidal rule on a uniform grid is
spectrally accurate; the cdf after the last step is the mixture of the steps' own cdfs, at any point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.special import ndtr

#: Grid nodes in a standard deviation of a step: aliasing errors of exp(-2 pi^2 2^2) = 5e-35 for a normal step.
_RESOLUTION = 2.0
#: Normal scores of a step that its column of the matrix covers on either side.
_REACH = 8.5
#: Standard deviations beyond the path of conditional means that the survey covers.
_MARGIN = 9.0
#: States that hold more than this at some time lie on the grid.
_VISITED = 1e-16
#: The grid resolves steps down to this fraction of the median standard deviation; narrower ones are widened to it.
_NARROWEST = 0.25
#: Fewest nodes of the table of the last law, enough to interpolate between them.
_TABLE = 1024
#: Below this the log-normal step is normal to rounding.
_TINY = 1e-9
#: Entries per block of the last step, which bounds the memory.
_BLOCK = 1 << 19


@dataclass(frozen=True)
class StepMoments:
    """Mean, standard deviation and third cumulant of the next value, one entry per present value z."""

    mean: Float[np.ndarray, " states"]
    std: Float[np.ndarray, " states"]
    third_cumulant: Float[np.ndarray, " states"]


Step = Callable[[Float[np.ndarray, " states"]], StepMoments]


@dataclass(frozen=True)
class ChainLaw:
    """The law of the chain's last value.

    Attributes:
        nodes: points from the far left to the far right tail, for tables.
        cdf, survival: P(Z <= nodes) and P(Z > nodes), each with its own relative accuracy.
        weights: probabilities on the same nodes for which sum weights f(nodes) = E f(Z), f smooth.
    """

    nodes: Float[np.ndarray, " nodes"]
    cdf: Float[np.ndarray, " nodes"]
    survival: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]

    def expectation(self, values: Float[np.ndarray, " nodes"]) -> float:
        """E f(Z) from the values of f at the nodes."""
        return float(values @ self.weights)


def propagate(step: Step, start: float, depth: int, *, resolution: float = _RESOLUTION) -> ChainLaw:
    """The law of the chain after `depth` >= 1 steps from the point `start`.

    Arguments:
        step: moments of the next value at an array of present values; smooth in z.
        start: the first value, not random.
        depth: number of steps, all with the same transition.
        resolution: grid nodes in the smallest standard deviation of a step from a visited state.

    A survey on a coarse grid finds the states that are visited; the grid covers them and resolves their steps. Steps
    narrower than a quarter of the median standard deviation are widened to it (below a quarter of one step's variance
    in the result; of no effect after many steps).

    Error: near 1e-9 in the cdf (compare two resolutions). Cost: `depth` products with a banded matrix of J nodes, J =
    (range of z) x resolution/std, and 20 resolution x J entries.
    """
    coarse = _survey_grid(step, start, depth)
    visited, _ = _run(step, start, depth, coarse)
    inside = np.flatnonzero(visited > _VISITED)
    low, high = coarse[max(inside[0] - 1, 0)], coarse[min(inside[-1] + 1, coarse.size - 1)]
    std = step(np.append(coarse[inside], start)).std
    narrow = max(float(std.min()), _NARROWEST * float(np.median(std)))
    nodes = np.linspace(low, high, max(64, math.ceil((high - low) / narrow * resolution) + 1))
    _, before = _run(step, start, depth, nodes, resolution)
    return _table(step, start, nodes, before, resolution)


def median_path(step: Step, start: float, depth: int) -> Float[np.ndarray, " depth"]:
    """The median of the chain after each of 1 .. `depth` steps from the point `start`, in one pass.

    Arguments: those of `propagate`. On its survey grid, 1.25 nodes in a typical standard deviation of a step: the
    median is right to a few hundredths of that, where the law is wider than one step. Cost: that of the survey.
    """
    nodes = _survey_grid(step, start, depth)
    spacing = float(nodes[1] - nodes[0])
    law = spacing * _density(nodes, _resolved(step, np.array([start]), spacing, 1.25))
    matrix = _transition_matrix(_resolved(step, nodes, spacing, 1.25), nodes)
    medians = np.empty(depth)
    for layer in range(depth):
        law = law if layer == 0 else matrix @ law
        cdf = np.cumsum(law)
        above = int(np.searchsorted(cdf, cdf[-1] / 2))
        medians[layer] = nodes[above] + spacing * (0.5 - (cdf[above] - cdf[-1] / 2) / law[above])
    return medians


def _survey_grid(step: Step, start: float, depth: int) -> Float[np.ndarray, " nodes"]:
    """A grid that covers the path of the conditional means and `_MARGIN` accumulated standard deviations about it."""
    z, variance, done = np.array([start]), 0.0, 0
    path = []
    while done < depth:
        moments = step(z)
        drift, std = float((moments.mean - z)[0]), float(moments.std[0])
        # Many layers at once while they move less than a quarter of a standard deviation.
        layers = min(depth - done, max(1, int(min(0.25 * std / (abs(drift) + 1e-300), depth))))
        z = z + layers * drift
        variance += layers * std**2
        done += layers
        path.append(float(z[0]))
    # Drifts that grow with the distance from the path add to its spread.
    margin = _MARGIN * math.sqrt(variance) + variance + 0.1
    low, high = min(path) - margin, max(path) + margin
    typical = float(np.median(step(np.linspace(low, high, 256)).std))
    return np.linspace(low, high, max(64, math.ceil((high - low) / typical * 1.25) + 1))


def _run(
    step: Step, start: float, depth: int, nodes: Float[np.ndarray, " nodes"], resolution: float = 1.25
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"] | None]:
    """The largest probability that each node holds at any time, and all probabilities one step before the last.

    The second is None at depth 1, where the chain is still at `start`.
    """
    spacing = float(nodes[1] - nodes[0])
    law = spacing * _density(nodes, _resolved(step, np.array([start]), spacing, resolution))
    visited = law
    if depth == 1:
        return visited, None
    matrix = _transition_matrix(_resolved(step, nodes, spacing, resolution), nodes)
    for _ in range(depth - 2):
        law = matrix @ law
        visited = np.maximum(visited, law)
    return np.maximum(visited, matrix @ law), law


def _resolved(step: Step, z: Float[np.ndarray, " states"], spacing: float, resolution: float) -> StepMoments:
    """The moments of `step` with standard deviations no smaller than the grid resolves."""
    moments = step(z)
    # 0.999: the grid was laid out for the narrowest step, up to rounding.
    return StepMoments(moments.mean, np.maximum(moments.std, 0.999 * resolution * spacing), moments.third_cumulant)


def _transition_matrix(moments: StepMoments, nodes: Float[np.ndarray, " nodes"]) -> csr_array:
    """Probabilities of moving from node j (column) to node i (row), zero beyond `_REACH` normal scores."""
    spacing, count = nodes[1] - nodes[0], nodes.size
    reach = _reach(moments)
    half = math.ceil(min(float(reach.max()) / spacing, count))
    centre = np.rint((moments.mean - nodes[0]) / spacing).astype(int)
    target = centre[:, None] + np.arange(-half, half + 1)
    near = np.abs(nodes[0] + spacing * target - moments.mean[:, None]) <= reach[:, None]
    kept = near & (target >= 0) & (target < count)
    source, _ = np.nonzero(kept)
    rows = target[kept]
    columns = StepMoments(moments.mean[source], moments.std[source], moments.third_cumulant[source])
    return csr_array((spacing * _density(nodes[rows], columns), (rows, source)), shape=(count, count))


def _table(
    step: Step,
    start: float,
    nodes: Float[np.ndarray, " nodes"],
    before: Float[np.ndarray, " nodes"] | None,
    resolution: float,
) -> ChainLaw:
    """The last step, from probabilities `before` on the nodes (None: from `start`), without a grid in its target."""
    spacing = float(nodes[1] - nodes[0])
    source, law = (np.array([start]), np.ones(1)) if before is None else (nodes, before)
    source, law = source[law > 1e-18], law[law > 1e-18]
    moments = _resolved(step, source, spacing, resolution)
    x = np.linspace(nodes[0], nodes[-1], max(_TABLE, nodes.size))
    # each source reaches a run of nodes; those beyond it count in full, or not at all
    reach = _reach(moments)
    first, last = np.searchsorted(x, moments.mean - reach), np.searchsorted(x, moments.mean + reach, side="right")
    size = x.size
    cdf = np.cumsum(np.bincount(last, law, minlength=size + 1)[:size])
    survival = np.cumsum(np.bincount(first, law, minlength=size + 1)[:0:-1])[::-1]
    weights = np.zeros_like(x)
    counts = last - first
    for block in np.array_split(np.arange(law.size), 1 + int(counts.sum()) // _BLOCK):
        source = np.repeat(block, counts[block])
        node = np.arange(source.size) + np.repeat(
            first[block] - (np.cumsum(counts[block]) - counts[block]), counts[block]
        )
        own = StepMoments(moments.mean[source], moments.std[source], moments.third_cumulant[source])
        normal, slope = _normal_score(x[node], own)
        probability = law[source]
        for total, values in ((weights, _gaussian(normal) * slope), (cdf, ndtr(normal)), (survival, ndtr(-normal))):
            total += np.bincount(node, values * probability, minlength=size)
    weights *= x[1] - x[0]
    return ChainLaw(x, np.clip(cdf, 0, 1), np.clip(survival, 0, 1), weights)


def _reach(moments: StepMoments) -> Float[np.ndarray, " states"]:
    """Distance from the mean of a step within which its normal score may be within `_REACH`."""
    s, k = _shape(moments)
    return np.asarray(moments.std * np.expm1(_REACH * np.abs(k)) / np.abs(s))


def _density(x: Float[np.ndarray, "..."], moments: StepMoments) -> Float[np.ndarray, "..."]:
    normal, slope = _normal_score(x, moments)
    return np.asarray(_gaussian(normal) * slope)


def _gaussian(normal: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return np.asarray(np.exp(-0.5 * normal * normal) / math.sqrt(2 * math.pi))


def _shape(moments: StepMoments) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """s and k of `_normal_score`, both with the sign of the skewness."""
    s = 2 * np.sinh(np.arcsinh(moments.third_cumulant / moments.std**3 / 2) / 3)
    s = np.where(np.abs(s) < _TINY, _TINY, s)
    return s, np.copysign(np.sqrt(np.log1p(s * s)), s)


def _normal_score(
    x: Float[np.ndarray, "..."], moments: StepMoments
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """xi(x), standard normal for x a step with these moments, and d xi/dx.

    x = mean + std (exp(k xi - k^2/2) - 1)/s, k^2 = ln(1 + s^2), is a shifted log-normal variable, the third cumulant
    s^3 + 3 s of the standardised one being the skewness: a positive density for any skewness, where an Edgeworth series
    would turn negative.
    """
    s, k = _shape(moments)
    y = (x - moments.mean) / moments.std
    # Beyond the end of the support the score is infinite; a number this large is as good and keeps slopes finite.
    inside = np.maximum(1 + s * y, 1e-300)
    shifted = np.where(inside > 1e-300, np.log1p(np.maximum(s * y, -1 + 1e-15)), -690.0)
    return (shifted + k * k / 2) / k, s / (k * inside * moments.std)
