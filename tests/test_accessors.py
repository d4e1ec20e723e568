"""Results in a notebook: questions to a tree, samples against a law, and HTML in which all text is text."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import display, studies
from limitbench.accessors import Ledger
from limitbench.errors import InputError
from limitbench.statistics.laws import Empirical, Normal, PointMass
from limitbench.studies.base import Claim, StudyTheory
from limitbench.testing import toy
from limitbench.theories.shaped_relu import CovarianceSDE


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    grid = {"outputs": [2], "widths": ["equal"], "width": [16, 64], "aspect": [1.0]}
    return limitbench.run("deep-linear", grid, samples=4096)


def test_best_is_the_theory_of_least_distance_and_no_check(tree: xr.DataTree) -> None:
    best = tree.limitbench.best()
    distance = tree["scores"]["distance"]
    assert best.dims == tuple(d for d in distance.dims if d != "theory")
    checks = [theory.name for theory in studies.get("deep-linear").theories if theory.role == "check"]
    competitors = distance.drop_sel(theory=checks)
    for cell in np.ndindex(*best.shape):
        at = dict(zip(best.dims, cell, strict=True))
        scores = competitors.isel(at)
        wanted = str(scores["theory"].values[np.nanargmin(scores)]) if scores.notnull().any() else ""
        assert best.isel(at).item() == wanted


def test_verdicts_and_distances_are_those_of_the_store(tree: xr.DataTree) -> None:
    xr.testing.assert_identical(tree.limitbench.verdicts(), tree["scores"]["verdict"])
    some = tree.limitbench.distances("infinite-width", "log_q11")
    xr.testing.assert_identical(some, tree["scores"]["distance"].sel(theory="infinite-width", observable="log_q11"))
    with pytest.raises(InputError, match="theory: got 'x', expected one of infinite-width"):
        tree.limitbench.verdicts("x")


def test_the_ledger_is_the_claims_of_the_study(tree: xr.DataTree) -> None:
    stored, made = tree.limitbench.claims(), studies.get("deep-linear").claims(tree)
    assert [claim.name for claim in stored] == [claim.name for claim in made]
    holds = tree.limitbench.claims("holds")
    assert {claim.verdict for claim in holds} == {"holds"}
    assert len(holds) == sum(claim.verdict == "holds" for claim in made)
    assert isinstance(stored[:2], Ledger)
    assert stored[0].text in repr(stored)


def test_a_law_is_the_theory_of_its_cell_and_agrees_with_the_store(tree: xr.DataTree) -> None:
    law = tree.limitbench.law("log_q11", "proportional-limit", width=64)
    wanted = tree["laws"]["log_q11"].sel(theory="proportional-limit", width=64).squeeze()
    np.testing.assert_allclose(law.quantile(wanted["quantile"].values), wanted, rtol=1e-6)
    unknown = tree.copy()
    unknown.attrs["study"] = "somebody-else"
    assert unknown.limitbench.study is None
    table = unknown.limitbench.law("log_q11", "proportional-limit", width=64)
    x = np.linspace(*law.quantile(np.array([0.001, 0.999])), 50)
    np.testing.assert_allclose(table.cdf(x), law.cdf(x), atol=1e-4)


@pytest.mark.parametrize(
    ("cell", "field"),
    [({}, "cell: got {}, .* not of 2; give width too"), ({"width": 5}, "not of 0"), ({"depht": 1}, "axis")],
)
def test_a_cell_that_is_not_one_is_refused(tree: xr.DataTree, cell: dict[str, float], field: str) -> None:
    with pytest.raises(InputError, match=field):
        tree.limitbench.law("log_q11", "proportional-limit", **cell)


def test_plots_are_those_of_limitbench_plot(tree: xr.DataTree) -> None:
    with pytest.raises(AttributeError, match="has no function 'nothing'"):
        tree.limitbench.plot.nothing()
    assert "overlay" in dir(tree.limitbench.plot)
    assert tree.limitbench.plot.overlay.func is limitbench.plot.overlay


def test_samples_are_scored_against_a_law_or_a_theory() -> None:
    drawn = limitbench.ShapedMLP(depth=8, width=16).sample(2048, depths=[4, 8])
    theory = CovarianceSDE(time=0.5, c_plus=0.0, c_minus=-1.0, rho0=0.3)
    last = drawn.isel(depth=-1)
    assert last.limitbench.score("log_norm", theory) == last.limitbench.score("log_norm", theory.law("log_norm"))
    assert last.limitbench.score("log_norm", Normal(3.0, 1.0)).verdict == "fails"
    with pytest.raises(InputError, match="choose one depth"):
        drawn.limitbench.score("log_norm", theory)
    with pytest.raises(InputError, match="observable: got 'x', expected one of correlation"):
        last.limitbench.score("x", theory)


HOSTILE = "<script>alert('x')</script> & \"<b>"


def whole(html: str) -> ElementTree.Element:
    """The parsed HTML (it is XML too); no element but those of `display` is in it."""
    root = ElementTree.fromstring(f"<root>{html}</root>")
    tags = {element.tag for element in root.iter()}
    assert tags <= {"root", "div", "strong", "table", "thead", "tbody", "tr", "th", "td", "svg", "title", "polyline"}
    return root


def texts(html: str) -> str:
    return " ".join(whole(html).itertext())


def test_hostile_text_is_text(tree: xr.DataTree) -> None:
    claim = Claim(HOSTILE, HOSTILE, 1.0, 1.1, 0.1, "holds", command=HOSTILE)
    theory = StudyTheory(HOSTILE, HOSTILE, lambda cell: CovarianceSDE(1.0, 0.0, -1.0, 0.3), formula=HOSTILE)
    study = dataclasses.replace(toy.STUDY, title=HOSTILE, question=HOSTILE, theories=(theory,))
    for value in (claim, theory, study, Ledger([claim])):
        assert texts(value._repr_html_()).count(HOSTILE) >= 1
    renamed = tree.copy()
    renamed.attrs["study"] = HOSTILE
    assert HOSTILE in texts(renamed.limitbench._repr_html_())
    assert HOSTILE in texts(display.facts(HOSTILE, [(HOSTILE, HOSTILE)]))


def test_values_show_their_numbers(tree: xr.DataTree) -> None:
    shown = texts(Normal(0.25, 2.0)._repr_html_())
    assert re.search(r"mean 0\.25 standard deviation 2 1% quantile -4\.403", shown)
    assert whole(Normal(0.25, 2.0)._repr_html_()).find(".//polyline") is not None
    assert "value 3" in texts(PointMass(3.0)._repr_html_())
    assert "draws behind it 4" in texts(Empirical([1.0, 2.0, 3.0, 5.0])._repr_html_())
    assert "covariance SDE" in texts(CovarianceSDE(1.0, 0.0, -1.0, 0.3)._repr_html_())
    assert "shaped-mlp, version" in texts(limitbench.ShapedMLP(8, 16)._repr_html_())
    assert "deep-linear" in texts(studies.get("deep-linear")._repr_html_())
    summary = texts(tree.limitbench._repr_html_())
    verdicts = tree["scores"]["verdict"].sel(theory="infinite-width").values
    assert f"{(verdicts == 'holds').sum()} {(verdicts == 'fails').sum()} {(verdicts == 'undecided').sum()}" in summary
    assert tree.limitbench.claims()[0].text in summary
