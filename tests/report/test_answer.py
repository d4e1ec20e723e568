"""The answer of a page follows the data: every sentence with a number changes when the numbers behind it do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from limitbench.report import words
from limitbench.report.answer import Answer
from limitbench.report.results import Results
from limitbench.report.view import StudyView
from limitbench.studies.base import Study

Maker = Callable[..., xr.DataTree]
Change = Callable[[xr.DataTree], None]


def view(tree: xr.DataTree, study: Study | None = None) -> StudyView:
    return StudyView(Results(tree, study), "s")


def said(tree: xr.DataTree) -> dict[str, list[str]]:
    """Every sentence of the page, by the function that says it."""
    results, one = Results(tree), view(tree)
    answer = Answer([one, one])
    return {
        "lead": [answer.lead],
        "answer": answer.sentences,
        "claimed": [one.claimed],
        "headline": [words.headline(results)],
        "followers": words.followers(results, words.standings(results)[1:]),
        "observable": [words.observable_sentence(results, o) for o in results.observables],
        "axes": words.axis_sentences(results),
        "trends": words.trend_sentences(results),
        "size": [words.size_sentence(results)],
        "sampling": [words.sampling_sentence(results)],
        "completeness": [words.completeness(results) or ""],
        "ledger": [f"{row.predicted} {row.measured} {row.se} {row.off}" for row in one.claims],
    }


def scores(**fields: float) -> Change:
    """Every score of every theory at the first rate becomes this."""

    def change(tree: xr.DataTree) -> None:
        for name, value in fields.items():
            tree["scores"][name][:, 0] = value
        tree["scores"]["verdict"][:, 0] = "holds"

    return change


def claims(field: str, values: list[object]) -> Change:
    def change(tree: xr.DataTree) -> None:
        tree["claims"][field] = xr.DataArray(values, dims="claim")

    return change


def sequential(tree: xr.DataTree) -> None:
    tree["run"]["looks"] = tree["run"]["n_samples"].copy(data=np.full(tree["run"]["n_samples"].shape, 2))
    tree["run"]["n_requested"] = 4 * tree["run"]["n_samples"]


def missing(tree: xr.DataTree) -> None:
    tree["run"]["n_samples"][0, 0] = 0
    tree["run"]["status"][0, 0] = "missing"


def fewer(tree: xr.DataTree) -> None:
    tree["run"]["n_samples"][...] = 77


HOLDS = scores(distance=0.001, distance_low=0.0, distance_high=0.002)
CASES: dict[str, tuple[Change, str]] = {
    "headline: scores": (HOLDS, "headline"),
    "followers: scores": (HOLDS, "followers"),
    "observables: scores": (HOLDS, "observable"),
    "axes: scores": (HOLDS, "axes"),
    "trends: scores": (HOLDS, "trends"),
    "lead: verdicts": (claims("verdict", ["fails", "fails", "undecided"]), "lead"),
    "claimed: verdicts": (claims("verdict", ["fails", "fails", "undecided"]), "claimed"),
    "ledger: measured": (claims("measured", [0.512, 0.7, np.nan]), "ledger"),
    "ledger: predicted": (claims("predicted", [0.6, 1.0, 3.0]), "ledger"),
    "ledger: errors": (claims("se", [0.3, 0.01, np.nan]), "ledger"),
    "size: networks": (fewer, "size"),
    "sampling: looks": (sequential, "sampling"),
    "completeness: cells": (missing, "completeness"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_changes_with_the_data_behind_it(synthetic: Maker, case: str) -> None:
    change, name = CASES[case]
    before = said(synthetic())
    tree = synthetic()
    change(tree)
    after = said(tree)
    assert after[name] != before[name]
    if name in ("headline", "claimed", "size", "sampling", "completeness"):
        assert any(character.isdigit() for character in after[name][0])


def test_every_kind_of_sentence_stands_in_the_table(synthetic: Maker) -> None:
    """`answer` is checked below, sentence by sentence."""
    assert {name for _, name in CASES.values()} == set(said(synthetic())) - {"answer"}


@pytest.mark.parametrize(
    ("verdicts", "wanted"),
    [
        ([], "There are no claims yet."),
        (["holds"] * 3, "All 3 measured claims hold."),
        (["holds"], "The one measured claim holds."),
        (["fails"], "Of 1 measured claim 1 fails and none holds."),
        (["holds", "fails", "fails", "undecided"], "Of 4 measured claims 2 fail, 1 is undecided and 1 holds."),
        (["holds", "undecided", "undecided"], "Of 3 measured claims none fails, 2 are undecided and 1 holds."),
        (["holds", "holds", "unmeasured"], "All 2 measured claims hold; 1 more is not measured."),
        (
            ["fails", "holds", "unmeasured", "unmeasured"],
            "Of 2 measured claims 1 fails and 1 holds; 2 more are not measured.",
        ),
        (["unmeasured"] * 2, "None of the 2 claims is measured by this run."),
    ],
)
def test_claims_are_counted_in_words_failures_first(verdicts: list[str], wanted: str) -> None:
    assert words.claims_sentence(verdicts) == wanted


def test_the_answer_names_the_theory_that_describes_each_study(synthetic: Maker) -> None:
    def only(winner: str | None) -> Callable[..., float]:
        return lambda theory, **cell: 0.001 if theory == winner else 0.5

    trees = {"a": "covariance-sde", "b": "covariance-sde", "c": "driftless", "d": None}
    views = [view(synthetic(study=name, offset=only(winner))) for name, winner in trees.items()]
    answer = Answer(views)
    assert answer.sentences == [
        "In 3 of 4 studies one theory holds in most of its scores: covariance-sde (a, b); driftless (c).",
        "No theory holds in most scores of d.",
    ]
    assert Answer(views[:1]).sentences == ["Here one theory holds in most of its scores: covariance-sde (a)."]
    assert answer.lead == ("Of 8 measured claims of 4 studies 4 fail and 4 hold; 4 more are not measured.")
    assert [(one.study, one.row.ident) for one in answer.claims("fails")] == [(name, "s-claim-2") for name in trees]


def test_undecided_studies_and_studies_without_scores_are_said(synthetic: Maker) -> None:
    undecided = synthetic(study="u", offset=lambda theory, **cell: 0.05)
    empty = synthetic(study="e")
    empty["scores"]["distance"][...] = np.nan
    assert Answer([view(undecided), view(empty)]).sentences == [
        "More scores are undecided than settled for the best theory of u.",
        "Without a score: e.",
    ]
