"""What asv's table says: each line read, the factor of its kind applied, and an exit code for all of them.

A benchmark's name says what it measures, and with it how much more is a regression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CLEAN, SLOWER, BROKEN = 0, 1, 2


@dataclass(frozen=True)
class Kind:
    """What a benchmark measures, told by its name `module.Class.function`, and how much more is a regression."""

    name: str
    pattern: str
    factor: float


#: The first kind whose pattern is found in a benchmark's name is the benchmark's; each name must have one.
KINDS = (
    Kind("error, same number every time", r"^accuracy_\w+\..*\.track_", 1.05),
    Kind("count, same number every time", r"\.track_(normals|bytes)_", 1.05),
    Kind("memory", r"\.(peakmem|track_megabytes)_", 1.2),
    Kind("ratio of two timings in turns", r"\.track_\w+_over_\w+", 1.3),
    Kind("time", r"\.(time|track_\w*seconds)_\w+", 1.5),
)

Judgement = Literal["same", "slower", "crashed", "missing", "new", "other version", "not measured"]


@dataclass(frozen=True)
class Row:
    """One line of asv's table.

    Attributes:
        benchmark: `module.Class.function`, with its parameters in brackets where it has any.
        before, after: as asv shows them: a number with its unit, `n/a` (skipped or not there) or `failed`.
        ratio: after / before, NaN where either is missing.
        mark: asv's own; `x` where the benchmark itself has changed.
    """

    benchmark: str
    before: str
    after: str
    ratio: float
    mark: str = ""

    @property
    def kind(self) -> Kind:
        """The kind of the benchmark; ValueError where its name tells none."""
        name = self.benchmark.partition("(")[0]
        for kind in KINDS:
            if re.search(kind.pattern, name):
                return kind
        raise ValueError(f"{name}: its name says no kind of benchmarks/judge.py")

    @property
    def judgement(self) -> Judgement:
        """What the line says of the later commit."""
        if self.after == "failed":
            return "crashed"
        if self.after == "n/a":
            return "not measured" if self.before in ("n/a", "failed") else "missing"
        if self.before in ("n/a", "failed"):
            return "new"
        if self.mark == "x":
            return "other version"
        if self.ratio != self.ratio:
            raise ValueError(f"{self.benchmark}: asv gives no ratio of {self.before} and {self.after}")
        return "slower" if self.ratio > self.kind.factor else "same"


def parse(table: str) -> list[Row]:
    """The lines of all tables in the output of `asv compare`; ValueError where there is none that it understands."""
    rows = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|", 4)]
        if not line.startswith("|") or cells[0] == "Change" or all(re.fullmatch(":?-{2,}:?", cell) for cell in cells):
            continue
        if len(cells) != 5:
            raise ValueError(f"not a line of asv's table: {line}")
        mark, before, after, ratio, benchmark = cells
        rows.append(Row(benchmark, before, after, float("nan") if ratio == "n/a" else float(ratio.lstrip("~")), mark))
    if not rows:
        raise ValueError("asv compare gave no table")
    return rows


@dataclass(frozen=True)
class Report:
    """All lines, judged."""

    rows: tuple[Row, ...]

    def of(self, *judgements: Judgement) -> list[Row]:
        """Lines with one of these judgements, the largest ratio first."""
        return sorted((row for row in self.rows if row.judgement in judgements), key=lambda row: -row.ratio)

    def confirmed(self, again: Sequence[Row]) -> Report:
        """With what was measured again in place of what it bears out: the smaller ratio, or a crash."""
        second = {row.benchmark: row for row in again}
        return Report(tuple(_milder(row, second.get(row.benchmark, row)) for row in self.rows))

    @property
    def code(self) -> int:
        """Exit code of the gate. That no benchmark has numbers of both commits is an error too."""
        if self.of("crashed", "missing") or not self.of("same", "slower"):
            return BROKEN
        return SLOWER if self.of("slower") else CLEAN

    def text(self, base: str, head: str) -> str:
        """What to tell a person."""
        lines = [f"{head} against {base}:"]
        for row in self.of("slower"):
            kind = row.kind
            lines.append(
                f"  slower   x{row.ratio:.2f} (at most {kind.factor:.2f}, {kind.name})  {row.benchmark}: "
                f"{_short(row.before)} -> {_short(row.after)}"
            )
        for judgement in ("crashed", "missing"):
            lines += [f"  {judgement:8} {row.benchmark}: {row.before} -> {row.after}" for row in self.of(judgement)]
        counts = {j: len(self.of(j)) for j in ("same", "slower", "crashed", "missing", "new", "other version")}
        skipped = len(self.of("not measured"))
        lines.append("  " + ", ".join(f"{n} {j}" for j, n in counts.items() if n) + f"; {skipped} not measured")
        if not self.of("same", "slower"):
            lines.append("  nothing could be compared")
        return "\n".join(lines)


def _short(value: str) -> str:
    """A number as asv shows it with four digits; with its unit, it has few already."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def _milder(first: Row, again: Row) -> Row:
    return again if again.judgement == "crashed" or again.ratio < first.ratio else first
