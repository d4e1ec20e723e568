"""What one run found, as it is kept in JSON: seconds of every contender in every round, moments, versions, machine."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: Standard errors within which two simulations have the same moments.
SAME_LAW = 4.5


@dataclass(frozen=True)
class Measured:
    """One contender: CPU seconds a unit in each round, or why there are none.

    Arguments:
        label, ours: its name; whether it is limitbench.
        seconds: CPU seconds a unit, one per round; empty where there is an error.
        wall: wall over CPU seconds of all rounds: 1 on a quiet machine.
        first: CPU seconds of the first call, with whatever it compiles.
        moments: of each observable, as `programs/serve.py` makes them.
        versions: of the packages that do the work.
        error: why it is missing.
        law_error: why there are no moments.
    """

    label: str
    ours: bool
    seconds: tuple[float, ...] = ()
    wall: float = math.nan
    first: float = math.nan
    moments: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str | None = None
    law_error: str | None = None

    @property
    def median(self) -> float:
        """Median seconds a unit; NaN where there are none."""
        return statistics.median(self.seconds) if self.seconds else math.nan


@dataclass(frozen=True)
class Result:
    """All contenders of one comparison."""

    name: str
    group: str
    title: str
    unit: str
    settings: dict[str, Any]
    measured: tuple[Measured, ...]

    @property
    def ours(self) -> tuple[Measured, ...]:
        """limitbench, one for each generator."""
        return tuple(m for m in self.measured if m.ours)

    @property
    def peers(self) -> tuple[Measured, ...]:
        """All others."""
        return tuple(m for m in self.measured if not m.ours)


def speedup(peer: Measured, ours: Measured) -> float:
    """Median over rounds of the peer's seconds over ours; NaN where either is missing."""
    pairs = list(zip(peer.seconds, ours.seconds, strict=False))
    return statistics.median(theirs / mine for theirs, mine in pairs) if pairs else math.nan


def distance(peer: Measured, ours: Measured) -> float:
    """Largest difference of a mean or variance in combined standard errors; NaN where there is nothing to compare."""
    largest = math.nan
    for name in peer.moments.keys() & ours.moments.keys():
        a, b = peer.moments[name], ours.moments[name]
        mean_se = math.sqrt(a["variance"] / a["count"] + b["variance"] / b["count"])
        spread_se = math.sqrt(sum((m["fourth"] - m["variance"] ** 2) / m["count"] for m in (a, b)))
        for key, se in (("mean", mean_se), ("variance", spread_se)):
            largest = max(abs(a[key] - b[key]) / se, 0.0 if math.isnan(largest) else largest)
    return largest


@dataclass(frozen=True)
class Run:
    """One run of comparisons on one machine."""

    date: str
    machine: str
    python: str
    results: tuple[Result, ...]

    @property
    def rounds(self) -> int:
        """Turns of each contender, at least."""
        return min((len(m.seconds) for result in self.results for m in result.measured if m.seconds), default=0)

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_plain(dataclasses.asdict(self)), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> Run:
        """The run that `save` wrote."""
        raw = json.loads(path.read_text())
        results = tuple(
            Result(**row | {"measured": tuple(_measured(entry) for entry in row["measured"])}) for row in raw["results"]
        )
        return Run(**raw | {"results": results})

    def versions(self) -> dict[str, dict[str, str]]:
        """Versions of the packages behind each label, first seen first."""
        return {m.label: m.versions for result in self.results for m in result.measured if m.versions}


def _measured(raw: dict[str, Any]) -> Measured:
    numbers = {key: math.nan if raw[key] is None else raw[key] for key in ("wall", "first")}
    return Measured(**raw | numbers | {"seconds": tuple(raw["seconds"])})


def _plain(value: Any) -> Any:
    """`value` with five significant digits, and None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def machine() -> str:
    """Processor and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def today() -> str:
    """Date of the run."""
    return datetime.now(UTC).date().isoformat()
