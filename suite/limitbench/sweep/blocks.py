"""Units of work: blocks of samples (a column x a whole number of batches), and the scoring of one column.

Pure data: picklable, small, and named so that a marker can be found again after the arrays were laid out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limitbench.networks.base import Network
from limitbench.sweep.grid import Column


@dataclass(frozen=True, slots=True)
class SampleUnit:
    """One block: networks `number * samples` to `(number + 1) * samples - 1` of a column.

    Attributes:
        column: the cells that share the networks, those that are to be drawn alone.
        position: index of the column along every axis but the last.
        number: which block of the column.
        samples: networks in the block.
        cost: estimated seconds, for longest-first order and the time left.
    """

    column: Column
    position: tuple[int, ...]
    number: int
    samples: int
    cost: float

    @property
    def id(self) -> str:
        """Name of the marker."""
        return block_id(self.column, self.number)


@dataclass(frozen=True)
class ScoreUnit:
    """Laws and scores of one column, from the blocks that are finished.

    Attributes:
        column, position: as in `SampleUnit`.
        blocks: numbers of the blocks to score.
        checksums: of each block, by observable.
        cost: estimated seconds. Scores go before any block, so that they follow their column at once.
        looks: position of the look at which each cell stands, which says how many of the blocks are its own; the last
            one where it is left out.
    """

    column: Column
    position: tuple[int, ...]
    blocks: tuple[int, ...]
    checksums: tuple[dict[str, str], ...]
    cost: float
    looks: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """Name of the marker."""
        return score_id(self.column)


Unit = SampleUnit | ScoreUnit


def block_id(column: Column, number: int) -> str:
    """Name of a block's marker."""
    return f"{column.slug}.b{number:06d}"


def score_id(column: Column) -> str:
    """Name of the marker of a column's scores."""
    return f"{column.slug}.scores"


def column_blocks(
    column: Column, position: tuple[int, ...], samples: int, block_samples: int, network_seconds: float
) -> list[SampleUnit]:
    """All blocks of a column with `samples` networks, each estimated at `network_seconds`."""
    cost = network_seconds * block_samples
    return [SampleUnit(column, position, k, block_samples, cost) for k in range(samples // block_samples)]


def score_seconds(column: Column, networks: int, laws: int) -> float:
    """Estimated seconds to score a column against `laws` laws in each cell: 5 ms a law, 0.3 µs a network and law."""
    return len(column.cells) * laws * (0.005 + 3e-7 * networks)


def urgency(unit: Unit) -> tuple[bool, float]:
    """Sorts units: scores first, then blocks by cost, longest first."""
    return isinstance(unit, SampleUnit), -unit.cost


def block_batches(unit: SampleUnit, batch_size: int) -> range:
    """Numbers of the batches that make up the block."""
    per_block = unit.samples // batch_size
    return range(unit.number * per_block, (unit.number + 1) * per_block)


def one_pass(networks: Sequence[Network]) -> bool:
    """True where one pass through the last, deepest network gives all of a column: they differ in depth alone."""
    return all(
        not network.depends_on_final_depth
        and network.family == networks[-1].family
        and network.parameters == networks[-1].parameters
        for network in networks[:-1]
    )
