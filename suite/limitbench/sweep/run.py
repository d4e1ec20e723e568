"""One sweep of one study: validate everything, lay the store out, run what is missing, finalise."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from limitbench.errors import InputError, StoreError
from limitbench.networks.training_data import DIGITS, ImageSet, in_use, using
from limitbench.numerics.random import best_generator, check_generator
from limitbench.studies.base import Study, StudyTheory
from limitbench.sweep.executors import UNIT_SECONDS, Executor, Interrupted, Limits
from limitbench.sweep.finalise import finalise
from limitbench.sweep.grid import Grid, check_cells, resolve_grid
from limitbench.sweep.journal import Journal
from limitbench.sweep.layout import lay_out, read_existing, spec_of, units_set_aside
from limitbench.sweep.ledger import Ledger
from limitbench.sweep.markers import DONE, read_markers
from limitbench.sweep.paths import Paths
from limitbench.sweep.progress import Reporter, Silent
from limitbench.sweep.results import open_study
from limitbench.sweep.serial import SerialExecutor
from limitbench.sweep.signals import terminable
from limitbench.sweep.spec import MARGIN, Request, Spec, check_same_meaning, meaning_of, plan, request
from limitbench.sweep.status import StudyStatus as StudyStatus
from limitbench.sweep.status import status as status
from limitbench.sweep.storage import Held, open_storage
from limitbench.sweep.store import mark_unfinished
from limitbench.sweep.worker import Job, numerics

if TYPE_CHECKING:
    import xarray as xr

EXECUTORS = ("serial", "ray")
#: Axis of the studies that train networks on images.
DATA_AXIS = "data"
#: Times that a run makes chunks anew which it finds damaged at its end.
MOST_MENDS = 3


def run(
    study: str | Study,
    grid: Mapping[str, object] | None = None,
    *,
    theories: Sequence[str | StudyTheory] = (),
    preset: str = "quick",
    samples: int | None = None,
    sampler: str = "exact",
    seed: int = 0,
    margin: float = MARGIN,
    tolerance: float | None = None,
    out: str | Path | None = None,
    executor: str | Executor = "serial",
    address: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    generator: str = "auto",
    progress: Reporter | None = None,
    block_seconds: float | None = None,
    block_memory: float | None = None,
    gpu_share: float = 1.0,
    retry_failed: bool = False,
    mix_versions: bool = False,
    data: str | Path | None = None,
) -> xr.DataTree:
    """Run, resume or extend a sweep.

    Arguments:
        study: name of a study, built in or of an installed package, or a `Study`.
        grid: values of axes that replace the preset's.
        theories: more theories that compete: names of those of installed packages, or `StudyTheory` values.
        preset: `quick`, `standard` or `full`: grid and samples.
        samples: networks per cell, rounded up to whole blocks; the preset's if left out.
        sampler: `exact` (no weights) or `dense`.
        seed: spec seed.
        margin: largest D at which a theory `holds`.
        tolerance: the margin of a run in which a cell is drawn until its verdicts are clear: at 1, 2, 4, ... blocks, up
            to `samples`, it is looked at, and goes on while a competitor's verdict there is undecided and more networks
            may well clear it. The last look has the level of one fixed size, and the looks before it may err as often
            again, 5 % in all. Networks that a store holds are looked at as they are. `n_samples` of the group `run` has
            the networks of each cell.
        out: directory of the store, or URL in an object store (`s3://bucket/prefix`); if left out, results are kept in
            memory only. One that holds the study is resumed and extended.
        executor: `serial` (this process) or `ray`, or an `Executor`.
        address: Ray cluster to join; if left out, Ray starts on this machine.
        workers: Ray actors; one per CPU (GPU) if left out.
        device: `auto`, `cpu` or `cuda`.
        generator: what normals are drawn with: `torch`, `vsl` (limitbench[fast], x86 CPUs), or `auto`, the store's own
            or else vsl where this machine has it. Other numbers of the same law; a store has one.
        progress: told what happens; silent if left out.
        block_seconds: time limit of one attempt at a block on Ray; six hours if left out.
        block_memory: GiB that one block may take on Ray; no limit if left out.
        gpu_share: part of a GPU that each Ray worker has, with `device` cuda: 0.25 puts four on one.
        retry_failed: do only the blocks that were set aside, and the scores that wait for them.
        data: directory of IDX files for a study that trains networks; its axis `data` is then their set unless `grid`
            names it. The environment variable LIMITBENCH_DATA names a directory too, and leaves the axis alone.
        mix_versions: allow blocks of one store to be drawn by different versions of torch or CPU capabilities; numbers
            are then no longer those of one uninterrupted run.

    Returns:
        The results as `open_results` gives them; see there.

    Raises:
        InputError: a value that cannot be accepted, or a store of other meaning; nothing on disk has changed then.
        Interrupted: Ctrl-C; finished blocks are kept.
        Stopped: the store or the cluster is out of reach; finished blocks are kept.
    """
    study = _study(study, theories)
    if not re.fullmatch(r"\w[\w.-]*", study.name):
        raise InputError("name of a study", study.name, "letters, digits, - _ and . : it names files")
    if preset not in study.presets:
        raise InputError("preset", preset, "one of " + ", ".join(study.presets))
    options = request(
        samples=samples,
        sampler=sampler,
        seed=seed,
        margin=margin,
        tolerance=tolerance,
        workers=workers,
        device=device,
        generator=generator,
        gpu_share=gpu_share,
    )
    check_samples(study, options.samples)
    reporter = progress or Silent()
    limits = Limits(block_seconds or UNIT_SECONDS, block_memory, options.gpu_share)
    runner = _executor(executor, address, workers, limits)
    with using(data) as images:
        own = {} if grid is None else grid
        if images is not None:
            own = on_data(study, own, images)
        chosen = resolve_grid(study, study.presets[preset].grid, own)
        if out is None:
            folder = Path(tempfile.mkdtemp(prefix="limitbench-"))
            try:
                return _sweep(study, chosen, preset, options, folder, runner, reporter, mix=True).load()
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return _sweep(study, chosen, preset, options, out, runner, reporter, mix=mix_versions, retry=retry_failed)


def check_samples(study: Study, samples: int | None, field: str = "samples") -> None:
    """Raises `InputError` where `samples` networks per cell of `study` are more than one run may ask for."""
    if study.most_samples is not None and samples is not None and samples > study.most_samples:
        raise InputError(field, samples, f"at most {study.most_samples} per cell of {study.name}, which trains each")


def on_data(study: Study, grid: Mapping[str, object], images: ImageSet) -> dict[str, object]:
    """`grid` on the set of `images` unless it names sets itself; `InputError` where the study trains no networks."""
    if DATA_AXIS not in {axis.name for axis in study.axes}:
        raise InputError("data", images.name, f"nothing for {study.name}: no networks are trained there")
    return {DATA_AXIS: (images.name,), **grid}


def _sweep(
    study: Study,
    grid: Grid,
    preset: str,
    options: Request,
    out: str | Path,
    runner: Executor,
    reporter: Reporter,
    *,
    mix: bool,
    retry: bool = False,
) -> xr.DataTree:
    storage = open_storage(out)
    paths = Paths(storage, study.name)
    stored = read_existing(paths)
    if retry:
        if stored is None:
            raise InputError("retry-failed", str(out), f"a directory with a store of {study.name}")
        was = stored.meaning
        grid, options = stored.axis_grid(), options.model_copy(update={"sampler": was.sampler, "seed": was.seed})
    device, generator = resolve_device(options.device, options.generator, stored)
    meaning = meaning_of(study, grid, options.sampler, options.seed, device, generator)
    if stored is not None:
        check_same_meaning(stored.meaning, meaning, paths.label)
        check_cells(study, stored.axis_grid().extended(grid))
    notes: list[str] = []
    if retry and stored is not None:
        spec = stored
    else:
        sequential = options.tolerance is not None
        spec, notes = plan(
            meaning, grid, study.presets[preset], options.samples, options.margin, stored, sequential=sequential
        )
    if not mix:
        _check_numerics(paths, generator)
    storage.check_writable()
    began = time.monotonic()
    try:
        with runner, terminable(), storage.guarded():  # Ray sets a handler of its own when it starts
            runner.check(device)
            with storage.exclusive(study.name) as held:
                if spec_of(paths) != stored:
                    raise StoreError(f"another run changed {paths.label} just now; the same command goes on from there")
                for note in notes:
                    reporter.note(note)
                trained = set(spec.grid.get(DATA_AXIS, ())) - {DIGITS}
                job = Job(
                    _by_name(study), spec, paths, None if mix else numerics(generator), in_use() if trained else None
                )
                for _ in range(1 + MOST_MENDS):
                    ledger, damaged = _pass(study, job, runner, reporter, held, retry)
                    if not damaged:
                        break
                    reporter.note(f"{', '.join(damaged[:3])} cannot be read ({len(damaged)} chunks): made anew")
                else:
                    raise StoreError(f"{paths.label} is damaged again and again ({damaged[0]})")
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; finished blocks are kept, the same command resumes {paths.label}") from None
    failures = f", {ledger.failures} units set aside" if ledger.failures else ""
    reporter.finish(f"{ledger.drawn:,} networks in the store, {time.monotonic() - began:.1f} s{failures}")
    return open_study(paths)


def _pass(
    study: Study, job: Job, runner: Executor, reporter: Reporter, held: Held, retry: bool
) -> tuple[Ledger, list[str]]:
    """Do what is missing and finalise; the books, and the chunks that turned out damaged and are to be made anew."""
    paths, spec = job.paths, job.spec
    done = lay_out(paths, spec)
    ledger = Ledger(job, done, reporter, held=held, set_aside=units_set_aside(paths, done), retry=retry)
    units = list(ledger.first())
    total = sum(spec.samples.values())
    reporter.start(study.name, total, ledger.drawn, ledger.seconds_left, at_most=bool(spec.first))
    mark_unfinished(paths)
    with ExitStack() as watched:
        if units:
            journal = Journal(job, units, ledger.seconds_left, executor=runner.name, held=held, note=reporter.note)
            watched.enter_context(journal)
            runner.run(job, units, journal.booking(ledger.handle), journal)
        held.check(ask=True)
        return ledger, finalise(study, paths, spec, held)


def _study(study: str | Study, theories: Sequence[str | StudyTheory]) -> Study:
    from limitbench import studies

    named = [theory for theory in theories if isinstance(theory, str)]
    chosen = studies.get(study, named) if isinstance(study, str) else study
    if isinstance(study, Study) and named:
        raise InputError("theories", named[0], "a StudyTheory, as the study is given as a value too")
    for theory in theories:
        if isinstance(theory, StudyTheory):
            if theory.name in {other.name for other in chosen.theories}:
                raise InputError("theories", theory.name, f"a name that no theory of {chosen.name} has")
            chosen = replace(chosen, theories=(*chosen.theories, theory))
    return chosen


def _by_name(study: Study) -> Study | str:
    """The name, where workers find an equal study by it; the study itself otherwise."""
    from limitbench import studies

    try:
        found = studies.get(study.name, [theory.name for theory in study.theories])
    except InputError:
        return study
    return study.name if found == study else study


def resolve_device(
    device: str, generator: str, stored: Spec | None
) -> tuple[Literal["cpu", "cuda"], Literal["torch", "vsl"]]:
    """Device kind and generator of a run: what was asked for, else the store's, else the best that is here.

    Raises `InputError` where the generator is not to be had here.
    """
    import torch

    best = stored.meaning.device if stored is not None else "cuda" if torch.cuda.is_available() else "cpu"
    kind: Literal["cpu", "cuda"] = best if device == "auto" else "cuda" if device == "cuda" else "cpu"
    if generator == "auto":
        own = stored is not None and stored.meaning.device == kind
        generator = stored.meaning.source if stored is not None and own else best_generator(kind)
    check_generator(generator, kind)
    return kind, "vsl" if generator == "vsl" else "torch"


def _check_numerics(paths: Paths, generator: str) -> None:
    with paths.storage.guarded():
        markers = read_markers(paths, DONE).values()
    for name, now in numerics(generator).items():
        drawn_by = {str(marker.get("versions", {}).get(name)) for marker in markers}
        if drawn_by - {now}:
            accepted = f"{', '.join(sorted(drawn_by))}, which drew the blocks in {paths.label}"
            raise InputError(name, now, f"{accepted}; or another directory, or --mix-versions")


def _executor(executor: str | Executor, address: str | None, workers: int | None, limits: Limits) -> Executor:
    if isinstance(executor, Executor):
        return executor
    if executor == "serial":
        return SerialExecutor()
    if executor == "ray":
        from limitbench.sweep.ray_executor import RayExecutor

        return RayExecutor(address=address, workers=workers, limits=limits)
    raise InputError("executor", executor, " or ".join(EXECUTORS))
