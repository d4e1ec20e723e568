"""From which depth a typical network leaves a floating-point format, forward or backward, and its inputs merge.

Within the depth that was measured these are measurements. Beyond it they are extrapolated: by the best theory's growth
a layer where there is one, else along the line that the second half of the layers shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from limitbench.advice.blocks import follows_recurrence
from limitbench.advice.check import kernel
from limitbench.advice.check.case import Case
from limitbench.advice.check.measure import Cell, Measured
from limitbench.advice.check.perceptrons import SlopedCase
from limitbench.advice.check.residuals import VanillaCase
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.merging import PRECISIONS, merging
from limitbench.errors import InputError

FORMATS = ("float16", "bfloat16", "float32")
What = Literal["overflow", "underflow", "gradient overflow", "gradient underflow", "merging"]
#: Deepest layer that is looked at.
DEEPEST = 1_000_000
#: How a slope without a theory is named, the change of a log below which there is none, and how far it is trusted.
SLOPE, _CHANGE, _FAR = "the measured slope", 0.3, 100
#: Layers that the recurrence of gradients is carried on for.
_RECURRENCE = 20_000
#: Most layers that a kernel recursion is carried on for.
_CARRIED = 1024


@dataclass(frozen=True)
class Limit:
    """One limit: the layer where it is met, infinite where it is not as far as was looked.

    That is a million layers where growth is the same in every layer, 20,000 of the recurrence of gradients, 1,024 more
    than were measured where a recursion is carried on, and a hundred times as many along a measured slope.

    Attributes:
        what: overflow (the largest entry), underflow (the root mean square below the smallest normal number), the same
            of gradients, which start at the output with entries of order 1, or merging (median 1 - correlation below
            the unit roundoff).
        format: floating-point format.
        layer: hidden layer or block.
        extrapolated: whether it is beyond the depth that was measured.
        how: how it was found.
    """

    what: What
    format: str
    layer: float
    extrapolated: bool
    how: str


@dataclass(frozen=True, eq=False)
class Course:
    """A typical network along depth, measured: medians over networks at layers 1 .. depth.

    Attributes:
        layers: layer numbers.
        largest: log of the largest entry of the first input's values in each layer.
        square: log mean square of its features.
        gap: ln(1 - correlation).
        gradient: log mean square of the gradient by its features.
        unit: what a layer is called.
    """

    layers: Float[np.ndarray, " layers"]
    largest: Float[np.ndarray, " layers"]
    square: Float[np.ndarray, " layers"]
    gap: Float[np.ndarray, " layers"]
    gradient: Float[np.ndarray, " layers"]
    unit: str = "layer"


def course(measured: Measured) -> Course:
    """Layers of what was read; of a module that is none of it, its residual sums, or else its weight layers."""
    cell = measured.cell
    features, unit = layers(cell)
    columns = [cell.points.index(f) for f in features]
    median = {name: np.median(values, axis=0) for name, values in measured.statistics.items()}
    starts = [0, *(c + 1 for c in columns[:-1])]
    largest = [np.nanmax(median["log_largest"][a : c + 1]) for a, c in zip(starts, columns, strict=True)]
    sizes = np.array([math.prod(cell.nodes[f].shape[1:]) for f in features])
    return Course(
        np.arange(1.0, len(features) + 1),
        np.array(largest),
        median["log_square"][columns],
        median["log_gap"][columns],
        median["log_gradient"][columns] - np.log(sizes),
        unit,
    )


def layers(cell: Cell) -> tuple[tuple[int, ...], str]:
    """The nodes that stand for layers, and what one of them is called."""
    if cell.reading.features:
        return cell.reading.features, "block" if cell.reading.blocks else "layer"
    for kinds, unit in ((("sum",), "residual sum"), (_WEIGHTED, "layer")):
        found = tuple(p for p in cell.points if cell.nodes[p].kind in kinds)
        if len(found) > 1:
            return found, unit
    return cell.points, "step"


_WEIGHTED = ("linear", "convolution", "attention")


def limits(measured: Measured, case: Case | None) -> tuple[Limit, ...]:
    """All limits in all formats. Cost: milliseconds, up to a second for inputs that merge far away."""
    seen = course(measured)
    found = []
    ahead = _Ahead(seen, case)
    for name in FORMATS:
        info = torch.finfo(getattr(torch, name))
        high, low = math.log(info.max), math.log(info.smallest_normal)
        over = _crossing(seen.largest, high, above=True)
        under = _crossing(seen.square / 2, low, above=False)
        found.append(_limit("overflow", name, over, ahead.forward(high, above=True), ahead.how_forward))
        found.append(_limit("underflow", name, under, ahead.forward(low, above=False), ahead.how_forward))
        gradients: tuple[tuple[What, float, bool], ...] = (
            ("gradient overflow", high, True),
            ("gradient underflow", low, False),
        )
        for what, bound, above in gradients:
            back = _crossing(seen.gradient[::-1] / 2, bound, above=above)
            found.append(_limit(what, name, back, ahead.backward(bound, above=above), ahead.how_backward))
        found.append(_merging(seen, case, name))
    return tuple(found)


def _limit(what: What, name: str, measured: float, beyond: float, how: str) -> Limit:
    if math.isfinite(measured):
        return Limit(what, name, measured, False, "measured")
    return Limit(what, name, beyond, math.isfinite(beyond), how)


def _crossing(values: Float[np.ndarray, " layers"], bound: float, *, above: bool) -> float:
    """First layer, counted from 1, where the values are beyond the bound."""
    beyond = np.flatnonzero(values > bound if above else values < bound)
    return float(beyond[0] + 1) if beyond.size else math.inf


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Where a typical network goes beyond the measured depth."""

    seen: Course
    case: Case | None

    @property
    def how_forward(self) -> str:
        if self.case is None:
            return SLOPE
        if not isinstance(self.case, SlopedCase | VanillaCase):
            return "the recursion of infinite width"
        return f"the growth of {_finest(self.case, 'log_norm')}"

    @property
    def how_backward(self) -> str:
        if self.network is not None:
            return "the mean-field recurrence"
        if self.case is None or gradient_growth(self.case) is None:
            return SLOPE
        return f"the growth of {_finest(self.case, 'log_gradient')}"

    @cached_property
    def network(self) -> MeanFieldNetwork | None:
        """The case as a mean-field network whose gradients follow the recurrence."""
        found = None if self.case is None else self.case.network(self.case.depth)
        return found if isinstance(found, MeanFieldNetwork) and follows_recurrence(found) else None

    def forward(self, bound: float, *, above: bool) -> float:
        """The layer at which the largest entry (above) or the root mean square (below) is beyond the bound."""
        values = self.seen.largest if above else self.seen.square / 2
        depth = len(values)
        if self.case is None:
            return _line(self.seen.layers, values, bound, above=above)
        if isinstance(self.case, SlopedCase | VanillaCase):
            return _straight(float(values[-1]), depth, growth(self.case) / 2, bound, above=above)
        moved = float(values[-1]) + (self.carried - self.carried[0]) / 2
        return depth - 1 + _crossing(moved, bound, above=above)

    @cached_property
    def carried(self) -> Float[np.ndarray, " layers"]:
        """`_carried` of the case."""
        assert self.case is not None
        return _carried(self.case)

    def backward(self, bound: float, *, above: bool) -> float:
        """The number of layers over which gradients go beyond the bound."""
        values = self.seen.gradient[::-1] / 2
        depth = len(values)
        if self.case is not None and self.network is not None:
            logs = np.cumsum(self.gains)[depth - 1 :]
            beyond = _crossing(values[-1] + (logs - logs[0]) / 2, bound, above=above)
            return depth - 1 + beyond
        if self.case is not None and (rate := gradient_growth(self.case)) is not None:
            return _straight(float(values[-1]), depth, rate / 2, bound, above=above)
        return _line(self.seen.layers, values, bound, above=above)

    @cached_property
    def gains(self) -> Float[np.ndarray, " layers"]:
        """Growth of the log squared gradient in each layer by the recurrence, the skip's part included."""
        assert self.network is not None
        assert self.case is not None
        with np.errstate(all="ignore"):
            q = self.network.recurrence.run_lengths(self.seen.layers.size + _RECURRENCE, self.network.norm0)
            found = self.network.recurrence.log_gain(q[1:])
        return np.asarray(found[np.isfinite(found)]) + self.case.offset("log_gradient", 1)


