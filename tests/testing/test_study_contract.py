"""The contract of a study passes on a study that is right and notices each planted fault."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import xarray as xr

import limitbench
from limitbench.studies.base import Claim, Preset, Study
from limitbench.studies.figures import StudyFigure
from limitbench.testing.studies import StudyContract, first_values, without_networks
from limitbench.testing.toy import STUDY, ToyNetwork


class TestToy(StudyContract):
    study = STUDY


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return limitbench.run(STUDY, first_values(STUDY, "quick"), samples=1)


@dataclass(frozen=True)
class Borrowed(ToyNetwork):
    """A network under the name of a built-in family."""

    family = "shaped-mlp"


def _claim(**changes: Any) -> Callable[[xr.DataTree], list[Claim]]:
    claim = Claim("mean", "zero", 0.0, 0.0, 0.1, "holds")
    return lambda tree: [dataclasses.replace(claim, **changes)]


def _counts(tree: xr.DataTree) -> list[Claim]:
    return [Claim("mean", "zero", 0.0, 1 / int(tree["run"]["n_samples"].max()), 0.1, "undecided")]


def _figure(name: str) -> StudyFigure:
    return StudyFigure(name, "title", "x", "y", (), "caption")


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "no question": ("test_words_are_there", {"question": "It is normal."}),
    "no reference": ("test_words_are_there", {"reference": " "}),
    "an upper-case name": ("test_words_are_there", {"name": "Toy"}),
    "a theory twice": ("test_names_differ", {"theories": STUDY.theories[:1] * 2}),
    "an unlisted observable": ("test_every_cell_of_every_preset_is_a_network", {"observables": ("walk",)}),
    "half a batch": ("test_every_cell_of_every_preset_is_a_network", {"block_samples": {"exact": 48, "dense": 64}}),
    "no samples": ("test_every_cell_of_every_preset_is_a_network", {"presets": {"quick": Preset({}, samples=0)}}),
    "a borrowed family": (
        "test_no_network_borrows_the_name_of_another_family",
        {"network": lambda cell: Borrowed(int(cell["depth"]), int(cell["width"]))},
    ),
    "silent theories": ("test_theories_say_something_about_the_observables", {"theories": STUDY.theories[1:]}),
    "an empty reason": (
        "test_theories_say_something_about_the_observables",
        {"theories": (*STUDY.theories, dataclasses.replace(STUDY.theories[0], name="x", skip=lambda cell: " "))},
    ),
    "a claim without words": ("test_claims_are_whole", {"claims": _claim(text="")}),
    "a verdict on nothing": ("test_claims_are_whole", {"claims": _claim(measured=float("nan"))}),
    "a claim that raises": ("test_claims_and_figures_bear_a_run_without_networks", {"claims": _counts}),
    "a claim about no networks": ("test_claims_and_figures_bear_a_run_without_networks", {"claims": _claim()}),
    "a figure that raises": (
        "test_claims_and_figures_bear_a_run_without_networks",
        {"claims": lambda tree: [], "figures": lambda tree: [_figure(str(1 // int(tree["run"]["n_samples"].max())))]},
    ),
    "a figure twice": (
        "test_figures_have_names_and_curves_of_numbers",
        {"figures": lambda tree: [_figure("one"), _figure("one")]},
    ),
}


def check(study: Study, test: str, tree: xr.DataTree) -> None:
    contract = type("Contract", (StudyContract,), {"study": study})()
    method = getattr(contract, test)
    method(tree) if "tree" in inspect.signature(method).parameters else method()


@pytest.mark.parametrize("fault", FAULTS)
def test_contract_notices(fault: str, tree: xr.DataTree) -> None:
    test, changes = FAULTS[fault]
    check(STUDY, test, tree) if "without_networks" not in test else None
    with pytest.raises((AssertionError, ZeroDivisionError)):
        check(dataclasses.replace(STUDY, **changes), test, tree)


def test_a_run_without_networks_has_none(tree: xr.DataTree) -> None:
    empty = without_networks(tree)
    assert empty["samples"]["walk"].isnull().all()
    assert empty["scores"]["distance"].isnull().all()
    assert (empty["run"]["n_samples"] == 0).all()
    assert tree["samples"]["walk"].notnull().any()
