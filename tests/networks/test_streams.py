"""The seed of a batch names everything that is drawn: any one part changed gives another stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from limitbench.networks.base import Network
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.shaped_mlp import ShapedMLP


@dataclass(frozen=True)
class Draws(Network):
    """Records the seeds that its batches are drawn from."""

    depth: int = 3
    values: Mapping[str, object] = field(default_factory=lambda: {"width": 4, "rate": 0.5})
    family: ClassVar[str] = "draws"
    version: ClassVar[int] = 1

    @property
    def observables(self):
        return ("seed",)

    @property
    def parameters(self):
        return self.values

    def batch_size(self, sampler):
        return 1

    def sample_batch(self, seed, *, depths, sampler="exact", device="cpu", generator="torch"):
        return {"seed": np.full((1, len(depths)), float(seed))}


class OtherFamily(Draws):
    family = "other"


class OtherVersion(Draws):
    version = 2


class OfFinalDepth(Draws):
    depends_on_final_depth = True


BASE = Draws().batch_seed(0, 0, "exact")
CHANGED = {
    "spec seed": Draws().batch_seed(1, 0, "exact"),
    "batch": Draws().batch_seed(0, 1, "exact"),
    "sampler": Draws().batch_seed(0, 0, "dense"),
    "family": OtherFamily().batch_seed(0, 0, "exact"),
    "version": OtherVersion().batch_seed(0, 0, "exact"),
    "parameter": Draws(values={"width": 5, "rate": 0.5}).batch_seed(0, 0, "exact"),
    "other parameter": Draws(values={"width": 4, "rate": 0.25}).batch_seed(0, 0, "exact"),
    "final depth": OfFinalDepth().batch_seed(0, 0, "exact"),
}


@pytest.mark.parametrize("part", CHANGED)
def test_every_part_of_what_is_drawn_enters_the_seed(part):
    others = [BASE, *(seed for name, seed in CHANGED.items() if name != part)]
    assert CHANGED[part] not in others
    assert 0 <= CHANGED[part] < 2**63


def test_final_depth_enters_the_seed_only_where_the_law_depends_on_it():
    assert Draws(depth=4).batch_seed(0, 0, "exact") == BASE
    assert OfFinalDepth(depth=4).batch_seed(0, 0, "exact") != CHANGED["final depth"]


def test_order_of_the_parameters_does_not_enter_the_seed():
    assert Draws(values={"rate": 0.5, "width": 4}).batch_seed(0, 0, "exact") == BASE


@pytest.mark.parametrize("sampler", ["exact", "dense"])
def test_batches_are_drawn_from_their_own_seeds(sampler):
    drawn = Draws().sample(4, seed=3, sampler=sampler)["seed"].to_numpy()
    assert drawn.tolist() == [float(Draws().batch_seed(3, batch, sampler)) for batch in range(4)]


@pytest.mark.parametrize(
    "networks",
    [
        [DeepLinear(3, 8), DeepLinear(3, 9), DeepLinear(3, 8, outputs=3), DeepLinear(3, widths=(8, 8, 9))],
        [
            ShapedMLP(3, 8),
            ShapedMLP(3, 9),
            ShapedMLP(3, 8, c_plus=0.5),
            ShapedMLP(3, 8, c_minus=-0.5),
            ShapedMLP(3, 8, rate=1.0),
            ShapedMLP(3, 8, gram=((1.0, 0.1), (0.1, 1.0))),
        ],
    ],
    ids=["deep-linear", "shaped-mlp"],
)
def test_every_argument_of_the_families_enters_the_seed(networks):
    seeds = {network.batch_seed(0, 0, sampler) for network in networks for sampler in ("exact", "dense")}
    assert len(seeds) == 2 * len(networks)