def growth(case: Case) -> float:
    """Typical growth of the log mean square a layer, by the finest theory."""
    law = next(o.laws["log_norm"] for o in reversed(case.opinions(case.depth)) if "log_norm" in o.laws)
    return (case.offset("log_norm", case.depth) + float(law.quantile(0.5))) / case.depth


def _finest(case: Case, observable: str) -> str:
    """Heading of the finest theory that speaks about it."""
    return next(o.title for o in reversed(case.opinions(case.depth)) if observable in o.laws)


def gradient_growth(case: Case) -> float | None:
    """Growth of the log squared gradient a layer, on its way back; None where no theory says.

    With two slopes that of a typical network; otherwise infinite width's in the last layer, as the first ones differ.
    """
    depth = case.depth
    if depth < 2:
        return None
    if isinstance(case, SlopedCase):
        law = next(o.laws["log_gradient"] for o in reversed(case.opinions(depth)) if "log_gradient" in o.laws)
        return (case.offset("log_gradient", depth) + float(law.quantile(0.5))) / (depth - 1)
    last, before = case.log_gradient(depth), case.log_gradient(depth - 1)
    return None if last is None or before is None else last - before


def _straight(value: float, depth: int, rate: float, bound: float, *, above: bool) -> float:
    if not math.isfinite(value) or (rate <= 0 if above else rate >= 0):
        return math.inf
    layer = depth + (bound - value) / rate
    return math.inf if layer > DEEPEST else float(math.ceil(layer))


