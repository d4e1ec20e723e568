"""One sweep of one study: validate everything, lay the store out, run what is missing, finalise."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from limitbench.errors import InputError
from limitbench.sweep.blocks import ScoreUnit, Unit, block_id, column_blocks, score_id
from limitbench.sweep.executors import Executor, Interrupted, Outcome
from limitbench.sweep.finalise import finalise, mark_unfinished
from limitbench.sweep.grid import Column, resolve_grid
from limitbench.sweep.layout import check_writable, clear_failures, forget, lay_out, read_existing
from limitbench.sweep.markers import DONE, FAILED, Marker, read_markers, remove_marker, write_marker
from limitbench.sweep.progress import Reporter, Silent
from limitbench.sweep.serial import SerialExecutor
from limitbench.sweep.spec import Spec, check_same_meaning, meaning_of, plan, request
from limitbench.sweep.store import Paths, find_stores, open_results, read_spec
from limitbench.sweep.worker import Job, score_key

if TYPE_CHECKING:
    import xarray as xr

    from limitbench.studies.base import Study

EXECUTORS = ("serial", "ray")
#: Times a block is drawn again because its chunks turned out damaged.
MAX_REPAIRS = 3


def run(
    study: str | Study,
    grid: Mapping[str, object] | None = None,
    *,
    preset: str = "quick",
    samples: int | None = None,
    sampler: str = "exact",
    seed: int = 0,
    margin: float = 0.05,
    out: str | Path | None = None,
    executor: str | Executor = "serial",
    address: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    progress: Reporter | None = None,
    mix_versions: bool = False,
) -> xr.DataTree:
    """Run, resume or extend a sweep.

    Arguments:
        study: name of a built-in study, or a `Study`.
        grid: values of axes that replace the preset's.
        preset: `quick`, `standard` or `full`: grid and samples.
        samples: networks per cell, rounded up to whole blocks; the preset's if left out.
        sampler: `exact` (no weights) or `dense`.
        seed: spec seed.
        margin: largest D at which a theory `holds`.
        out: directory of the store; if left out, results are kept in memory only. A directory that holds the study is
            resumed and extended.
        executor: `serial` (this process) or `ray`, or an `Executor`.
        address: Ray cluster to join; if left out, Ray starts on this machine.
        workers: Ray actors; one per CPU (GPU) if left out.
        device: `auto`, `cpu` or `cuda`.
        progress: told what happens; silent if left out.
        mix_versions: allow a store whose blocks were drawn by another version of torch; numbers are then no longer
            those of one uninterrupted run.

    Returns:
        The results as `open_results` gives them; see there.

    Raises:
        InputError: a value that cannot be accepted, or a store of other meaning; nothing on disk has changed then.
        Interrupted: Ctrl-C; finished blocks are kept.
    """
    study = _study(study)
    if preset not in study.presets:
        raise InputError("preset", preset, "one of " + ", ".join(study.presets))
    options = request(
        samples=samples, sampler=sampler, seed=seed, margin=margin, workers=workers, device=device
    )  # fmt: skip
    chosen = resolve_grid(study, study.presets[preset].grid, grid or {})
    reporter = progress or Silent()
    runner = _executor(executor, address, workers)
    if out is None:
        folder = Path(tempfile.mkdtemp(prefix="limitbench-"))
        try:
            return _sweep(study, chosen, preset, options, folder, runner, reporter).load()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return _sweep(study, chosen, preset, options, Path(out).absolute(), runner, reporter, mix_versions)


def _sweep(
    study: Study,
    grid: Any,
    preset: str,
    options: Any,
    out: Path,
    runner: Executor,
    reporter: Reporter,
    mix: bool = True,
) -> xr.DataTree:
    paths = Paths(out, study.name)
    if out.exists() and not out.is_dir():
        raise InputError("out", str(out), "a directory")
    stored = read_existing(paths)
    device = _device(options.device, stored)
    meaning = meaning_of(study, grid, options.sampler, options.seed, device)
    if stored is not None:
        check_same_meaning(stored.meaning, meaning, str(paths.store))
    spec, notes = plan(meaning, grid, study.presets[preset], options.samples, options.margin, stored)
    if not mix:
        _check_torch(paths)
    check_writable(out)
    began = time.monotonic()
    try:
        with runner:
            done = lay_out(paths, spec)
            clear_failures(paths)
            for note in notes:
                reporter.note(note)
            ledger = _Ledger(Job(_by_name(study), spec, paths), done, reporter)
            reporter.start(study.name, sum(spec.samples.values()), ledger.drawn)
            if units := list(ledger.first()):
                mark_unfinished(paths)
                runner.run(ledger.job, units, ledger.handle)
            finalise(study, paths, spec)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; finished blocks are kept, the same command resumes {paths.store}") from None
    failures = f", {ledger.failures} units quarantined" if ledger.failures else ""
    reporter.finish(f"{ledger.drawn:,} networks in the store, {time.monotonic() - began:.1f} s{failures}")
    return open_results(paths.store)


class _Ledger:
    """Which units are finished, which are to do, and what follows when one ends."""

    def __init__(self, job: Job, done: dict[str, Marker], reporter: Reporter) -> None:
        self.job, self._done, self._reporter = job, done, reporter
        self._waiting: dict[str, int] = {}
        self._repairs: dict[str, int] = {}
        self.failures = 0
        self._columns = {column.slug: (position, column) for position, column in job.spec.axis_grid().columns()}

    @property
    def drawn(self) -> int:
        """Networks in the store."""
        return sum(marker.get("samples", 0) for marker in self._done.values())

    def first(self) -> Iterator[Unit]:
        """Units that can start at once: missing blocks, and scores of columns that are drawn."""
        size = self.job.spec.meaning.block_samples
        for position, column in self._columns.values():
            blocks = column_blocks(column, position, self.job.spec.samples[column.slug], size)
            missing = [unit for unit in blocks if unit.id not in self._done]
            self._waiting[column.slug] = len(missing)
            yield from missing or self._score(column)

    def handle(self, outcome: Outcome) -> Iterable[Unit]:
        """Book an ended unit."""
        unit, run = outcome.unit, self.job.paths.run
        if outcome.receipt is None:
            self.failures += 1
            failure = {"block": unit.id, "error": outcome.error, "attempts": outcome.attempts}
            write_marker(run, FAILED, unit.id, failure)
            self._reporter.fail(unit.id, outcome.error)
        elif damaged := outcome.receipt.get("damaged"):
            return self._repair(unit, damaged)
        else:
            self._done[unit.id] = outcome.receipt
            remove_marker(run, FAILED, unit.id)
            if not isinstance(unit, ScoreUnit):
                self._reporter.advance(unit.samples)
        if isinstance(unit, ScoreUnit):
            return ()
        self._waiting[unit.column.slug] -= 1
        return () if self._waiting[unit.column.slug] else self._score(unit.column)

    def _score(self, column: Column) -> list[Unit]:
        position, _ = self._columns[column.slug]
        count = self.job.spec.samples[column.slug] // self.job.spec.meaning.block_samples
        finished = [k for k in range(count) if block_id(column, k) in self._done]
        sums = tuple(self._done[block_id(column, k)]["checksums"] for k in finished)
        unit = ScoreUnit(column, position, tuple(finished), sums)
        fresh = self._done.get(score_id(column), {}).get("key") == score_key(self.job.spec, unit)
        return [] if fresh or not finished else [unit]

    def _repair(self, unit: Unit, damaged: list[int]) -> list[Unit]:
        """Draw damaged blocks again; one that is damaged over and over is quarantined like any other failure."""
        column, size = unit.column, self.job.spec.meaning.block_samples
        blocks = column_blocks(column, unit.position, self.job.spec.samples[column.slug], size)
        again: list[Unit] = []
        for number in damaged:
            name = block_id(column, number)
            forget(self.job.paths, name)
            self._done.pop(name, None)
            self._repairs[name] = self._repairs.get(name, 0) + 1
            if self._repairs[name] <= MAX_REPAIRS:
                again.append(blocks[number])
                continue
            self.failures += 1
            error = "its chunks are damaged whenever they are read back"
            write_marker(self.job.paths.run, FAILED, name, {"block": name, "error": error, "attempts": MAX_REPAIRS})
            self._reporter.fail(name, error)
        self._waiting[column.slug] = len(again)
        return again or self._score(column)


@dataclass(frozen=True)
class StudyStatus:
    """State of one study's store.

    Attributes:
        study: name.
        cells: cells of the grid.
        blocks_done, blocks_failed, blocks_total: units of work, scores of columns among them.
        samples, samples_total: networks in the store, and those it is meant to hold.
        last_activity: time of the last marker, None where there is none.
        path: the store.
    """

    study: str
    cells: int
    blocks_done: int
    blocks_failed: int
    blocks_total: int
    samples: int
    samples_total: int
    last_activity: datetime | None
    path: Path


def status(directory: str | Path) -> list[StudyStatus]:
    """State of every store under `directory`, whole or half finished; reads markers and metadata only.

    Raises:
        InputError: no such directory, no store in it, or a store with damaged metadata.
    """
    from limitbench.sweep.layout import valid_markers

    folder = Path(directory)
    if not folder.is_dir():
        raise InputError("directory", str(folder), "an existing directory")
    stores = find_stores(folder)
    if not stores:
        raise InputError("directory", str(folder), "a directory that holds a result store")
    found = []
    for store in stores:
        spec, _ = read_spec(store)
        paths = Paths(folder, store.name.removesuffix(".zarr"))
        done, failed = valid_markers(paths, spec), read_markers(paths.run, FAILED)
        columns, size = list(spec.axis_grid().columns()), spec.meaning.block_samples
        total = sum(spec.samples[column.slug] // size + 1 for _, column in columns)
        times = [path.stat().st_mtime for state in (DONE, FAILED) for path in (paths.run / state).glob("*.json")]
        found.append(
            StudyStatus(
                study=spec.meaning.study,
                cells=len(columns) * len(spec.axis_grid().values[-1]),
                blocks_done=len(done),
                blocks_failed=len(failed),
                blocks_total=total,
                samples=sum(marker.get("samples", 0) for marker in done.values()),
                samples_total=sum(spec.samples[column.slug] for _, column in columns),
                last_activity=datetime.fromtimestamp(max(times), UTC) if times else None,
                path=store,
            )
        )
    return found


def _study(study: str | Study) -> Study:
    from limitbench import studies

    return studies.get(study) if isinstance(study, str) else study


def _by_name(study: Study) -> Study | str:
    from limitbench import studies

    return study.name if study.name in studies.names() and studies.get(study.name) is study else study


def _device(device: str, stored: Spec | None) -> Literal["cpu", "cuda"]:
    if device == "auto":
        if stored is not None:
            return stored.meaning.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if device == "cuda" else "cpu"


def _check_torch(paths: Paths) -> None:
    import torch

    drawn_by = {marker.get("versions", {}).get("torch") for marker in read_markers(paths.run, DONE).values()}
    if drawn_by - {torch.__version__}:
        accepted = "the version that drew the store's blocks, " + ", ".join(sorted(map(str, drawn_by)))
        raise InputError("torch", torch.__version__, f"{accepted}; or another directory")


def _executor(executor: str | Executor, address: str | None, workers: int | None) -> Executor:
    if isinstance(executor, Executor):
        return executor
    if executor == "serial":
        return SerialExecutor()
    if executor == "ray":
        from limitbench.sweep.ray_executor import RayExecutor

        return RayExecutor(address=address, workers=workers)
    raise InputError("executor", executor, " or ".join(EXECUTORS))
