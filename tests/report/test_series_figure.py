"""A study's own figures: every kind of series is drawn, described and in the legend, the same bytes every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from limitbench.report.figures.series import BAR, describe, series_figure
from limitbench.report.style import NETWORK, theory_style
from limitbench.report.svg import Drawings, inline_svg
from limitbench.studies.figures import Series, StudyFigure

THEORIES = ("infinite-width", "covariance-sde", "chain")
X = np.array([16.0, 64.0, 256.0, 1024.0])


def figure(*series: Series, x_log: bool = False, y_log: bool = False) -> StudyFigure:
    return StudyFigure("name", "Title", "width n", "variance", series, "Caption.", x_log, y_log)


def test_every_kind_is_drawn_described_and_in_the_legend() -> None:
    kinds = (
        Series("networks", X, 1 / X, "network", se=0.1 / X),
        Series("limit", X, 1.1 / X, "theory", theory="covariance-sde"),
        Series("no change", X, np.full(4, 0.02), "reference"),
        Series("one network", X, 0.9 / X, "path"),
        Series("5 % to 95 %", X, 1 / X, "band", low=0.5 / X, high=2 / X, theory="chain"),
    )
    found = series_figure(figure(*kinds, x_log=True, y_log=True), THEORIES)
    assert found is not None
    drawn, words, keys = found
    assert [(k.label, k.kind) for k in keys] == [(s.label, s.kind) for s in kinds]
    assert words.startswith("variance against width n. networks: 0.0625 at 16.0, 0.000977 at 1024; limit: 0.0688")
    axes = drawn.axes[0]
    colours = {line.get_color() for line in axes.lines}
    assert {NETWORK, theory_style(1).colour, theory_style(2).colour} <= colours
    assert len(axes.collections) == 1
    assert [t.get_text() for t in axes.get_xticklabels()] == ["16", "64", "256", "1024"]
    root = ET.fromstring(inline_svg(drawn, title="T", desc=words, drawings=Drawings()))
    assert root.get("role") == "img"


def test_bars_reach_two_standard_errors() -> None:
    found = series_figure(figure(Series("networks", X, 2 + 0 * X, se=0.25 + 0 * X)), ())
    assert found is not None
    bars = next(line for line in found[0].axes[0].lines if len(line.get_xdata()) == 12)
    np.testing.assert_allclose(np.asarray(bars.get_ydata())[:2], [2 - BAR * 0.25, 2 + BAR * 0.25])
    low, high = found[0].axes[0].get_ylim()
    assert low <= 1.5 < 2.5 <= high


def test_on_a_logarithmic_axis_only_positive_points_count() -> None:
    series = Series("a", X, np.array([-1.0, np.nan, 0.5, 0.25]), se=np.array([1.0, 1.0, 3.0, np.nan]))
    found = series_figure(figure(series, y_log=True), ())
    assert found is not None
    assert found[1] == "variance against width n. a: 0.500 at 256, 0.250 at 1024."
    low, _ = found[0].axes[0].get_ylim()
    assert low > 0.1, "a bar that reaches below zero does not stretch the axis"
    assert series_figure(figure(Series("a", X, -X), y_log=True), ()) is None
    assert series_figure(figure(), ()) is None


def test_pairs_of_networks_and_lines_share_a_colour() -> None:
    pairs = [Series(f"n = {n}", X, n / X) for n in (1, 2)]
    lines = [Series(f"limit {n}", X, n / X, "theory") for n in (1, 2)]
    found = series_figure(figure(*pairs, *lines), THEORIES)
    assert found is not None
    looks = {k.label: k.css for k in found[2]}
    assert looks["n = 1"] == looks["limit 1"] != looks["n = 2"] == looks["limit 2"]


def test_unnamed_series_never_take_the_colour_of_a_named_theory() -> None:
    series = [Series(f"n = {n}", X, n / X) for n in (1, 2, 3)]
    line = Series("SDE", X, 1 / X, "theory", theory="infinite-width")
    found = series_figure(figure(*series, line), THEORIES)
    assert found is not None
    looks = [k.css for k in found[2]]
    assert looks[-1] == theory_style(0).css
    assert len(set(looks)) == 4


def test_lines_of_one_theory_are_told_apart() -> None:
    lines = [Series(f"chain, p = {p}", X, p / X, "theory", theory="chain") for p in (1, 2)]
    pairs = [Series(f"networks, p = {p}", X, p / X, "network") for p in (1, 2)]
    grey = [Series(f"slope {p}", X, p / X, "reference") for p in (1, 2)]
    found = series_figure(figure(*lines, *pairs, *grey), THEORIES)
    assert found is not None
    looks = {k.label: k for k in found[2]}
    assert looks["chain, p = 1"].css == looks["networks, p = 1"].css != looks["chain, p = 2"].css
    assert looks["slope 1"].dashes != looks["slope 2"].dashes


def test_paths_of_one_label_are_one_legend_entry() -> None:
    found = series_figure(figure(*(Series("five networks", X, k + X, "path") for k in range(5))), ())
    assert found is not None
    assert [(k.label, k.css) for k in found[2]] == [("five networks", "tn")]


@pytest.mark.parametrize("y_log", [False, True])
def test_same_series_give_the_same_bytes(y_log: bool) -> None:
    def once() -> str:
        series = Series("networks", X, 1 / X, se=0.1 / X), Series("limit", X, 1 / X, "theory")
        found = series_figure(figure(*series, y_log=y_log), ())
        assert found is not None
        return inline_svg(found[0], title="T", desc=found[1], drawings=Drawings())

    assert once() == once()


def test_a_figure_of_eight_curves_of_sixty_points_is_small() -> None:
    x = np.linspace(0, 1, 60)
    series = [Series(f"line {k}", x, np.sin(k + 6 * x), "theory") for k in range(8)]
    found = series_figure(figure(*series), ())
    assert found is not None
    svg = inline_svg(found[0], title="T", desc=found[1], drawings=Drawings())
    assert len(svg) < 9000
    paths = re.findall(r' d="([^"]*)"', svg)
    assert len(paths) > 8
    assert not any(re.search(r"\.\d{2,}", path) for path in paths), "tenths of a pixel are enough"


def test_a_single_point_of_a_line_and_a_gap_are_drawn() -> None:
    gap = Series("gap", X, np.array([1.0, np.nan, 2.0, 3.0]), "theory")
    found = series_figure(figure(Series("point", X[:1], X[:1], "theory"), gap), ())
    assert found is not None
    assert "gap: 1.00 at 16.0, 3.00 at 1024" in describe(figure(gap))
    assert np.isnan(
        np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in found[0].axes[0].lines])
    ).any()
