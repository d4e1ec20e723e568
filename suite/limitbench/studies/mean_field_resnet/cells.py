"""Cells of `mean-field-resnet` by activation and architecture: widths and layers of one setting, and its recurrences.

A setting is everything but width and layer; where a run has several, the one with the most widths, the deepest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypedDict

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Cell, Value
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.studies.measured import column_values
from limitbench.theories.mean_field import MeanField, Trajectory
from limitbench.theories.mean_field.recurrence import Architecture

FULL: Final = "full"
PLAIN: Final = "plain"
REDUCED: Final = "reduced"
NETWORKS: tuple[Architecture, ...] = (FULL, PLAIN, REDUCED)
WORDS = {FULL: "full residual network", REDUCED: "reduced residual network", PLAIN: "plain network"}
SIGMAS = ("sigma_v2", "sigma_w2", "sigma_a2", "sigma_b2")
#: The variances that the setting of the paper's figures is recalled to have.
DEFAULTS = {"sigma_v2": 1.5, "sigma_w2": 1.69, "sigma_a2": 0.5, "sigma_b2": 0.49}


class Sigmas(TypedDict):
    """Variances of a network's parameters."""

    sigma_v2: float
    sigma_w2: float
    sigma_a2: float
    sigma_b2: float


def architecture(cell: Cell) -> Architecture:
    """Full, plain or reduced."""
    (network,) = (name for name in NETWORKS if name == cell["network"])
    return network


def sigmas(cell: Cell) -> Sigmas:
    """The variances of a cell."""
    v, w, a, b = (float(cell[name]) for name in SIGMAS)
    return {"sigma_v2": v, "sigma_w2": w, "sigma_a2": a, "sigma_b2": b}


def field(cell: Cell) -> MeanField:
    """The recurrences of a cell's architecture."""
    return MeanField(architecture(cell), str(cell["activation"]), **sigmas(cell))


@lru_cache(maxsize=256)
def trajectory(recurrences: MeanField, depth: int, rho0: float) -> Trajectory:
    """Layers 0 .. depth of two inputs of unit mean square."""
    return recurrences.run(depth, rho0=rho0)


@dataclass(frozen=True, eq=False)
class Columns:
    """The cells of one activation and architecture at one setting.

    Attributes:
        by_width: cells of each width in order of layer; all widths have the same layers.
    """

    by_width: dict[int, list[CellEvidence]]

    @property
    def parameters(self) -> dict[str, Value]:
        """Of the first cell: width and layer aside, those of all."""
        return next(iter(self.by_width.values()))[0].parameters

    @property
    def cells(self) -> list[CellEvidence]:
        """All of them."""
        return [cell for cells in self.by_width.values() for cell in cells]

    @property
    def widths(self) -> Float[np.ndarray, " widths"]:
        """Narrow to wide."""
        return np.array(list(self.by_width), dtype=float)

    @property
    def layers(self) -> list[int]:
        """Recorded layers, increasing."""
        return [int(cell.parameters["layer"]) for cell in next(iter(self.by_width.values()))]

    @property
    def depth(self) -> int:
        """Blocks L."""
        return int(self.parameters["depth"])

    @property
    def widest(self) -> list[CellEvidence]:
        """Cells of the largest width."""
        return self.by_width[max(self.by_width)]

    @property
    def narrowest(self) -> list[CellEvidence]:
        """Cells of the smallest width."""
        return self.by_width[min(self.by_width)]

    @property
    def recurrences(self) -> MeanField:
        """Theory of these cells."""
        return field(self.parameters)

    @property
    def trajectory(self) -> Trajectory:
        """The recurrences along the layers 0 .. L."""
        return trajectory(self.recurrences, self.depth, float(self.parameters["rho0"]))

    def index(self, layer: int) -> int | None:
        """Where `layer` is among the recorded ones, None where it is not."""
        return self.layers.index(layer) if layer in self.layers else None

    def values(self, observable: str) -> dict[int, Float[np.ndarray, "layers networks"]]:
        """All networks by width, NaN where undefined."""
        return {width: column_values(cells, observable) for width, cells in self.by_width.items()}

    def logs(self, observable: str) -> Float[np.ndarray, " layers"]:
        """The recurrences' value of a logarithmic observable at the recorded layers."""
        return predicted(self.trajectory, observable, self.layers)

    def setting(self) -> str:
        """Depth and variances in words."""
        shown = SIGMAS if self.parameters["network"] == FULL else ("sigma_w2", "sigma_b2")
        symbols = {"sigma_v2": "σ_v²", "sigma_w2": "σ_w²", "sigma_a2": "σ_a²", "sigma_b2": "σ_b²"}
        return ", ".join([f"L = {self.depth}", *(f"{symbols[name]} = {self.parameters[name]:g}" for name in shown)])


def predicted(path: Trajectory, observable: str, layers: Sequence[int]) -> Float[np.ndarray, " layers"]:
    """The value of `observable` at `layers` by the recurrences; `log_chi` is read at the input of a block."""
    at = np.array(layers)
    match observable:
        case "log_length":
            return np.asarray(path.log_p[at])
        case "log_preactivation":
            return np.asarray(path.log_q[at])
        case "covariance_12":
            return np.asarray(path.gamma[at])
        case "log_chi":
            return np.asarray(path.log_chi[at - 1])
        case _:
            return np.asarray(getattr(path, observable)[at])


def columns_of(evidence: Evidence, activation: str, network: str) -> Columns | None:
    """The setting with the most widths, the deepest of several; None where the run has no such cells."""
    settings: dict[tuple[Value, ...], dict[int, list[CellEvidence]]] = {}
    for cell in evidence.where(activation=activation, network=network):
        key = tuple(cell.parameters[name] for name in (*SIGMAS, "rho0", "depth"))
        settings.setdefault(key, {}).setdefault(int(cell.parameters["width"]), []).append(cell)
    if not settings:
        return None
    chosen = max(settings, key=lambda key: (len(settings[key]), key[-1]))
    return Columns({width: _by_layer(settings[chosen][width]) for width in sorted(settings[chosen])})


def _by_layer(cells: list[CellEvidence]) -> list[CellEvidence]:
    return sorted(cells, key=lambda cell: int(cell.parameters["layer"]))


def activations(evidence: Evidence) -> list[str]:
    """Activations that the run has, sorted."""
    return sorted({str(cell.parameters["activation"]) for cell in evidence.cells})
