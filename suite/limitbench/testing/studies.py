"""What every study promises, as tests to inherit: subclass `StudyContract` and give it a `study`.

It runs the smallest grid of the study once, in this process; the claims and figures must also bear a run without cells.
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import suppress
from typing import ClassVar, get_args

import numpy as np
import pytest
import xarray as xr

import limitbench
from limitbench import networks
from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.statistics.laws import Law
from limitbench.studies.base import Claim, Study, Value, Verdict
from limitbench.sweep.grid import resolve_grid


def first_values(study: Study, preset: str) -> dict[str, tuple[Value, ...]]:
    """The grid of `preset` with the first value of each axis alone: its smallest column."""
    return {name: tuple(values)[:1] for name, values in study.presets[preset].grid.items()}


def without_networks(tree: xr.DataTree) -> xr.DataTree:
    """The results of a run of the same grid in which every block was set aside."""
    empty = tree.copy(deep=True)
    for group in ("samples", "laws", "scores"):
        if group in empty:
            data = empty[group].to_dataset()
            blank = {str(name): data[name].copy(data=_blank(data[name])) for name in data}
            empty[group] = xr.DataTree(data.assign(blank))
    run = empty["run"].to_dataset()
    empty["run"] = xr.DataTree(run.assign(n_samples=xr.zeros_like(run["n_samples"])))
    return empty


def _blank(values: xr.DataArray) -> np.ndarray:
    return np.full(values.shape, np.nan if values.dtype.kind == "f" else np.zeros((), values.dtype)[()])


class StudyContract:
    """Words, grids, networks, theories, claims and figures. Subclasses set `study`.

    Attributes:
        study: the study under test.
        preset: its preset whose first column is run, in one block.
    """

    study: ClassVar[Study]
    preset: ClassVar[str] = "quick"
    _results: ClassVar[xr.DataTree]

    @pytest.fixture
    def tree(self) -> xr.DataTree:
        """Results of the first column of the preset, made once."""
        own = type(self)
        if "_results" not in vars(own):
            grid = first_values(self.study, self.preset)
            own._results = limitbench.run(self.study, grid, preset=self.preset, samples=1)
        return own._results

    def test_words_are_there(self) -> None:
        """Name, title, question and reference say something; the name is lower-case words with hyphens."""
        study = self.study
        assert all(word.isalnum() and word == word.lower() for word in study.name.split("-"))
        for text in (study.title, study.question, study.reference):
            assert text.strip()
        assert study.question.endswith("?")

    def test_names_differ(self) -> None:
        """No two theories, observables or axes share a name."""
        study = self.study
        for parts in (
            [theory.name for theory in study.theories],
            study.observables,
            [axis.name for axis in study.axes],
        ):
            assert len(set(parts)) == len(parts)

    def test_every_cell_of_every_preset_is_a_network(self) -> None:
        """Every grid resolves; its networks give observables of the study, and no blocks of half a batch."""
        assert self.preset in self.study.presets
        for preset in self.study.presets.values():
            assert preset.samples > 0
            grid = resolve_grid(self.study, preset.grid, {})
            for _, column in grid.columns():
                network = self.study.network(column.cells[-1])
                assert isinstance(network, Network)
                assert set(network.observables) <= set(self.study.observables)
                for sampler, size in self.study.block_samples.items():
                    assert size % network.batch_size(sampler) == 0

    def test_no_network_borrows_the_name_of_another_family(self) -> None:
        """Seeds depend on family and version: a built-in name belongs to the built-in class."""
        for preset in self.study.presets.values():
            for _, column in resolve_grid(self.study, preset.grid, {}).columns():
                network = self.study.network(column.cells[-1])
                if network.family in networks.BUILT_IN:
                    assert isinstance(network, networks.get(network.family))

    def test_theories_say_something_about_the_observables(self) -> None:
        """At the cells of the smallest column every theory that is not skipped has laws, and one at least is there."""
        said = set()
        grid = resolve_grid(self.study, first_values(self.study, self.preset), {})
        for _, column in grid.columns():
            for cell in column.cells:
                for competitor in self.study.theories:
                    reason = competitor.skip(cell)
                    assert reason is None or reason.strip()
                    if reason is not None:
                        continue
                    with suppress(InputError):  # outside its domain: the sweep keeps the reason
                        theory = competitor.build(cell)
                        for observable in set(theory.observables) & set(self.study.observables):
                            assert isinstance(theory.law(observable), Law)
                            said.add(observable)
        assert said or not self.study.theories

    def test_the_smallest_column_runs_and_is_scored(self, tree: xr.DataTree) -> None:
        """All cells are done, some sample is a number, and a theory has a score."""
        assert (tree["run"]["status"] == "done").all()
        assert any(np.isfinite(values).any() for values in tree["samples"].to_dataset().values())
        assert not self.study.theories or np.isfinite(tree["scores"]["distance"]).any()

    def test_claims_are_whole(self, tree: xr.DataTree) -> None:
        """Claims have different names, words and a known verdict; one that was measured has a standard error."""
        claims = self.study.claims(tree)
        assert len({claim.name for claim in claims}) == len(claims)
        for claim in claims:
            assert isinstance(claim, Claim)
            assert claim.text.strip()
            assert claim.verdict in get_args(Verdict)
            assert claim.verdict == "undecided" or math.isfinite(claim.measured)

    def test_claims_and_figures_bear_a_run_without_networks(self, tree: xr.DataTree) -> None:
        """Neither raises where every cell is missing; no claim then holds or fails."""
        empty = without_networks(tree)
        assert {claim.verdict for claim in self.study.claims(empty)} <= {"undecided"}
        self.study.figures(empty)

    def test_figures_have_names_and_curves_of_numbers(self, tree: xr.DataTree) -> None:
        """Figures have different names; a curve has as many x as y."""
        figures = self.study.figures(tree)
        assert len({figure.name for figure in figures}) == len(figures)
        for figure in figures:
            for series in figure.series:
                assert len(series.x) == len(series.y)

    def test_is_a_frozen_value(self) -> None:
        """A study is a frozen dataclass."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            self.study.version = 2  # type: ignore[misc]
