"""Deep linear networks whose units are kept with probability p: how the squared norm of a signal fluctuates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from limitbench.networks.base import Network
from limitbench.statistics.laws import Law, Normal
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence, missing, moment_claim
from limitbench.studies.figures import Series, StudyFigure
from limitbench.theories.base import Theory


@dataclass(frozen=True)
class GatedLinear(Network):
    """Of each layer's n units every one is kept with probability p, and scaled by p^-1/2: ln |z_d|^2/|z_0|^2."""

    depth: int
    width: int
    keep: float = 0.5
    family, version, observables = "gated-linear", 1, ("log_norm",)

    @property
    def parameters(self) -> dict[str, object]:
        return {"width": self.width, "keep": self.keep}

    def batch_size(self, sampler: str) -> int:
        return 128

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: str = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, np.ndarray]:
        layers, random = np.empty((depths[-1], 128)), np.random.Generator(np.random.SFC64(seed))
        for layer in layers:  # one by one: a deeper pass continues a shallower one
            kept = random.binomial(self.width, self.keep, 128)
            layer[:] = np.where(kept, random.chisquare(np.maximum(kept, 1)) / (self.width * self.keep), np.nan)
        return {"log_norm": np.log(layers).cumsum(axis=0)[np.array(depths) - 1].T}


@dataclass(frozen=True)
class GatedLimit(Theory):
    """ln |z_d|^2/|z_0|^2 ~ N(-s/2, s) with s = (3/p - 1) t, t = d/n."""

    time: float
    keep: float = 0.5
    name, title, reference = "gated-limit", "log-normal limit", "Hanin & Nica 2018, arXiv 1812.05994"
    time_variable, validity, observables = "t = d/n", "width to infinity at fixed d/n", ("log_norm",)

    def _law(self, observable: str) -> Law:
        variance = (3 / self.keep - 1) * self.time
        return Normal(-variance / 2, math.sqrt(variance))


def _time(cell: Cell) -> float:
    return float(cell["depth"]) / float(cell["width"])


def claims(tree: xr.DataTree) -> list[Claim]:
    evidence, name, text = Evidence(STUDY, tree), "variance", "The variance at p = 1/2 and d = n is 5."
    if not (cells := evidence.where(alpha=1.0, keep=0.5)):
        return [missing(name, text, 5.0, "keep = 0.5 at depth = width")]
    return [moment_claim(evidence, cells[-1], "log_norm", "variance", 5.0, name=name, text=text, theory="gated-limit")]


def figures(tree: xr.DataTree) -> list[StudyFigure]:
    cells = Evidence(STUDY, tree).where(keep=0.5)
    if not cells:
        return []
    times, variances = np.array([(_time(cell.parameters), cell.samples("log_norm").var()) for cell in cells]).T
    curves = (Series("networks", times, variances), Series("5t", times, 5 * times, "theory", theory="gated-limit"))
    return [StudyFigure("variance", "Variance", "t = d/n", "variance", curves, "At p = 1/2 it grows as 5t.")]


KEEP = Axis("keep", "float", (0.5,), "Probability that a unit is kept.", lower=0.0, upper=1.0, symbol="p")
STUDY = Study(
    name="gated-linear-norm",
    version=1,
    title="The norm in gated linear networks",
    question="Does the norm of gated linear networks follow the log-normal limit?",
    reference="Hanin & Nica 2018, arXiv 1812.05994",
    axes=(KEEP, WIDTH, ASPECT, DEPTH),
    observables=("log_norm",),
    network=lambda cell: GatedLinear(int(cell["depth"]), int(cell["width"]), float(cell["keep"])),
    theories=(
        StudyTheory("gated-limit", "log-normal limit", lambda cell: GatedLimit(_time(cell), float(cell["keep"]))),
        StudyTheory("ungated", "all units kept", lambda cell: GatedLimit(_time(cell), 1.0)),
    ),
    presets={"quick": Preset({"keep": (0.5, 0.8), "width": (64, 128), "aspect": (0.5, 1.0)}, samples=16384)},
    claims=claims,
    figures=figures,
)

# Shaped networks at the critical rate keep every unit in the limit: p = 1.
IN_SHAPED_RELU = StudyTheory(
    "gated-limit",
    "gated limit at p = 1",
    lambda cell: GatedLimit(_time(cell), 1.0),
    lambda cell: None if cell["rate"] == 0.5 else "rate other than 1/2",
)
