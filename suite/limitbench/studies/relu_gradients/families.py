"""The architectures of `relu-gradients`, and the cells of a run that read one network at its layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from limitbench.studies.base import Cell
from limitbench.studies.evidence import CellEvidence, Evidence
from limitbench.theories.relu_gradients import Layers

#: Layers of the second half of an unequal network are this many times wider.
WIDER = 3


@dataclass(frozen=True)
class Family:
    """An MLP: its activation, the share of units that dropout keeps, and whether its second half is wider."""

    activation: str
    keep: float = 1.0
    unequal: bool = False

    @property
    def passing(self) -> float:
        """p, the probability that a unit is on."""
        return self.keep / 2 if self.activation == "relu" else self.keep

    def widths(self, width: int, depth: int) -> tuple[int, ...]:
        """Units of every layer."""
        wide = width * WIDER if self.unequal else width
        return (width,) * (depth - depth // 2) + (wide,) * (depth // 2)


MLPS: Mapping[str, Family] = {
    "relu": Family("relu"),
    "relu-unequal": Family("relu", unequal=True),
    "relu-dropout": Family("relu", 0.8),
    "linear": Family("linear"),
    "linear-dropout": Family("linear", 0.5),
}
#: Residual networks at alpha = lambda, and whether they are Balanced.
RESNETS: Mapping[str, bool] = {"resnet": False, "balanced": True}


def is_mlp(cell: Cell) -> bool:
    """Whether a cell's network is one of `MLPS`."""
    return str(cell["network"]) in MLPS


def layers_of(cell: Cell, *, whole: bool = False) -> Layers:
    """Widths, layer and p of an MLP's cell; `whole` reads it at its last layer instead."""
    family, depth = MLPS[str(cell["network"])], int(cell["depth"])
    return Layers(family.widths(int(cell["width"]), depth), depth if whole else int(cell["layer"]), family.passing)


def columns(evidence: Evidence, networks: Iterable[str] = tuple(MLPS)) -> list[Sequence[CellEvidence]]:
    """Cells of one width and depth in order of layers, by network, width and depth."""
    found: dict[tuple[str, int, int], list[CellEvidence]] = {}
    for network in networks:
        for cell in evidence.where(network=network):
            key = (network, int(cell.parameters["width"]), int(cell.parameters["depth"]))
            found.setdefault(key, []).append(cell)
    return [sorted(cells, key=lambda c: int(c.parameters["layer"])) for _, cells in sorted(found.items())]


def reads_ends(column: Sequence[CellEvidence]) -> bool:
    """Whether a column has the first layer and, apart from it, the last."""
    first, last = column[0].parameters, column[-1].parameters
    return first["layer"] == 1 < int(last["layer"]) == last["depth"]


def surviving(cell: CellEvidence) -> float:
    """Networks of a cell times the probability that one of them is alive."""
    drawn = int(cell.tree["run"]["n_samples"].isel(cell.at))
    return drawn * (1 - layers_of(cell.parameters, whole=True).death) if is_mlp(cell.parameters) else float(drawn)
