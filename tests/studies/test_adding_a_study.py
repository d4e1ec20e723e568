"""The page "how to add a study" is true: its code runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limitbench.testing.networks import NetworkContract

PAGE = Path(__file__).parents[2] / "suite" / "limitbench" / "studies" / "README.md"
MOST_LINES = 60


def code() -> str:
    """The first code block of the page."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Names of the example after it has run, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("example")
    script = folder / "linear_norm.py"
    script.write_text(code(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return {**runpy.run_path(str(script)), "folder": folder}


def test_the_example_is_short() -> None:
    assert len([line for line in code().splitlines() if line.strip()]) < MOST_LINES


def test_the_example_says_which_theory_holds(example: dict[str, Any]) -> None:
    tree = example["tree"]
    verdicts = tree["scores"]["verdict"].sel(observable="log_norm", width=128)
    assert (verdicts.sel(theory="limit") == "holds").all()
    assert (verdicts.sel(theory="infinite-width") == "fails").all()


def test_the_example_has_a_claim_that_can_fail(example: dict[str, Any]) -> None:
    (claim,) = example["claims"](example["tree"])
    assert claim.verdict == "holds"
    assert claim.distance < 0.05
    broken = example["tree"].map_over_datasets(lambda d: d * 1.2 if "log_norm" in d and "sample" in d.dims else d)
    assert example["claims"](broken)[0].verdict == "fails"
    small = example["tree"].map_over_datasets(lambda d: d.isel(aspect=[0]) if "aspect" in d.dims else d)
    assert np.isnan(example["claims"](small)[0].measured)


def test_the_report_has_the_section_of_the_example(example: dict[str, Any]) -> None:
    page = (example["folder"] / "my-results" / "report.html").read_text(encoding="utf-8")
    assert "The norm in deep linear networks" in page
    assert "The variance at d = n is n ψ&#39;(n/2)." in page
    assert '<figure id="linear-norm-figure-variance">' in page


class TestNetwork(NetworkContract):
    @pytest.fixture
    def network(self, example: dict[str, Any]) -> Any:
        return example["LinearNorm"](8, 16)
