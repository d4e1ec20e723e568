"""What `limitbench run --dry-run` prints: the work of each study, what it takes on so many workers, and warnings.

Figures behind the warnings are those of `cluster/SCALE.md`, which says how each was measured.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from rich import box
from rich.table import Table

from limitbench.sweep.dry_run import Survey, Work
from limitbench.sweep.simulate import DriverCosts

#: Objects of one store beyond which listing, copying and removing it are matters of hours.
MOST_OBJECTS = 5_000_000
#: Units of one run beyond which the driver needs more than 6 GB.
MOST_UNITS = 1_000_000
#: Columns of one store beyond which its metadata slow every block and every reader down.
MOST_COLUMNS = 100_000
#: Bytes of samples beyond which scoring a column needs a large worker.
MOST_SCORE_BYTES = 2e9
#: Seconds of a block beyond which an interruption costs much, and resuming is coarse.
LONG_BLOCK = 3600.0


@dataclass(frozen=True)
class Estimate:
    """What the work that is left takes.

    Arguments:
        surveys: one a study; studies run one after the other.
        workers: worker processes.
        block_seconds: time limit of one attempt.
        price: of a core-hour, in any currency; None to leave it out.
    """

    surveys: Sequence[Survey]
    workers: int
    block_seconds: float
    price: float | None = None

    def seconds(self, work: Work) -> float:
        """Wall clock of one study's `work`: that of the workers, of the driver, or of the longest unit."""
        return max(work.seconds / self.workers, work.units * DriverCosts().unit, work.longest)

    def tables(self) -> list[Table]:
        """What there is, what the store will hold, and what the work that is left takes; the last row is the sum."""
        rows = [_Row(s.study, s.cells, s.columns, s.whole, s.left, s.array_bytes, s.objects) for s in self.surveys]
        seconds = [self.seconds(s.left) for s in self.surveys]
        if len(rows) > 1:
            rows.append(sum(rows[1:], rows[0]).named("in all"))
            seconds.append(sum(seconds))
        work = _table("study", "cells", "columns", "blocks + scores", "networks")
        store = _table("study", "bytes", "objects", "units stored", "units left")
        cost = _table("study", "core-hours", "per 1,000 cells", "longest unit", f"on {self.workers:,} workers")
        if self.price is not None:
            cost.add_column("price", justify="right")
        for row, wall in zip(rows, seconds, strict=True):
            whole, left = row.whole, row.left
            units = f"{whole.blocks:,} + {whole.scores:,}"
            work.add_row(row.study, f"{row.cells:,}", f"{row.columns:,}", units, f"{whole.networks:,}")
            stored = f"{whole.units - left.units:,}"
            store.add_row(row.study, _bytes(row.array_bytes), f"{row.objects:,}", stored, f"{left.units:,}")
            hours = left.seconds / 3600
            price = [] if self.price is None else [f"{hours * self.price:,.2f}"]
            per_cells = _number(hours * 1000 / max(1, row.cells))
            cost.add_row(row.study, _number(hours), per_cells, _duration(left.longest), _duration(wall), *price)
        return [work, store, cost]

    def notes(self) -> list[str]:
        """What the figures rest on, and warnings."""
        notes = []
        for s in self.surveys:
            if s.least is not None and s.left.blocks:
                least = f"{s.least.networks:,} networks, {_number(s.least.seconds / 3600)} core-hours"
                notes.append(f"{s.study}: at most so; {least} where all verdicts are clear after one block a column")
            if s.calibration.units:
                ratios = f"{s.calibration.blocks:.2g} for blocks, {s.calibration.scores:.2g} for scores"
                notes.append(f"{s.study}: seconds as measured over predicted in {s.calibration.units} units: {ratios}")
            notes += [f"warning: {s.study}: {text}" for text in self._warnings(s)]
        if any(not s.calibration.units and s.left.units for s in self.surveys):
            notes.append("core-hours by the cost model, right within a factor of about 2 for blocks; a run of a few")
            notes[-1] += " blocks into the same --out makes them those of your machines"
        return notes

    def _warnings(self, s: Survey) -> list[str]:
        found = []
        left, mean = s.left, s.left.seconds / max(1, s.left.units)
        if left.longest > self.block_seconds:
            found.append(
                f"a unit takes {_duration(left.longest)}, above --block-seconds {self.block_seconds:g}:"
                " it would be stopped and set aside"
            )
        elif left.longest > LONG_BLOCK:
            found.append(f"a unit takes {_duration(left.longest)}; whatever interrupts it costs as much")
        if left.units and mean < (shortest := self.workers * DriverCosts().unit):
            found.append(
                f"units of {_duration(mean)} keep {self.workers:,} workers waiting for the driver, which serves"
                f" {1 / DriverCosts().unit:,.0f} units a second; from {_duration(shortest)} on they are busy"
            )
        if left.seconds and left.seconds / self.workers < left.longest:
            found.append(
                f"more than {max(1, int(left.seconds / left.longest)):,} workers would wait for the longest unit"
            )
        if s.score_bytes > MOST_SCORE_BYTES:
            found.append(
                f"scoring a column reads {_bytes(s.score_bytes)} of samples, and holds twice as much for a while"
            )
        limits = (("units", s.whole.units, MOST_UNITS), ("columns", s.columns, MOST_COLUMNS))
        for what, number, most in (*limits, ("objects", s.objects, MOST_OBJECTS)):
            if number > most:
                found.append(f"{number:,} {what} in one store, above {most:,}: split the grid over several --out")
        return found


@dataclass(frozen=True)
class _Row:
    study: str
    cells: int
    columns: int
    whole: Work
    left: Work
    array_bytes: int
    objects: int

    def __add__(self, other: _Row) -> _Row:
        sums = (getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[1:])
        return _Row(self.study, *sums)

    def named(self, study: str) -> _Row:
        """The same amounts under another name."""
        return replace(self, study=study)


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=not number, justify="right" if number else "left")
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _bytes(size: float) -> str:
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = min(len(units) - 1, int(math.log10(max(1.0, size)) / 3))
    return f"{size / 1000**power:.3g} {units[power]}"
