"""The validity map gives each cell to the right theory, says so in words and marks, and draws the margin."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from limitbench.report.figures.validity import brief, validity_figure
from limitbench.report.results import Results
from limitbench.report.svg import Drawings, inline_svg
from limitbench.report.validity import Rule, Validity

Maker = Callable[..., xr.DataTree]
#: Widths 16, 64, 256 to the right, d/n = 0.25, 1 upwards.
CORRECTED, SDE = "covariance-sde-corrected", "covariance-sde"


def found(tree: xr.DataTree, rule: Rule = "nearest", *, rate: float = 0.5) -> Validity:
    results = Results(tree)
    at = next(s for s in results.slices if s.values["rate"] == rate)
    return Validity(results, at, "correlation", rule)


def chosen(validity: Validity) -> list[list[str]]:
    return [[validity.theories[k] if k >= 0 else "" for k in row] for row in validity.chosen]


def by_width(theory: str, width: float, **cell: float) -> float:
    """The SDE holds from width 64 on, its correction everywhere and is nearer; all others fail."""
    return {SDE: 0.4 if width < 64 else 0.03, CORRECTED: 0.01}.get(theory, 0.7)


def test_a_cell_belongs_to_the_smallest_distance_or_to_the_simplest_that_holds(synthetic: Maker) -> None:
    tree = synthetic(offset=by_width)
    assert chosen(found(tree)) == [[CORRECTED] * 3] * 2
    assert chosen(found(tree, "simplest")) == [[CORRECTED, SDE, SDE]] * 2


def test_a_tie_within_intervals_goes_to_the_first_listed(synthetic: Maker) -> None:
    """Intervals reach 10 % + 0.01 below D: 0.02 and 0.013 tie, 0.03 and 0.01 do not."""

    def tied(theory: str, **cell: float) -> float:
        return {SDE: 0.02, CORRECTED: 0.013}.get(theory, 0.7)

    assert chosen(found(synthetic(offset=tied))) == [[SDE] * 3] * 2


def test_of_tied_theories_one_that_holds_comes_first(synthetic: Maker) -> None:
    """D = 0.05 with an interval to 0.065 is undecided; a wide one that reaches down to 0.02 does not win over it."""
    tree = synthetic(offset=lambda theory, **cell: {SDE: 0.05, CORRECTED: 0.02}.get(theory, 0.7))
    tree["scores"]["distance_low"].loc[{"theory": SDE}] = 0.0
    assert chosen(found(tree)) == [[CORRECTED] * 3] * 2


def test_the_caption_says_which_theory_covers_which_region(synthetic: Maker) -> None:
    caption = found(synthetic(offset=by_width), "simplest").caption()
    assert caption == (
        "Simplest that holds: covariance-sde in 4 of 6 cells (n ≥ 64), D up to 0.030, N* from 8 889; "
        "covariance-sde-corrected in 2 of 6 cells (n = 16), D up to 0.010, N* from 80 000. "
        "In each of the 6 cells some theory holds."
    ).replace("8 889", "8\u202f889").replace("80 000", "80\u202f000")


@pytest.mark.parametrize(
    ("offset", "sentence"),
    [
        (lambda theory, **cell: 0.4, "No theory holds in any cell."),
        (lambda theory, aspect, **cell: 0.01 if aspect < 1 else 0.4, "No theory holds in 3 cells (d/n = 1)."),
        (lambda theory, width, **cell: 0.4 if width == 64 else 0.01, "No theory holds in 2 cells (n = 64)."),
        (lambda theory, **cell: 0.01, "In each of the 6 cells some theory holds."),
        (lambda theory, **cell: 0.05, "Whether one holds is undecided in all cells."),
        (
            lambda theory, width, **cell: {16: 0.4, 64: 0.05, 256: 0.01}[width],
            "No theory holds in 2 cells (n = 16). Whether one holds is undecided in 2 cells (n = 64).",
        ),
    ],
)
def test_the_sentence_about_the_margin_follows_the_data(
    synthetic: Maker, offset: Callable[..., float], sentence: str
) -> None:
    assert found(synthetic(offset=offset)).caption().endswith(sentence)


def test_a_region_that_is_no_rectangle_is_given_by_its_reach(synthetic: Maker) -> None:
    """The corner of narrow deep networks: what is left is not `n ≥ 16`."""

    def corner(theory: str, width: float, aspect: float, **cell: float) -> float:
        return {SDE: 0.4 if width < 64 and aspect == 1 else 0.02, CORRECTED: 0.3}.get(theory, 0.7)

    caption = found(synthetic(offset=corner), "simplest").caption()
    assert "covariance-sde in 5 of 6 cells (scattered)" in caption
    assert "No theory holds in 1 cell (n = 16, d/n = 1)." in caption


def test_cells_that_fail_are_marked_and_hatched(synthetic: Maker) -> None:
    def drawn(offset: Callable[..., float]) -> str:
        return inline_svg(validity_figure(found(synthetic(offset=offset))), title="", desc="", drawings=Drawings())

    failing, holding = drawn(lambda theory, **cell: 0.4), drawn(lambda theory, **cell: 0.01)
    assert failing.count("● ✗") == 6
    assert "✗" not in holding
    assert holding.count(">●<") == 6
    assert len(re.findall("<path", failing)) > len(re.findall("<path", holding))  # the hatching is one path


def test_the_margin_runs_where_the_distance_crosses_it(synthetic: Maker) -> None:
    """ln D goes from ln 0.4 at n = 16 to ln 0.0125 at n = 64: 0.05 lies 60 % of the way, n = 16 * 4^0.6 = 36.76."""
    tree = synthetic(offset=lambda theory, width, **cell: 0.4 if width == 16 else 0.0125)
    axes = validity_figure(found(tree), contours=[SDE]).axes[0]
    (line,) = (one for one in axes.lines if str(one.get_label()).startswith("D = 0.05"))
    np.testing.assert_allclose(line.get_xdata(), 16 * 4**0.6)
    np.testing.assert_allclose(np.sort(line.get_ydata()), [0.25, 1.0])


def test_own_networks_are_stars_at_their_width_and_ratio(synthetic_tree: xr.DataTree) -> None:
    axes = validity_figure(found(synthetic_tree), own=[(100, 50, "mine")]).axes[0]
    (star,) = (line for line in axes.lines if line.get_marker() == "*")
    np.testing.assert_allclose([star.get_xdata(), star.get_ydata()], [[50], [2.0]])
    assert axes.get_ylim()[1] >= 2.0
    assert [text.get_text() for text in axes.texts][-1] == "mine"


def test_without_a_plane_or_scores_there_is_no_map(synthetic: Maker) -> None:
    assert found(synthetic()).exists
    assert not found(synthetic().isel(width=[0])).exists
    assert not found(synthetic().isel(aspect=[0])).exists
    assert not found(synthetic(finished=0.0)).exists


@pytest.mark.parametrize(
    ("value", "text"),
    [(740, "740"), (999.4, "999"), (999.6, "1k"), (9_940, "9.9k"), (9_960, "10k"), (12_400, "12k"), (3e6, "3M")],
)
def test_counts_are_brief(value: float, text: str) -> None:
    assert brief(value) == text
