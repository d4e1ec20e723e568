"""A study small enough for tests: normal variables, one law that is right and one that is a point mass.

The `fault` axis makes chosen networks misbehave, so that executors can be tested on real failures.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.networks.base import Network, Sampler
from limitbench.numerics.random import Stream
from limitbench.statistics.laws import Law
from limitbench.studies.base import Axis, Claim, Preset, Study, StudyTheory
from limitbench.theories.base import Theory

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class ToyNetwork(Network):
    """A random walk of `depth` normal steps of variance 1/width; `fault` says how sampling goes wrong."""

    depth: int
    width: int
    fault: str = "none"
    family: ClassVar[str] = "toy"
    version: ClassVar[int] = 1

    @property
    def observables(self) -> tuple[str, ...]:
        """The walk and its square."""
        return ("walk", "square")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width and fault."""
        return {"width": self.width, "fault": self.fault}

    def batch_size(self, sampler: Sampler) -> int:
        """32 networks."""
        return 32

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """Cumulative sums of normals, or the fault."""
        match self.fault:
            case "raise":
                raise ArithmeticError("this network always raises")
            case "exit":
                os._exit(3)
            case "segfault":
                ctypes.string_at(0)
            case "hang":
                time.sleep(3600)
            case "slow":
                time.sleep(0.05)
            case "memory":
                _hold(2.0)
        size = (self.batch_size(sampler), depths[-1])
        steps = Stream(seed, device, generator).normal_(torch.empty(size, dtype=torch.float64, device=device))
        walk = (steps.cumsum(1) / self.width**0.5).cpu().numpy()[:, np.array(depths) - 1]
        return {"walk": walk, "square": walk**2}


def _hold(gib: float) -> None:
    """Take that much memory, page by page, and keep it for a while."""
    pieces = [np.ones(2**23) for _ in range(round(gib * 16))]
    time.sleep(0.5)
    del pieces


@dataclass(frozen=True)
class NormalLaw(Law):
    """A normal law with mean zero."""

    scale: float

    @property
    def mean(self) -> float:
        """Zero."""
        return 0.0

    @property
    def std(self) -> float:
        """The scale."""
        return self.scale

    def cdf(self, x: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """Φ(x / scale)."""
        return np.asarray(ndtr(np.asarray(x) / self.scale))

    def quantile(self, u: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """scale Φ⁻¹(u)."""
        return np.asarray(self.scale * ndtri(u))


@dataclass(frozen=True)
class ToyTheory(Theory):
    """The walk is normal with variance `time`."""

    time_: float
    name: ClassVar[str] = "normal"
    title: ClassVar[str] = "normal"
    reference: ClassVar[str] = "none"
    time_variable: ClassVar[str] = "t = l/n"
    validity: ClassVar[str] = "everywhere"

    @property
    def observables(self) -> tuple[str, ...]:
        """The walk only."""
        return ("walk",)

    def _law(self, observable: str) -> Law:
        return NormalLaw(self.time_**0.5)


def _claims(tree: xr.DataTree) -> list[Claim]:
    walk = tree["samples"]["walk"].to_numpy()
    drawn = walk[np.isfinite(walk)]
    measured = float(drawn.mean()) if drawn.size else float("nan")
    return [
        Claim("mean", "the walk has mean zero", 0.0, measured, 0.1, "holds" if abs(measured) < 0.5 else "undecided")
    ]


#: How a network may misbehave: it raises, ends its process, crashes, never ends, is slow, takes 2 GiB of memory.
FAULTS = ("none", "raise", "exit", "segfault", "hang", "slow", "memory")

STUDY = Study(
    name="toy",
    version=1,
    title="A random walk",
    question="Is a sum of normals normal?",
    reference="none",
    axes=(
        Axis("width", "int", (4,), "width", lower=1, symbol="n"),
        Axis("fault", "str", ("none",), "how it fails", choices=FAULTS),
        Axis("depth", "int", (2, 4), "depth", lower=1, symbol="d"),
        Axis("aspect", "float", (0.5, 1.0), "depth over width", lower=0, symbol="d/n"),
    ),
    observables=("walk", "square"),
    network=lambda cell: ToyNetwork(int(cell["depth"]), int(cell["width"]), str(cell["fault"])),
    theories=(
        StudyTheory("normal", "normal", lambda cell: ToyTheory(float(cell["depth"]) / float(cell["width"]))),
        StudyTheory(
            "wide",
            "twice the variance, deep networks only",
            lambda cell: ToyTheory(2 * float(cell["depth"]) / float(cell["width"])),
            lambda cell: "depth below 3" if int(cell["depth"]) < 3 else None,
        ),
    ),
    presets={
        "quick": Preset({"width": (4, 8), "depth": (2, 4)}, samples=128, samples_at={8: 192}),
        "standard": Preset({"width": (4, 8, 16), "depth": (2, 4, 8)}, samples=256),
        "full": Preset({"width": (4, 8, 16), "depth": (2, 4, 8)}, samples=512),
    },
    claims=_claims,
    block_samples={"exact": 64, "dense": 64},
)
