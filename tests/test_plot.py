"""`limitbench.plot` draws what was asked for on the axes given, in real colours, and refuses what is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

import limitbench
from limitbench import InputError, plot
from limitbench.report.style import PLACEHOLDER
from limitbench.testing.toy import STUDY

CELL_FIGURES = (plot.overlay, plot.cdf_difference, plot.quantiles)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return limitbench.run(STUDY, {"width": [4, 8], "depth": [1, 2, 4]}, samples=128)


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(
    "draw",
    [
        plot.validity,
        plot.distance,
        plot.error_against_width,
        plot.overlay,
        plot.cdf_difference,
        plot.quantiles,
        plot.paths,
        lambda tree, ax=None: plot.throughput(tree, ax=ax),
    ],
)
def test_axes_given_are_drawn_on_and_returned(tree: xr.DataTree, draw: Callable[..., Any]) -> None:
    _, ax = plt.subplots()
    assert draw(tree, ax=ax) is ax
    assert ax.has_data()
    assert ax.get_title()
    assert draw(tree) is not ax


def test_colours_are_real_and_not_the_placeholders_of_a_page(tree: xr.DataTree) -> None:
    axes = plot.overlay(tree, depth=4)
    colours = [to_hex(line.get_color()) for line in axes.lines]
    assert colours
    assert not any(colour.startswith(PLACEHOLDER) for colour in colours)
    assert len(set(colours)) == 2  # two theories


def test_a_cell_is_chosen_by_its_axes(tree: xr.DataTree) -> None:
    """The standard deviation of the walk at depth d, width n is sqrt(d/n): quantiles reach so much further."""
    wide, narrow = plot.quantiles(tree, width=8, depth=1), plot.quantiles(tree, width=4, depth=4)
    spread = [np.ptp(axes.get_xlim()) for axes in (wide, narrow)]
    assert spread[1] / spread[0] == pytest.approx(8**0.5, rel=0.4)
    assert "n\u00a0=\u00a08" in wide.get_title()


@pytest.mark.parametrize(
    ("draw", "arguments", "message"),
    [
        (plot.overlay, {"observable": "gap"}, "observable: got 'gap', expected one of walk"),
        (plot.overlay, {"width": 5}, "width: got 5, expected one of 4, 8"),
        (plot.overlay, {"rate": 0.5}, "rate: got 0.5, expected an axis of this figure: width, fault, depth"),
        (plot.error_against_width, {"width": 4}, "width: got 4, expected an axis of this figure: fault, depth"),
        (plot.distance, {"theory": "sde"}, "theory: got 'sde', expected one of normal, wide"),
        (plot.validity, {"rule": "best"}, "rule: got 'best', expected one of nearest, simplest"),
        (plot.validity, {"contours": ["sde"]}, "theory: got 'sde', expected one of normal, wide"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    tree: xr.DataTree, draw: Callable[..., Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        draw(tree, **arguments)
    assert message in str(caught.value)
    assert not plt.get_fignums()  # nothing was opened


def test_results_without_a_plane_have_no_map(tree: xr.DataTree) -> None:
    with pytest.raises(InputError, match="several widths"):
        plot.validity(tree.isel(width=[0]))
    with pytest.raises(InputError, match="several widths"):
        plot.error_against_width(tree.isel(width=[0]))
    with pytest.raises(InputError, match="three depths"):
        plot.paths(tree.isel(depth=[0, 1]))


def test_the_map_of_distances_shows_every_score_and_verdict(tree: xr.DataTree) -> None:
    axes = plot.distance(tree, "walk", "normal")
    scores = tree["scores"]["distance"].sel(observable="walk", theory="normal")
    texts = [text.get_text() for text in axes.texts]
    assert len(texts) == int(scores.notnull().sum()) == 6
    marks = {"holds": "✓", "fails": "✗", "undecided": "?"}
    verdicts = tree["scores"]["verdict"].sel(observable="walk", theory="normal").squeeze().transpose("depth", "width")
    assert [text[0] for text in texts] == [marks[str(v)] for v in verdicts.to_numpy().ravel()]


def test_a_map_explains_the_colours_that_it_uses(tree: xr.DataTree) -> None:
    legend = plot.validity(tree, "walk").get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text() == "● normal"


def test_an_unknown_figure_of_a_study_is_refused(tree: xr.DataTree) -> None:
    with pytest.raises(InputError, match="this study has no figures here"):
        plot.study_figure(tree, "means")
