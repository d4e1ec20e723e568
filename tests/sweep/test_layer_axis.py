"""An axis `layer`: networks of a final depth, read at their layers, from grid to report."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import limitbench
from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.statistics.laws import Normal
from limitbench.studies.axes import DEPTH, LAYER, WIDTH
from limitbench.studies.base import Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.measured import column_values
from limitbench.sweep.grid import resolve_grid
from limitbench.theories.base import Theory


@dataclass(frozen=True)
class Countdown(Network):
    """At layer l the sum of the last depth - l + 1 of `depth` standard normals."""

    depth: int
    width: int
    family, version, observables, depends_on_final_depth = "countdown", 1, ("log_norm",), True
    parameters = property(lambda self: {"width": self.width})

    def batch_size(self, sampler):
        return 64

    def sample_batch(self, seed, *, depths, sampler="exact", device="cpu", generator="torch"):
        draws = np.random.Generator(np.random.SFC64(seed)).standard_normal((64, self.depth))
        return {"log_norm": draws[:, ::-1].cumsum(1)[:, ::-1][:, np.array(depths) - 1]}


@dataclass(frozen=True)
class Remaining(Theory):
    steps: int
    observables = ("log_norm",)

    def _law(self, observable):
        return Normal(0.0, math.sqrt(self.steps))


STUDY = Study(
    name="countdown",
    version=1,
    title="Countdown",
    question="?",
    reference="none",
    axes=(WIDTH, DEPTH, LAYER),
    observables=("log_norm",),
    network=lambda cell: Countdown(int(cell["depth"]), int(cell["width"])),
    theories=(StudyTheory("exact", "exact", lambda c: Remaining(int(c["depth"]) - int(c["layer"]) + 1)),),
    presets={"quick": Preset({"width": (8,), "depth": (3, 6), "layer": (1, 3, 6)}, samples=512)},
    claims=lambda tree: [],
    block_samples={"exact": 256, "dense": 256},
)


@pytest.fixture(scope="module")
def tree():
    return limitbench.run(STUDY)


def test_layers_of_a_column_come_from_one_network_of_the_final_depth(tree):
    network = Countdown(6, 8)
    drawn = network.sample(512, depths=[1, 3, 6])["log_norm"].values
    evidence = Evidence(STUDY, tree)
    assert np.array_equal(column_values(evidence.where(depth=6), "log_norm"), drawn.T)
    assert evidence.one(depth=6, layer=3).parameters == {"width": 8, "depth": 6, "layer": 3}


def test_a_layer_beyond_the_depth_is_an_empty_cell(tree):
    assert [c.parameters["layer"] for c in Evidence(STUDY, tree).where(depth=3)] == [1, 3]
    beyond = tree["samples"]["log_norm"].sel(depth=3, layer=6, width=8)
    assert np.isnan(beyond).all()
    assert np.isnan(tree["scores"]["distance"].sel(depth=3, layer=6)).all()
    assert "no such layer" in str(tree["run"]["skipped"].sel(depth=3, layer=6).values)


def test_scores_know_depth_and_layer(tree):
    scores = tree["scores"]["distance"].sel(theory="exact", observable="log_norm", width=8)
    assert (scores.sel(depth=6) < 0.15).all()
    assert scores.sel(depth=3, layer=[1, 3]).max() < 0.15


def test_a_larger_grid_extends_the_store(tmp_path):
    limitbench.run(STUDY, {"depth": 6, "layer": [1, 6]}, out=tmp_path)
    larger = limitbench.run(STUDY, {"depth": [3, 6], "layer": [1, 2, 6]}, out=tmp_path)
    drawn = Countdown(6, 8).sample(512, depths=[1, 2, 6])["log_norm"].values
    assert np.array_equal(larger["samples"]["log_norm"].sel(depth=6, width=8).values, drawn.T)


def test_the_report_has_the_layers(tmp_path):
    limitbench.run(STUDY, out=tmp_path)
    limitbench.render([tmp_path], tmp_path / "page.html", studies=[STUDY])
    page = (tmp_path / "page.html").read_text()
    assert "Countdown" in page
    assert "log squared norm, d = 6, l = 3" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "D over layer and width" in page


def test_layers_of_a_preset_follow_the_depths_that_are_named():
    preset = STUDY.presets["quick"].grid
    assert resolve_grid(STUDY, preset, {"depth": 4}).as_dict()["layer"] == (1, 3)
    assert resolve_grid(STUDY, preset, {"depth": 9}).as_dict()["layer"] == (1, 3, 6)
    assert resolve_grid(STUDY, {**preset, "layer": (3, 6)}, {"depth": 2}).as_dict()["layer"] == (1,)


@pytest.mark.parametrize(
    ("grid", "field", "accepted"),
    [
        ({"depth": 5, "layer": 6}, "layer: got 6", "at most the largest depth, 5"),
        ({"depth": [2, 9], "layer": [4, 5]}, r"layer: got \[4, 5\]", "up to the smallest depth, 2"),
        ({"depth": 5, "layer": 0}, "layer: got 0", ">= 1|in \\[1"),
        ({"aspect": 1.0}, "axis: got 'aspect'", "an axis of countdown: width, depth, layer"),
    ],
)
def test_bad_layers_are_named(grid, field, accepted):
    with pytest.raises(InputError, match=field) as refused:
        resolve_grid(STUDY, {"width": (8,), "depth": (3,), "layer": (1,)}, grid)
    assert refused.match(accepted)
