import dataclasses
import inspect
import math

import numpy as np
import pytest

from limitbench import studies
from limitbench.errors import InputError
from limitbench.studies.base import Axis
from limitbench.sweep.grid import Column, axis_values, named_grid, resolve_grid
from limitbench.testing.toy import STUDY

WIDTH = Axis("width", "int", (4,), "width", lower=1, upper=4096)
RATE = Axis("rate", "float", (0.5,), "rate", lower=0.0)
TIME = Axis("time", "float", (0.5,), "time", lower=0.0, upper=1.0, open_lower=True)
NAME = Axis("kind", "str", ("a",), "kind", choices=("a", "b"))


def test_values_are_converted_sorted_and_unique():
    assert axis_values(WIDTH, ["64", 16, 16.0, np.int64(8)]) == (8, 16, 64)
    assert axis_values(RATE, [1, "0.25", 0.25, -0.0]) == (0.0, 0.25, 1.0)
    assert [type(v) for v in axis_values(RATE, 1)] == [float]
    assert axis_values(TIME, [1, 1e-300]) == (1e-300, 1.0)
    assert axis_values(NAME, "b") == ("b",)
    assert axis_values(WIDTH, np.array([4, 2])) == (2, 4)


@pytest.mark.parametrize(
    ("axis", "values", "accepted"),
    [
        (WIDTH, [], "at least one value: an integer in [1, 4096]"),
        (WIDTH, ["wide"], "an integer in [1, 4096]"),
        (WIDTH, [4.5], "an integer in [1, 4096]"),
        (WIDTH, [-3], "an integer in [1, 4096]"),
        (WIDTH, [5000], "an integer in [1, 4096]"),
        (WIDTH, [True], "an integer in [1, 4096]"),
        (WIDTH, [None], "an integer in [1, 4096]"),
        (WIDTH, [10**400], "an integer in [1, 4096]"),
        (RATE, [math.nan], "a number >= 0"),
        (RATE, ["inf"], "a number >= 0"),
        (TIME, [0], "a number in (0, 1]"),
        (TIME, [1.5], "a number in (0, 1]"),
        (dataclasses.replace(TIME, upper=None), ["-0"], "a number > 0"),
        (NAME, ["c"], "one of a, b"),
        (NAME, [3], "one of a, b"),
    ],
)
def test_values_outside_an_axis_are_refused(axis, values, accepted):
    with pytest.raises(InputError) as caught:
        axis_values(axis, values)
    assert caught.value.accepted == accepted
    assert "\n" not in str(caught.value)


def test_users_values_replace_the_presets_and_aspect_replaces_depth():
    grid = resolve_grid(STUDY, STUDY.presets["quick"].grid, {"aspect": [0.5, 2], "width": [8, 4]})
    assert grid.names == ("width", "fault", "aspect")
    assert grid.as_dict() == {"width": (4, 8), "fault": ("none",), "aspect": (0.5, 2.0)}
    columns = [column for _, column in grid.columns()]
    assert [column.depths for column in columns] == [(2, 8), (4, 16)]
    assert columns[1].cells[0] == {"width": 8, "fault": "none", "aspect": 0.5, "depth": 4}


def test_depth_is_used_where_no_layer_names_a_depth_axis():
    assert resolve_grid(STUDY, {}).as_dict() == {"width": (4,), "fault": ("none",), "depth": (2, 4)}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"wdth": [4]}, "axis: got 'wdth', expected an axis of toy: width, fault, depth, aspect"),
        ({"depth": [4], "aspect": [1.0]}, "either depth or aspect, not both"),
        ({"aspect": [0.3]}, "aspect x width is a positive integer"),
        ({"aspect": [0.0]}, "aspect x width is a positive integer"),
        ({"depth": [-1]}, "depth: got -1, expected an integer >= 1"),
    ],
)
def test_grids_that_are_no_networks_are_refused(grid, message):
    with pytest.raises(InputError, match=message):
        resolve_grid(STUDY, grid)


def test_a_grid_that_is_no_mapping_is_refused():
    with pytest.raises(InputError, match=r"grid: got \[4\], expected a mapping of axis names to values"):
        inspect.unwrap(named_grid)(STUDY, [4])  # without the check of types that tests run under


def test_cells_that_the_study_refuses_are_refused():
    def check(cell):
        if cell["depth"] == 4:
            raise InputError("depth", 4, "another depth")

    with pytest.raises(InputError, match="another depth"):
        resolve_grid(dataclasses.replace(STUDY, check=check), {})


def test_slugs_are_readable_unique_and_without_depth():
    a = Column((("width", 4), ("kind", "x/y")), "depth", (2,))
    b = Column((("width", 4), ("kind", "x:y")), "depth", (2,))
    assert a.slug.startswith("width=4,kind=x_y-")
    assert a.slug != b.slug
    assert a.slug == dataclasses.replace(a, depth_values=(2, 4)).slug


def test_added_values_come_behind_the_present_ones_unless_depths_are_added():
    a = resolve_grid(STUDY, {"width": [4, 16], "depth": [2, 3]})
    b = resolve_grid(STUDY, {"width": [12, 8, 4], "depth": [2]})
    assert a.extended(b).as_dict() == {"width": (4, 16, 8, 12), "fault": ("none",), "depth": (2, 3)}
    assert b.extended(a).as_dict() == {"width": (4, 8, 12, 16), "fault": ("none",), "depth": (2, 3)}


@pytest.mark.parametrize("name", studies.names())
def test_the_bounds_that_show_prints_are_accepted_and_open_ones_are_not(name):
    """But for width, depth and layer, whose bounds are slow to check or depend on other axes."""
    study = studies.get(name)
    for axis in (axis for axis in study.axes if axis.kind != "str" and axis.name not in ("width", "depth", "layer")):
        closed = [bound for bound in (axis.lower, axis.upper) if bound is not None]
        if axis.open_lower:
            with pytest.raises(InputError, match=axis.name):
                resolve_grid(study, {}, {axis.name: closed.pop(0)})
        for bound in closed:
            assert bound in resolve_grid(study, {}, {axis.name: bound}).as_dict()[axis.name]
