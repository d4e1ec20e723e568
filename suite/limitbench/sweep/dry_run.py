"""What a sweep would take, before anything of it exists: units, bytes, objects and core-seconds.

Columns are looked at one after the other and none is kept, so a million blocks are surveyed in seconds and in constant
memory; of a store that is there already, markers are listed and only a few of them read.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from limitbench.networks.base import Sampler
from limitbench.statistics.laws import quantile_levels
from limitbench.sweep.blocks import score_id, score_seconds
from limitbench.sweep.cell_status import blocks_of
from limitbench.sweep.grid import Column, Grid, deepest_networks, named_grid
from limitbench.sweep.layout import read_existing
from limitbench.sweep.markers import DONE, FAILED, Marker, marker_names, read_some
from limitbench.sweep.spec import MARGIN, Meaning, Spec, check_same_meaning, margin_of, meaning_of, samples_of
from limitbench.sweep.store import SCORES

if TYPE_CHECKING:
    from limitbench.studies.base import Preset, Study
    from limitbench.sweep.paths import Paths

#: Markers that are read to compare predicted with measured seconds.
CALIBRATION_MARKERS = 400


@dataclass(frozen=True)
class Work:
    """Amounts of work; they add up.

    Attributes:
        blocks, scores: units: blocks of samples, and scores of columns.
        networks: networks drawn.
        block_seconds, score_seconds: seconds on one core.
        longest: seconds of the longest unit, or of a block and the scores that follow it.
    """

    blocks: int = 0
    scores: int = 0
    networks: int = 0
    block_seconds: float = 0.0
    score_seconds: float = 0.0
    longest: float = 0.0

    def __add__(self, other: Work) -> Work:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "longest"}
        return Work(**sums, longest=max(self.longest, other.longest))

    @property
    def units(self) -> int:
        """Blocks and scores."""
        return self.blocks + self.scores

    @property
    def seconds(self) -> float:
        """Seconds on one core."""
        return self.block_seconds + self.score_seconds


@dataclass(frozen=True)
class Calibration:
    """Measured over predicted seconds: medians over units that a store holds, 1 where it holds none of a kind."""

    blocks: float = 1.0
    scores: float = 1.0
    units: int = 0


@dataclass(frozen=True)
class Survey:
    """What a sweep of one study would take.

    Attributes:
        study: name.
        cells, columns: of the whole grid, cells that the store already has among them.
        whole, left: work of everything, and of what is not in the store; seconds are calibrated.
        array_bytes: bytes of all arrays as they lie in memory.
        score_bytes: samples that a worker reads to score a column, the largest of all.
        objects: files or objects of the finished store.
        calibration: of the cost model, by the units in the store.
        least: what is left if all verdicts are clear at the first look; None where every cell has all its networks.
    """

    study: str
    cells: int
    columns: int
    whole: Work
    left: Work
    array_bytes: int
    score_bytes: int
    objects: int
    calibration: Calibration
    least: Work | None = None


def survey(
    study: Study,
    paths: Paths,
    *layers: Mapping[str, object],
    preset: Preset,
    samples: int | None = None,
    sampler: Sampler = "exact",
    seed: int = 0,
    margin: float = MARGIN,
    tolerance: float | None = None,
    device: str = "auto",
    generator: str = "auto",
    retry_failed: bool = False,
) -> Survey:
    """What a run of `study` into `paths` would take; the arguments are those of `run`, `layers` those of its grid.

    Where cells are drawn until their verdicts are clear, what is left is that of all looks.

    Writes nothing. Takes 20 to 30 µs a column, and as long as listing the markers of a store that is there.

    Raises:
        InputError: what the run itself would refuse.
    """
    stored = read_existing(paths)
    grid = named_grid(study, *layers)
    if stored is not None:
        if retry_failed:
            grid, sampler, seed = stored.axis_grid(), stored.meaning.sampler, stored.meaning.seed
        for _ in deepest_networks(study, grid):
            pass
        kind = stored.meaning.device if device == "auto" else "cuda" if device == "cuda" else "cpu"
        source = stored.meaning.source if generator == "auto" else generator
        asked = meaning_of(study, grid, sampler, seed, kind, source)
        check_same_meaning(stored.meaning, asked, paths.label)
    found = _Stored.of(study, paths, stored, retry_failed)
    margin = margin_of(margin, tolerance)
    return _counted(study, found, grid, preset, samples, sampler, margin, sequential=tolerance is not None)


@dataclass(frozen=True)
class _Stored:
    """What lies in the store: its spec, units by column, and the blocks of columns whose verdicts are clear."""

    spec: Spec | None
    done: Mapping[str, tuple[int, bool]]
    retried: Mapping[str, tuple[int, bool]] | None
    calibration: Calibration
    clear: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, paths: Paths, spec: Spec | None, retry: bool) -> _Stored:
        if spec is None:
            return cls(None, {}, {} if retry else None, Calibration())
        with paths.storage.guarded():
            names = marker_names(paths, DONE)
            few = names[:: max(1, len(names) // CALIBRATION_MARKERS)]
            calibration = _calibration(study, spec, list(read_some(paths, DONE, few).values()))
            columns = [column for _, column in spec.axis_grid().columns() if column.slug in spec.first]
            scores = read_some(paths, DONE, sorted({*names} & {score_id(column) for column in columns}))
            clear = {column.slug: blocks_of(spec, column, scores) for column in columns}
            retried = _by_column(marker_names(paths, FAILED)) if retry else None
            return cls(spec, _by_column(names), retried, calibration, clear)


def _by_column(names: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """Blocks by the slug of their column, and whether it is scored."""
    found: dict[str, tuple[int, bool]] = {}
    for name in names:
        slug, _, unit = name.rpartition(".")
        blocks, scored = found.get(slug, (0, False))
        found[slug] = (blocks, True) if unit == "scores" else (blocks + 1, scored)
    return found


def _counted(
    study: Study,
    found: _Stored,
    grid: Grid,
    preset: Preset,
    samples: int | None,
    sampler: Sampler,
    margin: float,
    *,
    sequential: bool,
) -> Survey:
    stored, ratio = found.spec, found.calibration
    joined = grid if stored is None else stored.axis_grid().extended(grid)
    same_depths = stored is not None and stored.axis_grid().values[-1] == joined.values[-1]
    size, observables, theories = study.block_samples[sampler], len(study.observables), len(study.theories)
    laws, asked = observables * theories, [set(values) for values in grid.values[:-1]]
    columns, networks, most, whole, left, least = 0, 0, 0, _Sum(), _Sum(), _Sum()
    for column, network in deepest_networks(study, joined):
        wanted = -(-(samples or samples_of(preset, column)) // size) * size
        done, scored = 0, False
        if stored is not None:
            kept = stored.samples.get(column.slug, 0)
            inside = all(value in values for (_, value), values in zip(column.point, asked, strict=True))
            outside = kept > 0 and not inside
            wanted = kept if outside else max(wanted, kept)
            if same_depths:
                done, scored = found.done.get(column.slug, (0, False))
                scored = scored and stored.margin == margin
            if scored and wanted == kept and (column.slug in stored.first if outside else sequential):
                wanted = size * found.clear.get(column.slug, wanted // size)
        blocks = wanted // size
        missing, rescored = blocks - done, done < blocks or not scored
        if found.retried is not None:
            missing, again = found.retried.get(column.slug, (0, False))
            rescored = again or missing > 0
        columns, networks, most = columns + 1, networks + wanted, max(most, wanted)
        cost = network.cost(sampler) * size * ratio.blocks
        score = score_seconds(column, wanted, laws) * ratio.scores
        whole.add(blocks, 1, cost, score)
        left.add(missing, int(rescored), cost, score)
        least.add(min(missing, max(1 - done, 0)) if sequential else missing, int(rescored), cost, score)
    depths = len(joined.values[-1])
    tables = laws * (8 * len(quantile_levels()) + 8 * len(SCORES) + 2)
    return Survey(
        study=study.name,
        cells=columns * depths,
        columns=columns,
        whole=whole.work(size),
        left=left.work(size),
        array_bytes=depths * (8 * observables * networks + columns * tables),
        score_bytes=8 * depths * observables * most,
        objects=_objects(joined, observables, columns, whole.blocks),
        calibration=ratio,
        least=least.work(size) if sequential else None,
    )


def _objects(grid: Grid, observables: int, columns: int, blocks: int) -> int:
    """Objects of a finished store: metadata, small arrays, and what each block and column adds, with their markers."""
    coordinates = 4 * len(grid.names) + 6 + 4 * (grid.depth_axis == "aspect")
    groups, by_column, run, claims = 6, 2 * observables + len(SCORES) + 2, 9, 11
    fixed = groups + by_column + 2 * (run + claims + coordinates)
    return fixed + blocks * (observables + 1) + columns * (observables + len(SCORES) + 3)


class _Sum:
    """A `Work` that grows in place."""

    def __init__(self) -> None:
        self.blocks = self.scores = 0
        self._block_seconds = self._score_seconds = self._longest = 0.0

    def add(self, blocks: int, scores: int, block_seconds: float, score_seconds: float) -> None:
        self.blocks += blocks
        self.scores += scores
        self._block_seconds += blocks * block_seconds
        self._score_seconds += scores * score_seconds
        self._longest = max(self._longest, (blocks > 0) * block_seconds + (scores > 0) * score_seconds)

    def work(self, block_samples: int) -> Work:
        seconds = (self._block_seconds, self._score_seconds, self._longest)
        return Work(self.blocks, self.scores, self.blocks * block_samples, *seconds)


def _calibration(study: Study, spec: Spec, markers: Sequence[Marker]) -> Calibration:
    """How the measured seconds of `markers` compare with the cost model."""
    meaning = spec.meaning
    blocks: list[float] = []
    scores: list[float] = []
    for marker in markers:
        column = _column(meaning, spec.grid, marker)
        if column is None:
            continue
        if marker["kind"] == "samples":
            cost = study.network(column.cells[-1]).cost(meaning.sampler) * marker["samples"]
            blocks.append(marker["seconds"] / cost)
        else:
            laws = len(meaning.observables) * len(meaning.theories)
            scores.append(marker["seconds"] / score_seconds(column, spec.samples.get(column.slug, 0), laws))
    return Calibration(_median(blocks), _median(scores), len(blocks) + len(scores))


def _median(ratios: Sequence[float]) -> float:
    return statistics.median(ratios) if ratios else 1.0


def _column(meaning: Meaning, grid: Mapping[str, Sequence[int | float | str]], marker: Marker) -> Column | None:
    """The column of a marker, None where it is not one of the grid's."""
    point = marker.get("column", {})
    if set(point) != set(meaning.axes[:-1]) or any(value not in grid[name] for name, value in point.items()):
        return None
    axis = meaning.axes[-1]
    return Column(tuple((name, point[name]) for name in meaning.axes[:-1]), axis, tuple(grid[axis]))
