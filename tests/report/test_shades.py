"""Shades of a figure: every value has its cell and its number, lines lie on the same axes, nothing else changes."""

import re

import numpy as np
import pytest

from limitbench.report.figures.series import describe, series_figure
from limitbench.report.figures.shades import edges
from limitbench.report.svg import Drawings, inline_svg
from limitbench.studies.figures import Heat, Series, StudyFigure

VALUES = np.array([[92.0, 90.0, np.nan], [97.0, 81.0, 37.0]])


def figure(values=VALUES, series=(), *, log=True):
    heat = Heat("accuracy in %", np.array([0.1, 1.0, 10.0]), np.array([4.0, 64.0]), values)
    return StudyFigure("map", "Map", "x", "y", tuple(series), "words", x_log=log, y_log=log, heat=heat)


def svg(drawn):
    return inline_svg(drawn[0], title="t", desc=drawn[1], drawings=Drawings())


def test_every_value_is_written_and_empty_cells_are_not():
    text = svg(series_figure(figure(), ()))
    assert sorted(re.findall(r">(37|81|90|92|97)<", text)) == ["37", "81", "90", "92", "97"]
    assert "nan" not in text


def test_the_drawing_is_the_same_every_time():
    assert svg(series_figure(figure(), ())) == svg(series_figure(figure(), ()))


def test_axes_end_with_the_cells_and_ticks_are_the_rows():
    (axes,) = series_figure(figure(series=[Series("line", np.array([1e-9, 1e9]), np.array([4.0, 64.0]))]), ())[0].axes
    np.testing.assert_allclose(axes.get_xlim(), [0.1 / 10**0.5, 10 * 10**0.5])
    np.testing.assert_allclose(axes.get_ylim(), [1.0, 256.0])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["4", "64"]


def test_larger_values_are_darker():
    (axes,) = series_figure(figure(), ())[0].axes
    found = [patch.get_alpha() for patch in axes.patches]
    values = VALUES[np.isfinite(VALUES)]
    order = np.argsort(values)
    assert (np.diff(np.array(found)[order]) >= 0).all()
    assert found[int(np.argmin(values))] == 0.0


def test_words_name_the_smallest_and_the_largest_value():
    assert "accuracy in %: from 37.0 at (10.0, 64.0) to 97.0 at (0.100, 64.0)" in describe(figure())


def test_without_values_or_points_there_is_no_drawing():
    assert series_figure(figure(np.full((2, 3), np.nan)), ()) is None


@pytest.mark.parametrize(
    ("values", "log", "wanted"),
    [
        ([1.0, 2.0, 4.0], False, [0.5, 1.5, 3.0, 5.0]),
        ([1.0, 100.0], True, [0.1, 10.0, 1000.0]),
        ([3.0], False, [2.5, 3.5]),
    ],
)
def test_cells_end_halfway(values, log, wanted):
    np.testing.assert_allclose(edges(np.array(values), log=log), wanted)
