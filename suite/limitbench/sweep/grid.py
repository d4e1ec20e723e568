"""Grids: the values of every axis, their product (cells), and columns, the cells that differ only in depth.

A grid has one depth axis, `depth` (hidden layers) or `aspect` (depth over width); with `aspect` every cell keeps its
integer depth = aspect x width beside it. A study of quantities that depend on the final depth and on the layer at which
they are read (gradients) declares an axis `layer`, which then takes that part: `depth` is an axis like any other.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.networks.base import Network
    from limitbench.studies.base import Axis, Study, Value

DEPTH_AXES = ("depth", "aspect")
LAYER_AXIS = "layer"


@dataclass(frozen=True)
class Column:
    """The cells that differ only in depth (or layer); one pass to the deepest gives all of them.

    Attributes:
        point: name and value of every axis but the depth axis, in axis order.
        depth_axis: `depth`, `aspect` or `layer`.
        depth_values: values of the depth axis, increasing.
    """

    point: tuple[tuple[str, Value], ...]
    depth_axis: str
    depth_values: tuple[Value, ...]

    @property
    def depths(self) -> tuple[int, ...]:
        """Hidden layers of every cell (the layer at which it is read, where there is one), increasing."""
        point = dict(self.point)
        return tuple(cell_depth(self.depth_axis, value, point) for value in self.depth_values)

    @property
    def cells(self) -> tuple[dict[str, Value], ...]:
        """The cells from shallow to deep: a value for every axis, and `depth`."""
        return tuple(
            {"depth": depth, **dict(self.point), self.depth_axis: value}
            for value, depth in zip(self.depth_values, self.depths, strict=True)
        )

    @cached_property
    def slug(self) -> str:
        """A readable file name, unique by the hash that ends it; the depths are no part of it."""
        digest = hashlib.blake2b(json.dumps([self.depth_axis, self.point]).encode(), digest_size=4).hexdigest()
        words = re.sub(r"[^A-Za-z0-9.,=+-]", "_", ",".join(f"{name}={value}" for name, value in self.point))
        return f"{words[:96]}-{digest}" if words else digest


@dataclass(frozen=True)
class Grid:
    """Values of every axis, increasing (strings: sorted) but where a store was extended; the depth axis is last.

    Attributes:
        names: axes in the order of array dimensions.
        values: values of each axis.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]

    @property
    def depth_axis(self) -> str:
        """`depth`, `aspect` or `layer`."""
        return self.names[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(values) for values in self.values)

    def as_dict(self) -> dict[str, tuple[Value, ...]]:
        """Values by axis name."""
        return dict(zip(self.names, self.values, strict=True))

    def columns(self) -> Iterator[tuple[tuple[int, ...], Column]]:
        """Every column with its position along all axes but the last."""
        outer = [list(enumerate(values)) for values in self.values[:-1]]
        for items in itertools.product(*outer):
            point = tuple((name, value) for name, (_, value) in zip(self.names[:-1], items, strict=True))
            yield tuple(i for i, _ in items), Column(point, self.depth_axis, self.values[-1])

    def extended(self, other: Grid) -> Grid:
        """The smallest grid that holds the values of both, which have the same axes.

        Values that `other` adds come behind the present ones, so that these keep their places; along the depth axis,
        which lies inside chunks, all are increasing.
        """
        if set(other.values[-1]) <= set(self.values[-1]):
            merged = [(*a, *sorted(set(b) - set(a))) for a, b in zip(self.values[:-1], other.values[:-1], strict=True)]
            return Grid(self.names, (*merged, self.values[-1]))
        return Grid(self.names, tuple(tuple(sorted({*a, *b})) for a, b in zip(self.values, other.values, strict=True)))


def cell_depth(depth_axis: str, value: Value, point: Mapping[str, Value]) -> int:
    """Hidden layers of a cell: the value itself, or aspect x width where that is an integer within 1e-9."""
    if depth_axis != "aspect":
        return int(value)
    depth = float(value) * float(point["width"])
    if depth < 0.5 or abs(depth - round(depth)) > 1e-9:
        accepted = f"a value for which aspect x width is a positive integer (at width {point['width']} it is {depth:g})"
        raise InputError("aspect", value, accepted)
    return round(depth)


def resolve_grid(study: Study, *layers: Mapping[str, object]) -> Grid:
    """`named_grid` with every cell checked.

    Raises:
        InputError: as there, or a depth that is no integer, or a cell that the study refuses.
    """
    grid = named_grid(study, *layers)
    check_cells(study, grid)
    return grid


def named_grid(study: Study, *layers: Mapping[str, object]) -> Grid:
    """The grid that `layers` describe (presets first, the user's values last); its cells are yet to be checked.

    A later layer replaces the values of an axis; naming one of `depth` and `aspect` drops the other from earlier
    layers; axes that no layer names take their defaults. Where the last one names other depths and no `layer`, the
    preset's layers beyond them are left out. Values are converted to the kind that the axis declares, sorted, made
    unique.

    Raises:
        InputError: unknown axis, empty or non-numeric values, NaN, out of bounds, both depth axes in one layer.
    """
    axes = {axis.name: axis for axis in study.axes}
    innermost = (LAYER_AXIS,) if LAYER_AXIS in axes else DEPTH_AXES
    chosen: dict[str, tuple[Value, ...]] = {}
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise InputError("grid", layer, "a mapping of axis names to values")
        if all(name in layer for name in DEPTH_AXES) and innermost == DEPTH_AXES:
            raise InputError("aspect", _given(layer["aspect"]), "either depth or aspect, not both")
        for name, values in layer.items():
            if name not in axes:
                raise InputError("axis", name, f"an axis of {study.name}: " + ", ".join(axes))
            if name in innermost:
                chosen = {key: value for key, value in chosen.items() if key not in innermost}
            chosen[name] = axis_values(axes[name], values)
    depth_axis = next((name for name in innermost if name in chosen), "")
    if not depth_axis:
        depth_axis = next(name for name in innermost if name in axes)
    if depth_axis == LAYER_AXIS and LAYER_AXIS not in layers[-1]:  # other depths were named, but no layers
        chosen = {**chosen, LAYER_AXIS: _layers_within(chosen.get(LAYER_AXIS, ()), chosen.get("depth", ()))}
    names = (*(name for name in axes if name not in innermost), depth_axis)
    return Grid(names, tuple(chosen.get(name) or axis_values(axes[name], axes[name].default) for name in names))


