"""Accuracy and cost over commits: the result files of asv as lines with their steps marked.

Everything that asv tracks here is better when it is smaller. A step is a commit at which values rise (or fall) by more
than the factor of their kind: from one measurement to the next where every run gives the same number, else so that two
in turn are above all of the two before.
"""

from __future__ import annotations

import datetime
import itertools
import json
import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from limitbench.errors import InputError

#: What a benchmark's name says it measures, the factor beyond which a change is a step, and the number of measurements
#: on either side that decide: the first that matches. Errors and counts are the same every time.
KINDS = (
    (r"^accuracy_\w+\..*\.track_", 1.05, 1),
    (r"\.track_(normals|bytes)_", 1.05, 1),
    (r"\.(peakmem|track_megabytes)_", 1.2, 2),
    (r"\.track_\w+_over_\w+", 1.3, 2),
    (r"", 1.5, 2),
)
Part = Literal["accuracy", "cost"]


@dataclass(frozen=True)
class Commit:
    """A commit that was measured: its hash, day (ISO, UTC) and first line, empty where its repository is not there."""

    hash: str
    date: str
    subject: str = ""

    @property
    def words(self) -> str:
        """`1a2b3c4d, 2026-01-31, subject`."""
        return ", ".join(filter(None, (self.hash[:8], self.date, self.subject)))


@dataclass(frozen=True)
class Step:
    """A change of one case at one commit.

    Attributes:
        commit: from which on the values are others.
        position: of the commit in the history.
        before, after: medians of the measurements around it; `after` is NaN where the benchmark fails from then on.
        worse: whether the values are larger.
        once: whether it rests on one later measurement, of two that it takes.
        gradual: whether the values rose little by little from this commit on, by no more than noise at any of them.
    """

    commit: Commit
    position: int
    before: float
    after: float
    worse: bool
    once: bool = False
    gradual: bool = False


@dataclass(frozen=True)
class Line:
    """One case of a benchmark over the commits.

    Attributes:
        case: values of its parameters, empty where it has none.
        values: one a commit: NaN where nothing was measured, infinite where the benchmark failed.
        versions: of the benchmark's own code; values of different versions are not comparable.
    """

    case: str
    values: tuple[float, ...]
    versions: tuple[str, ...]

    def steps(self, commits: Sequence[Commit], factor: float, window: int) -> list[Step]:
        """Where the values change by more than `factor`, for `window` measurements, and where the benchmark fails."""
        found: list[Step] = []
        measured = [k for k, value in enumerate(self.values) if not math.isnan(value)]
        for _, members in itertools.groupby(measured, key=lambda k: self.versions[k]):
            places, start = list(members), 0
            values = [self.values[k] for k in places]
            for i in range(1, len(places)):
                before, after = values[max(start, i - window) : i], values[i : i + window]
                if (worse := min(after) > factor * max(before)) or factor * max(after) < min(before):
                    once = len(after) < window and math.isfinite(max(after))
                    found.append(Step(commits[places[i]], places[i], _median(before), _settled(after), worse, once))
                    start = i
            before, after = values[start : start + window], values[-window:]
            if len(values) - start >= 2 * window and min(after) > factor * max(before):
                first = places[start]
                found.append(Step(commits[first], first, _median(before), _settled(after), True, gradual=True))
        return found

    @property
    def latest(self) -> float:
        """The last measurement, NaN where there is none or the benchmark failed."""
        known = [value for value in self.values if not math.isnan(value)]
        return known[-1] if known and math.isfinite(known[-1]) else math.nan

    @property
    def first(self) -> float:
        """The first measurement by the present version of the benchmark."""
        last = next((v for v in reversed(self.versions) if v), "")
        return next(
            (x for x, v in zip(self.values, self.versions, strict=True) if v == last and math.isfinite(x)), math.nan
        )


@dataclass(frozen=True)
class Track:
    """One benchmark: name, unit, a line for each case."""

    name: str
    unit: str
    lines: tuple[Line, ...]
    commits: tuple[Commit, ...] = field(repr=False)

    @property
    def part(self) -> Part:
        """Whether it measures an error or a cost."""
        return "accuracy" if re.search(KINDS[0][0], self.name) else "cost"

    @property
    def kind(self) -> tuple[float, int]:
        """How much more is a step, and for how many measurements."""
        return next((factor, window) for pattern, factor, window in KINDS if re.search(pattern, self.name))

    @property
    def title(self) -> str:
        """`cdf error` of `module.Class.track_cdf_error`."""
        return re.sub(r"^(track|time|peakmem|mem)_", "", self.name.rpartition(".")[2]).replace("_", " ")

    @property
    def place(self) -> str:
        """`module.Class`."""
        return self.name.rpartition(".")[0]

    @cached_property
    def steps(self) -> list[tuple[Line, Step]]:
        """Steps of all cases in the order of commits."""
        found = [(line, step) for line in self.lines for step in line.steps(self.commits, *self.kind)]
        return sorted(found, key=lambda pair: pair[1].position)

    @cached_property
    def worsened(self) -> list[tuple[Line, Step]]:
        """Steps for the worse that still stand: the latest value is beyond what it was before."""
        return [
            (line, step) for line, step in self.steps if step.worse and not line.latest <= self.kind[0] * step.before
        ]


