"""Units of work: blocks of samples (a column x a whole number of batches), and the scoring of one column.

Pure data: picklable, small, and named so that a marker can be found again after the arrays were laid out anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from limitbench.networks.base import Network
from limitbench.sweep.grid import Column


@dataclass(frozen=True)
class SampleUnit:
    """One block: networks `number * samples` to `(number + 1) * samples - 1` of a column.

    Attributes:
        column: the cells that share the networks.
        position: index of the column along every axis but the last.
        number: which block of the column.
        samples: networks in the block.
        cost: depth x width x samples, for longest-first order.
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
        cost: infinite, so that scores follow their column at once.
    """

    column: Column
    position: tuple[int, ...]
    blocks: tuple[int, ...]
    checksums: tuple[dict[str, str], ...]
    cost: float = float("inf")

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


def column_blocks(column: Column, position: tuple[int, ...], samples: int, block_samples: int) -> list[SampleUnit]:
    """All blocks of a column with `samples` networks."""
    width = dict(column.point).get("width", 1)
    cost = float(column.depths[-1]) * (width if isinstance(width, int) else 1) * block_samples
    return [SampleUnit(column, position, k, block_samples, cost) for k in range(samples // block_samples)]


def block_batches(unit: SampleUnit, batch_size: int) -> range:
    """Numbers of the batches that make up the block."""
    per_block = unit.samples // batch_size
    return range(unit.number * per_block, (unit.number + 1) * per_block)


def recording_network(network: Network, column: Column) -> bool:
    """True where one pass to the deepest cell gives the whole column."""
    return not network.depends_on_final_depth or len(column.depths) == 1