def _line(
    layers: Float[np.ndarray, " layers"], values: Float[np.ndarray, " layers"], bound: float, *, above: bool
) -> float:
    """Along the second half: straight in the layer, or in its log where that is nearer to what was measured."""
    half = slice(len(layers) // 2, None)
    x, y = layers[half], values[half]
    if len(x) < 3 or not np.isfinite(y).all():
        return math.inf
    fits = []
    for at in (x, np.log(x)):
        slope, start = np.polyfit(at, y, 1)
        fits.append((float(np.square(y - slope * at - start).sum()), float(slope), float(start)))
    straight = fits[0][0] <= fits[1][0]
    _, slope, start = fits[0] if straight else fits[1]
    if abs(y[-1] - y[0]) < _CHANGE or (slope <= 0 if above else slope >= 0):
        return math.inf
    reached = (bound - start) / slope
    if not straight:
        reached = math.exp(reached) if reached < math.log(DEEPEST) else math.inf
    return math.inf if reached > _FAR * len(layers) else float(math.ceil(reached))


def _carried(case: Case) -> Float[np.ndarray, " layers"]:
    """Log mean square of one input at infinite width, from the last layer on, whose variances go on as they are.

    Ends where it has settled, left the range of floats, or after `_CARRIED` layers.
    """
    start = np.full((2, 2), case.path.features[0][0, 0])
    found = np.array([case.path.log_square(case.depth)])
    more = 64
    while more <= _CARRIED:
        with np.errstate(all="ignore"):
            squares = _longer(case, start, more).features[case.depth :, 0, 0]
            found = np.log(squares[np.isfinite(squares) & (squares > 0)])
        if len(found) <= more or abs(found[-1] - found[-2]) < 1e-9:
            break
        more *= 4
    return np.asarray(found)


def _longer(case: Case, start: kernel.Moments, more: int) -> kernel.Path:
    """The recursion with the last layer or block repeated `more` times."""
    reading = case.reading
    if reading.blocks:
        blocks = [*reading.blocks, *[reading.blocks[-1]] * more]
        return kernel.residual(start, blocks, [[case.variances[m.node] for m in b.layers] for b in blocks])
    layers = [case.variances[m.node] for m in reading.layers[: case.depth]]
    activations = [*reading.activations, *[reading.activations[-1]] * more]
    return kernel.perceptron(start, [*layers, *[layers[-1]] * more], activations)


def _merging(seen: Course, case: Case | None, name: str) -> Limit:
    roundoff = PRECISIONS[name]
    measured = _crossing(seen.gap, math.log(roundoff), above=False)
    if math.isfinite(measured):
        return Limit("merging", name, measured, False, "measured")
    if case is not None and (network := case.network(case.depth)) is not None:
        try:
            found = merging(network, name)
        except InputError:
            found = None
        if found is not None:
            layer = max(found.layer, case.depth + 1.0)
            return Limit("merging", name, layer, math.isfinite(layer), found.how)
    if case is None:
        layer = _line(seen.layers, seen.gap, math.log(roundoff), above=False)
        return Limit("merging", name, layer, math.isfinite(layer), "the measured slope")
    return Limit("merging", name, math.inf, False, "not within the measured depth")
