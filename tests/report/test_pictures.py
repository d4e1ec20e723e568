"""Every picture carries its numbers and a line of Python that makes it again."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench.report.figures.paths import paths_of
from limitbench.report.figures.quantiles import describe, quantiles_of
from limitbench.report.panels import DETAILS, Panels
from limitbench.report.picture import Picture
from limitbench.report.results import Results
from limitbench.report.svg import Drawings
from limitbench.studies.base import Study
from limitbench.studies.figures import FigureTable
from limitbench.testing.toy import STUDY

Maker = Callable[..., xr.DataTree]


@pytest.fixture(scope="module")
def toy() -> xr.DataTree:
    return limitbench.run(STUDY, {"width": [4, 8], "depth": [1, 2, 4]}, samples=128)


@pytest.fixture(scope="module")
def pictures(toy: xr.DataTree) -> list[Picture]:
    panels = Panels(Results(toy, STUDY), "toy", Drawings())
    found = [p for s in panels.sections(DETAILS[5]).values() for _, panel in s.panels for p in panel.pictures]
    assert panels.throughput[0] is not None
    return [*found, panels.throughput[0]]


def test_all_kinds_are_there_under_names_of_their_own(pictures: list[Picture]) -> None:
    names = [picture.name for picture in pictures]
    assert len(set(names)) == len(names)
    for kind in ("validity-nearest", "error", "overlay", "quantiles", "paths", "throughput"):
        assert any(name.startswith(kind) for name in names), kind


def test_every_line_of_python_draws_on_axes(
    pictures: list[Picture], toy: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limitbench, "open_results", lambda path: toy, raising=False)
    for picture in pictures:
        assert picture.code.startswith("limitbench.plot."), picture.name
        axes = eval(picture.code, {"limitbench": limitbench})
        assert axes.has_data(), picture.code
        axes.figure.clear()


def test_the_numbers_of_every_picture_are_a_table(pictures: list[Picture]) -> None:
    for picture in pictures:
        assert picture.data is not None
        head, *rows = csv.reader(io.StringIO(picture.data.csv()))
        assert rows
        assert len(head) == len(set(head))
        assert any(re.fullmatch(r"-?[\d.e+-]+", cell) for row in rows for cell in row), picture.name


def test_description_is_that_of_the_drawing_and_has_numbers(pictures: list[Picture]) -> None:
    for picture in pictures:
        assert "<desc" in picture.svg
        assert re.search(r"\d", picture.description), picture.name


def test_own_figures_are_pictures_too(synthetic_tree: xr.DataTree, study: Study) -> None:
    (own,) = Panels(Results(synthetic_tree, study), "x", Drawings()).figures
    assert (
        own.picture.code == "limitbench.plot.study_figure(limitbench.open_results('results/synthetic.zarr'), 'means')"
    )
    assert own.picture.data is not None
    head, *rows = own.picture.data.csv().splitlines()
    assert head == "series,kind,x,y,se"
    assert rows == ["networks,network,16,0.5,0.1", "networks,network,64,0.25,0.05"]


def test_a_table_of_a_figure_is_kept_with_its_words_and_numbers(synthetic_tree: xr.DataTree, study: Study) -> None:
    table = FigureTable("Exponents", ("activation", "what", "measured"), (("tanh", "R", 0.51234), ("erf", "δ", 1.0)))
    (figure,) = study.figures(synthetic_tree)
    (own,) = Panels(
        Results(
            synthetic_tree,
            dataclasses.replace(study, figures=lambda tree: [dataclasses.replace(figure, table=table)]),
        ),
        "x",
        Drawings(),
    ).figures
    assert own.table is not None
    assert (own.table.caption, own.table.labels) == ("Exponents", 2)
    assert own.table.rows == [("tanh", "R", "0.512"), ("erf", "δ", "1.00")]


def test_quantiles_are_counted_against_their_band(synthetic: Maker) -> None:
    """A law shifted by half a standard deviation leaves the band of 512 networks; the right one stays."""

    def sentence(shift: float) -> str:
        results = Results(synthetic(offset=lambda theory, **cell: shift))
        found = quantiles_of(results, "correlation", results.cell_index(results.slices[0], 0, 1))
        assert found is not None
        assert "infinite-width" not in found.theories  # a point mass has no quantiles to compare
        return describe(results, found)[1]

    right, wrong = (re.findall(r"(\d+) of (\d+)", sentence(shift))[0] for shift in (1e-6, 0.5))
    assert int(right[0]) > 0.8 * int(right[1])
    assert int(wrong[0]) < 0.2 * int(wrong[1])


def test_paths_are_one_network_each(toy: xr.DataTree) -> None:
    """A walk: its values at three depths are those of the same networks in the store."""
    results = Results(toy, STUDY)
    found = paths_of(results, "walk", results.slices[0], 1)
    assert found is not None
    stored = toy["samples"]["walk"].isel(width=1).squeeze().transpose("sample", "depth").to_numpy()
    np.testing.assert_array_equal(found.paths, stored[: len(found.paths)])
    np.testing.assert_allclose(found.networks[1], np.median(stored, axis=0))
    np.testing.assert_allclose(found.theories["normal"][2], 1.645 * np.sqrt(np.array([1, 2, 4]) / 8), rtol=1e-3)
    assert paths_of(Results(toy), "walk", results.slices[0], 1).paths.size == 0  # type: ignore[union-attr]


def test_two_depths_are_no_path(toy: xr.DataTree) -> None:
    results = Results(toy.isel(depth=[0, 1]), STUDY)
    assert paths_of(results, "walk", results.slices[0], 1) is None
