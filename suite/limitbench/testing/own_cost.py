"""What a sweep costs beside drawing: a run over blocks of networks that take no time, on Ray, timed as a whole.

Everything counts: starting workers, dispatching, chunks, markers, books, scores of the columns, finalising.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.networks.base import Network, Sampler
from limitbench.studies.base import Axis, Claim, Preset, Study, StudyTheory
from limitbench.sweep.ray_session import ray_session
from limitbench.sweep.run import run
from limitbench.testing.toy import ToyTheory

if TYPE_CHECKING:
    import xarray as xr

BATCH = 32


@dataclass(frozen=True)
class TrivialNetwork(Network):
    """Draws a few numbers and nothing more."""

    depth: int
    width: int
    family: ClassVar[str] = "trivial"
    version: ClassVar[int] = 1

    @property
    def observables(self) -> tuple[str, ...]:
        """One."""
        return ("walk",)

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width."""
        return {"width": self.width}

    def batch_size(self, sampler: Sampler) -> int:
        """32 networks."""
        return BATCH

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """Normals, independent from depth to depth."""
        return {"walk": np.random.default_rng(seed).standard_normal((BATCH, len(depths)))}


def _claims(tree: xr.DataTree) -> list[Claim]:
    return []


STUDY = Study(
    name="trivial",
    version=1,
    title="Blocks that take no time",
    question="What does a sweep cost beside drawing?",
    reference="none",
    axes=(
        Axis("width", "int", (1,), "which column", lower=1, symbol="n"),
        Axis("depth", "int", (1,), "depth", lower=1, symbol="d"),
    ),
    observables=("walk",),
    network=lambda cell: TrivialNetwork(int(cell["depth"]), int(cell["width"])),
    theories=(StudyTheory("normal", "normal", lambda cell: ToyTheory(1.0)),),
    presets={"quick": Preset({"width": (1,), "depth": (1,)}, samples=BATCH)},
    claims=_claims,
    block_samples={"exact": BATCH, "dense": BATCH},
)


@dataclass(frozen=True)
class OwnCost:
    """What `measure_own_cost` found.

    Attributes:
        block: seconds of a worker a block: wall clock times workers, over blocks. Each block stores one array.
        driver_bytes: growth of the driver's peak memory over the run.
    """

    block: float
    driver_bytes: int


def measure_own_cost(blocks: int = 20_000, workers: int = 2, columns: int = 10) -> OwnCost:
    """The cost of a sweep of `blocks` trivial blocks, on the Ray that is connected or one of this machine.

    Takes about 2 ms a block on two quiet cores, after 20 s for Ray to start and a small run before.
    """
    with ray_session(workers=workers), tempfile.TemporaryDirectory(prefix="limitbench-") as folder:
        _sweep(Path(folder) / "first", columns, columns, workers)
        before, began = _peak(), time.perf_counter()
        _sweep(Path(folder) / "second", blocks, columns, workers)
        return OwnCost((time.perf_counter() - began) * workers / blocks, _peak() - before)


def _sweep(out: Path, blocks: int, columns: int, workers: int) -> None:
    grid = {"width": list(range(1, columns + 1)), "depth": [1]}
    tree = run(STUDY, grid, samples=BATCH * -(-blocks // columns), out=out, executor="ray", workers=workers)
    states = tree["run"].to_dataset()
    if (states["status"] != "done").any():
        raise RuntimeError(f"blocks were set aside: {states['error'].to_numpy().ravel()[0]}")


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