def check_cells(study: Study, grid: Grid) -> None:
    """Raises `InputError` where a cell of `grid` is not a network of the study."""
    for _ in deepest_networks(study, grid):
        pass


def deepest_networks(study: Study, grid: Grid) -> Iterator[tuple[Column, Network]]:
    """Every column, once its cells are checked, with its deepest network; `InputError` where a cell is not one."""
    bounds = {axis.name: axis for axis in study.axes}.get("depth") if grid.depth_axis != LAYER_AXIS else None
    if grid.depth_axis == LAYER_AXIS:
        _check_layers(grid.values[-1], grid.as_dict()["depth"])
    for _, column in grid.columns():
        cells = column.cells
        depths = [cell["depth"] for cell in cells]
        if grid.depth_axis == "aspect" and len(set(depths)) < len(depths):
            accepted = f"values that give different depths (they give {', '.join(map(str, depths))})"
            raise InputError(grid.depth_axis, list(grid.values[-1]), accepted)
        for cell in cells:
            if bounds is not None:
                _check_depth(bounds, column.depth_axis, cell)
            study.check(cell)
        yield column, study.network(cells[-1])


def _layers_within(layers: Sequence[Value], depths: Sequence[Value]) -> tuple[Value, ...]:
    """Those of the preset's layers that the largest of `depths` has, and the first where the smallest has none."""
    if not layers or not depths:
        return tuple(layers)
    kept = tuple(layer for layer in layers if int(layer) <= max(map(int, depths)))
    return kept if kept and min(map(int, kept)) <= min(map(int, depths)) else (1, *kept)


def _check_layers(layers: Sequence[Value], depths: Sequence[Value]) -> None:
    """Raises `InputError` for a layer that no depth has and a depth that has no layer; other cells stay empty."""
    if max(map(int, layers)) > max(map(int, depths)):
        raise InputError(LAYER_AXIS, max(map(int, layers)), f"at most the largest depth, {max(map(int, depths))}")
    if min(map(int, layers)) > min(map(int, depths)):
        accepted = f"at least one layer up to the smallest depth, {min(map(int, depths))}"
        raise InputError(LAYER_AXIS, list(layers) if len(layers) > 1 else layers[0], accepted)


def _check_depth(bounds: Axis, depth_axis: str, cell: Mapping[str, Value]) -> None:
    """Raises `InputError` for a depth outside `bounds`, in terms of the axis that the user named."""
    try:
        axis_value(bounds, cell["depth"])
    except InputError:
        if depth_axis == "depth":
            raise
        product = f"at width {cell['width']} it is {float(cell['depth']):g}"
        words = f"a value for which aspect x width, the depth, is {accepted(bounds)} ({product})"
        raise InputError(depth_axis, cell[depth_axis], words) from None


def _given(values: object) -> object:
    """`values` as the user wrote them: a single value without its sequence."""
    single = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == 1
    return values[0] if single else values  # type: ignore[index]


def axis_values(axis: Axis, values: object) -> tuple[Value, ...]:
    """`values` (one or a sequence) converted to the kind of `axis`, sorted, unique."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        values = np.asarray(values).tolist() if getattr(values, "ndim", 0) else [values]
    if not len(values):
        raise InputError(axis.name, list(values), f"at least one value: {accepted(axis)}")
    return tuple(sorted({axis_value(axis, value) for value in values}))


def axis_value(axis: Axis, value: object) -> Value:
    """One value converted to the kind of `axis`, within its bounds."""
    if axis.kind == "str":
        text = str(value).strip()
        if not isinstance(value, str) or not text or (axis.choices and text not in axis.choices):
            raise InputError(axis.name, value, accepted(axis))
        return text
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value.strip() if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(axis.name, value, accepted(axis)) from None
    outside = (axis.lower is not None and number < axis.lower) or (axis.upper is not None and number > axis.upper)
    outside = outside or (axis.open_lower and number == axis.lower)
    if not math.isfinite(number) or outside or (axis.kind == "int" and number != int(number)):
        raise InputError(axis.name, value, accepted(axis))
    return int(number) if axis.kind == "int" else number + 0.0  # -0.0 and 0.0 are one value


def accepted(axis: Axis) -> str:
    """What `axis` accepts, in words."""
    if axis.kind == "str":
        return "one of " + ", ".join(axis.choices) if axis.choices else "text"
    kind = "an integer" if axis.kind == "int" else "a number"
    match axis.lower, axis.upper:
        case None, None:
            return kind
        case lower, None:
            return f"{kind} {'>' if axis.open_lower else '>='} {lower:.12g}"
        case None, upper:
            return f"{kind} <= {upper:.12g}"
        case lower, upper:
            return f"{kind} in {'(' if axis.open_lower else '['}{lower:.12g}, {upper:.12g}]"