@dataclass(frozen=True)
class History:
    """All benchmarks on one kind of machine, accuracy first."""

    machine: str
    commits: tuple[Commit, ...]
    tracks: tuple[Track, ...]

    def of(self, part: Part) -> list[Track]:
        """Benchmarks of one part, those that became worse first."""
        return sorted((t for t in self.tracks if t.part == part), key=lambda t: (not t.worsened, t.name))


def read_history(folder: str | Path) -> list[History]:
    """The histories in asv's results directory, one for each machine.

    Arguments:
        folder: `results_dir` of asv: `benchmarks.json` and, for every machine, a folder of one JSON file a commit; or a
            folder of such files alone.

    Returns an empty list where there are no results. Raises `InputError` for a file that is no result of asv.
    The subjects of commits come from the git repository that `folder` lies in, or the current one, where it has them.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.glob("**/*.json") if path.name not in ("benchmarks.json", "machine.json"))
    units = _units(folder / "benchmarks.json")
    by_machine: dict[str, list[dict[str, Any]]] = {}
    for path in files:
        content = _result(path)
        by_machine.setdefault(_machine(content), []).append(content)
    hashes = {content["commit_hash"] for contents in by_machine.values() for content in contents}
    subjects = _subjects(folder, sorted(hashes))
    return [_history(machine, contents, units, subjects) for machine, contents in sorted(by_machine.items())]


def _history(
    machine: str, contents: Sequence[Mapping[str, Any]], units: Mapping[str, str], subjects: Mapping[str, str]
) -> History:
    dates = {content["commit_hash"]: int(content["date"]) for content in contents}
    order = sorted(dates, key=lambda h: (dates[h], h))
    commits = tuple(Commit(h, _day(dates[h]), subjects.get(h, "")) for h in order)
    known: dict[str, dict[str, dict[int, tuple[float, str, float]]]] = {}
    for content in contents:
        at = order.index(content["commit_hash"])
        for name, row in content["results"].items():
            columns = dict(zip(content["result_columns"], row, strict=False))
            started = float(columns.get("started_at") or 0)
            for case, value in _cases(columns):
                cells = known.setdefault(name, {}).setdefault(case, {})
                if at not in cells or started >= cells[at][2]:  # of two environments the later measurement
                    cells[at] = value, str(columns.get("version") or ""), started
    tracks = []
    for name, cases in known.items():
        lines = []
        for case, cells in cases.items():
            found = [cells.get(k, (math.nan, "", 0.0)) for k in range(len(order))]
            lines.append(Line(case, tuple(value for value, _, _ in found), tuple(version for _, version, _ in found)))
        tracks.append(Track(name, units.get(name, ""), tuple(lines), commits))
    return History(machine, commits, tuple(sorted(tracks, key=lambda t: (t.part, t.name))))


def _cases(columns: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Parameters in words and value of every case; a failure is infinite, a skipped case NaN."""
    params, values = columns.get("params") or [], columns.get("result")
    cases = [", ".join(map(str, case)) for case in itertools.product(*params)]
    for k, case in enumerate(cases):
        value = None if values is None or k >= len(values) else values[k]
        yield case, math.inf if value is None else float(value)


def _result(path: Path) -> dict[str, Any]:
    accepted = "a result file of asv (version 2)"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("benchmarks", str(path), f"{accepted}: {error}") from None
    needed = ("commit_hash", "date", "results", "result_columns")
    if not isinstance(content, dict) or content.get("version") != 2 or not all(name in content for name in needed):
        raise InputError("benchmarks", str(path), accepted)
    return content


def _units(path: Path) -> dict[str, str]:
    """Units by benchmark; asv's own placeholder counts as none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    units = {name: str(entry.get("unit", "")) for name, entry in found.items() if isinstance(entry, dict)}
    return {name: "" if unit == "unit" else unit for name, unit in units.items()}


def _machine(content: Mapping[str, Any]) -> str:
    """The kind of machine in words, without its name."""
    params = content.get("params") or {}
    cores = f"{params['num_cpu']} processors" if params.get("num_cpu") else ""
    return ", ".join(filter(None, (str(params.get("cpu") or params.get("arch") or ""), cores))) or "one kind of machine"


def _day(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).date().isoformat()


def _subjects(folder: Path, hashes: Sequence[str]) -> dict[str, str]:
    """First lines of commits by hash, of those that a git repository here has."""
    found: dict[str, str] = {}
    asked = [h for h in hashes if re.fullmatch(r"[0-9a-f]{7,64}", h)]
    for place in (folder, Path.cwd()):
        command = [
            "git",
            "-C",
            str(place),
            "log",
            "--no-walk=unsorted",
            "--ignore-missing",
            "--format=%H%x09%s",
            *asked,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        rows = (row.partition("\t") for row in done.stdout.splitlines())
        found = {**{h: subject for h, _, subject in rows if h in asked}, **found}
    return found


def _settled(values: Sequence[float]) -> float:
    """The median, NaN where the benchmark fails."""
    middle = _median(values)
    return middle if math.isfinite(middle) else math.nan


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]
