"""Sentences follow the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from limitbench.report import words
from limitbench.report.results import Results
from limitbench.report.style import count, number, percent, trimmed

Maker = Callable[..., xr.DataTree]


def test_the_theory_that_holds_everywhere_is_named_first(synthetic: Maker) -> None:
    tree = synthetic(offset=lambda theory, **cell: 0.001 if theory == "infinite-width-clt" else 0.5)
    text = words.headline(Results(tree))
    assert text.startswith("Infinite-width-clt describes these networks best: it holds (D at most 0.05) in 72 of 72")


def test_changing_the_data_changes_the_verdict(synthetic: Maker) -> None:
    tree = synthetic(offset=lambda theory, **cell: 0.001 if theory == "covariance-sde" else 0.5)
    before = words.verdict_sentences(Results(tree))
    tree["scores"]["distance"][..., 2] = 2.0
    tree["scores"]["distance_low"][..., 2] = 1.9
    tree["scores"]["verdict"][..., 2] = "fails"
    after = words.verdict_sentences(Results(tree))
    assert before[0].startswith("Covariance-sde describes")
    assert after[0].startswith("No theory holds anywhere on this grid")
    assert all(a != b for a, b in zip(before[:3], after[:3], strict=True))


def test_a_best_theory_that_mostly_fails_is_not_praised(synthetic_tree: xr.DataTree) -> None:
    assert words.headline(Results(synthetic_tree)).startswith("No theory holds (D at most 0.05) on most of this grid")


def test_worst_cells_are_the_largest_distances(synthetic: Maker) -> None:
    tree = synthetic()
    tree["scores"]["distance"].loc[
        {"c_minus": -2.0, "rate": 1.0, "width": 64, "aspect": 0.25, "observable": "correlation", "theory": "driftless"}
    ] = 9.5
    (worst,) = words.worst_cells(Results(tree), "driftless", "correlation", 1)
    assert worst.replace("\u00a0", " ").startswith("c_minus = −2, p = 1, n = 64, d/n = 0.25 (D = 9.5 [")


@pytest.mark.parametrize(
    ("sign", "word"),
    [(1, "D grows with depth"), (-1, "D falls with depth")],
)
def test_trends_follow_the_sign_of_the_slope(synthetic: Maker, sign: int, word: str) -> None:
    tree = synthetic(offset=lambda theory, aspect, **cell: 1.0 + sign * 0.8 * aspect)
    assert any(sentence.startswith(word) for sentence in words.trend_sentences(Results(tree)))


def test_equal_ends_make_no_trend(synthetic: Maker) -> None:
    assert words.trend_sentences(Results(synthetic(offset=lambda theory, **cell: 0.3))) == []


def test_each_rate_gets_its_own_leader(synthetic_tree: xr.DataTree) -> None:
    text = " ".join(words.axis_sentences(Results(synthetic_tree))).replace("\u00a0", " ")
    assert "t p = 0.25 no theory holds" in text
    assert "at p = 0.5 covariance-sde-corrected leads and holds in 24 of 24 scores" in text
    assert "at p = 1 driftless leads and holds in 12 of 12 scores" in text


def test_standings_count_cells_and_ties(synthetic: Maker) -> None:
    tree = synthetic(offset=lambda theory, **cell: 0.02)
    for standing in words.standings(Results(tree), "correlation"):
        assert (standing.scored, standing.holds, standing.best) == (36, 36, 36)
        assert standing.median == pytest.approx(0.02)


def test_missing_cells_are_said(synthetic: Maker) -> None:
    assert words.completeness(Results(synthetic())) is None
    assert "18 of 36 cells are missing" in str(words.completeness(Results(synthetic(finished=0.5))))
    partial = synthetic()
    partial["run"]["status"][0, 0, 0, 0] = "partial"
    assert "1 of 36 cells lack some of their networks" in str(words.completeness(Results(partial)))
    nothing = Results(synthetic(finished=0.0))
    assert words.verdict_sentences(nothing) == ["No cell is scored yet, so there is no verdict."]


def test_a_complete_run_without_scores_is_not_called_unfinished(synthetic: Maker) -> None:
    tree = synthetic()
    tree["scores"]["distance"][...] = np.nan
    done = Results(tree)
    assert words.completeness(done) is None
    assert words.verdict_sentences(done) == [
        "No law of a theory could be scored on this grid; the claims say what was found."
    ]
    tree["run"]["status"][0, 0, 0, 0] = "partial"
    assert "lack some of their networks" in str(words.completeness(Results(tree)))
    assert words.headline(Results(tree)).startswith("No cell is scored yet")


def test_numbers_read_as_people_write_them() -> None:
    assert [number(x) for x in (0.01234, -2.0, 1e-7, np.nan, np.inf, 0, 123456.0)] == [
        "0.0123", "−2.00", "1.00e−7", "–", "∞", "0", "1.23e5",
    ]  # fmt: skip
    assert [trimmed(x) for x in (0.5, 1.0, 0.19031, 100.0)] == ["0.5", "1", "0.1903", "100"]
    assert [percent(a, 300) for a in (0, 1, 150, 299, 300)] == [
        "0\u00a0%", "<\u00a01\u00a0%", "50\u00a0%", ">\u00a099\u00a0%", "100\u00a0%",
    ]  # fmt: skip
    assert count(12345.6) == "12\u202f346"
