"""The page says how networks were drawn."""

import json
from collections.abc import Callable

import pytest
import xarray as xr

from limitbench import studies
from limitbench.report.provenance import methods
from limitbench.report.results import Results


@pytest.mark.parametrize(("sampler", "words"), [("exact", "pairs of normals"), ("dense", "real weight matrices")])
def test_the_way_networks_are_drawn_is_named(synthetic: Callable[..., xr.DataTree], sampler: str, words: str) -> None:
    tree = synthetic()
    tree.attrs["spec"] = json.dumps(json.loads(tree.attrs["spec"]) | {"meaning": {"sampler": sampler}})
    (found,) = methods(Results(tree, studies.get("shaped-relu")))
    assert found.startswith(words)


def test_nothing_is_said_of_a_study_that_is_not_known(synthetic: Callable[..., xr.DataTree]) -> None:
    assert methods(Results(synthetic(), None)) == []
