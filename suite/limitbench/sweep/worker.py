"""What a worker does: draw one block, or compute the laws and scores of one column; write, then mark.

Numbers depend on the unit alone, never on the worker: one thread, float64, one seed per batch. Both kinds of unit may
be repeated at any time; they write the same bytes.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.errors import InputError, StoreError
from limitbench.networks.training_data import using
from limitbench.numerics import vsl
from limitbench.numerics.random import stream_seed
from limitbench.statistics.laws import Law, quantile_levels
from limitbench.sweep.blocks import SampleUnit, ScoreUnit, Unit, block_batches, block_id, one_pass
from limitbench.sweep.chunks import Chunks
from limitbench.sweep.grid import LAYER_AXIS
from limitbench.sweep.looks import looks_of
from limitbench.sweep.markers import DONE, mark_done, read_some, remove_marker
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Meaning, Spec
from limitbench.sweep.store import SCORES, VERDICTS, layout_hash, read_root

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from limitbench.studies.base import Study

#: Raised whenever the same samples get other scores or laws: stored columns are then scored again.
SCORING = 2
#: What a worker hands back: a small mapping, never arrays.
Receipt = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What all units of a run share.

    `study` is a name where it is built in or of an installed package, which every worker must have then; the object
    itself otherwise. Theories of other packages that compete in it are those that the spec names.
    """

    study: Study | str
    spec: Spec
    paths: Paths
    #: What every worker must have (`numerics`), None where mixing is allowed.
    required: dict[str, str] | None = None
    #: Directory of images and digest of their content, None where none is needed.
    data: tuple[str, str] | None = None

    def resolve_study(self) -> Study:
        """The study object."""
        if not isinstance(self.study, str):
            return self.study
        from limitbench import studies

        return studies.get(self.study, self.spec.meaning.theories)


@contextmanager
def one_thread() -> Iterator[None]:
    """Numerical libraries on one thread inside, as before outside: thread counts change rounding."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _pools(len(sys.modules)).limit(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(1)
def _pools(modules: int) -> ThreadpoolController:
    """The thread pools of this process. Finding them takes milliseconds; libraries come with modules."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def check_device(device: str) -> None:
    """Raises `InputError` where this process cannot honour the device kind of the spec."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device", device, f"a device that {socket.gethostname()} has (it has no usable CUDA device)")


def numerics(generator: str = "torch") -> dict[str, str]:
    """What decides the bits of a number on one device kind: torch's version and the CPU instructions that it uses.

    With the generator `vsl` also that of MKL.
    """
    import torch

    found = {"torch": torch.__version__, "cpu_capability": torch.backends.cpu.get_cpu_capability()}
    return found if generator != "vsl" else {**found, "mkl": vsl.version() or "none"}


def check_worker(job: Job) -> None:
    """Raises `InputError` where this process cannot honour the device, the versions, the study or images of the job."""
    check_device(job.spec.meaning.device)
    source = job.spec.meaning.source
    if source == "vsl" and vsl.version() is None:
        accepted = "a worker with limitbench[fast], as on the driver; or --generator torch into another directory"
        raise InputError(f"generator of worker {socket.gethostname()}", "torch", accepted)
    with using(*(job.data or (None,))):
        _check_study(job)
    for name, wanted in (job.required or {}).items():
        here = numerics(source)[name]
        if here != wanted:
            accepted = f"{wanted}, as on the driver, or --mix-versions"
            raise InputError(f"{name} of worker {socket.gethostname()}", here, accepted)


def _check_study(job: Job) -> None:
    """Raises `InputError` where this process has no such study, or draws and scores it in another way."""
    meaning = job.spec.meaning
    try:
        study = job.resolve_study()
    except InputError as error:
        accepted = f"{error.accepted}; the package that has it belongs on every node"
        raise InputError(f"{error.field} of worker {socket.gethostname()}", error.value, accepted) from None
    networks = [study.network(column.cells[-1]) for _, column in job.spec.axis_grid().columns()]
    here = {"study_version": study.version, **{network.family: network.version for network in networks}}
    there = {"study_version": meaning.study_version, **meaning.families}
    for name, version in here.items():
        if there.get(name) != version:
            accepted = f"{there.get(name)}, as on the driver: the same limitbench on every node"
            raise InputError(f"{name} of worker {socket.gethostname()}", version, accepted)


def execute(job: Job, unit: Unit, attempt: int = 1) -> Receipt:
    """Do one unit of `job`, write its chunks, write its marker; the marker's content is the receipt."""
    started = time.perf_counter()
    with one_thread(), using(*(job.data or (None,))):
        chunks = Chunks(job.paths, layout_hash(job.spec))
        receipt = _draw(job, unit, chunks) if isinstance(unit, SampleUnit) else _score(job, unit, chunks)
    if receipt.get("damaged"):
        return receipt
    receipt |= {
        "block": unit.id,
        "spec_hash": job.spec.meaning.hash,
        "depths": list(unit.column.depths),
        "attempt": attempt,
        "seconds": time.perf_counter() - started,
        **environment(job.spec.meaning.device, job.spec.meaning.source),
    }
    with job.paths.storage.guarded():
        mark_done(job.paths, unit.id, receipt)
    return receipt


@cache
def _version() -> str:
    """The version of this package, whose metadata take milliseconds to read."""
    from limitbench import __version__

    return str(__version__)


def environment(device: str, generator: str = "torch") -> dict[str, Any]:
    """Where and with what numbers are made; bits are the same where versions, capability and device kind are."""
    import torch

    return {
        "versions": {
            "limitbench": _version(),
            **numerics(generator),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "device": device if device == "cpu" else f"{device}: {torch.cuda.get_device_name()}",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def score_key(spec: Spec, unit: ScoreUnit) -> dict[str, Any]:
    """What the scores of a column depend on beside its meaning; equal keys need no second computation."""
    key = {"blocks": list(unit.blocks), "margin": spec.margin, "limitbench": _version(), "scoring": SCORING}
    looks = looks_of(spec, unit.column.slug)
    own = {"looks": list(unit.looks), "sizes": list(looks.plan.sizes), "levels": list(looks.plan.levels)}
    return key | own if looks.sequential else key


def _draw(job: Job, unit: SampleUnit, chunks: Chunks) -> Receipt:
    study, meaning = job.resolve_study(), job.spec.meaning
    drawn, seeds = _sample(study, unit, meaning)
    arrays, checksums = {}, {}
    depths = job.spec.grid[unit.column.depth_axis]
    rows = [depths.index(value) for value in unit.column.depth_values]
    for name in meaning.observables:
        if drawn[name].T.shape != (len(rows), unit.samples):
            raise ValueError(f"{name}: got shape {drawn[name].T.shape}, expected {(len(rows), unit.samples)}")
        values = np.full((len(depths), unit.samples), np.nan, dtype="<f8")  # cells that are drawn no further stay empty
        values[rows] = drawn[name].T
        arrays[f"samples/{name}"], checksums[name] = values, checksum(values)
    block = slice(unit.number * unit.samples, (unit.number + 1) * unit.samples)
    return {
        "kind": "samples",
        "sizes": chunks.write(arrays, unit.position, block),
        "column": dict(unit.column.point),
        "number": unit.number,
        "samples": unit.samples,
        "seed": meaning.seed,
        "first_batch_seeds": seeds,
        "checksums": checksums,
    }


def _sample(study: Study, unit: SampleUnit, meaning: Meaning) -> tuple[dict[str, np.ndarray], list[int]]:
    """Samples (networks, depths) of a block, and the seed of its first batch for each pass."""
    column = unit.column
    networks = [study.network(cell) for cell in column.cells]
    if column.depth_axis == LAYER_AXIS:
        passes = [(networks[-1], tuple(layer for layer in column.depths if layer <= networks[-1].depth))]
    elif one_pass(networks):
        passes = [(networks[-1], tuple(network.depth for network in networks))]
    else:
        passes = [(network, (network.depth,)) for network in networks]
    parts, seeds, sampler = [], [], meaning.sampler
    options: Any = {"sampler": sampler, "device": meaning.device, "generator": meaning.source}
    for network, depths in passes:
        batches = block_batches(unit, network.batch_size(sampler))
        parts.append(network.sample_batches(batches, seed=meaning.seed, depths=depths, **options))
        seeds.append(network.batch_seed(meaning.seed, batches.start, sampler))
    found = np.full((len(study.observables), unit.samples, len(column.depths)), np.nan)  # one output has no Q12, say
    for o, name in enumerate(study.observables):
        if name in parts[0]:
            values = np.concatenate([part[name] for part in parts], axis=1)
            found[o, :, : values.shape[1]] = values  # layers beyond the depth come last and stay empty
    return dict(zip(study.observables, found, strict=True)), seeds


def _score(job: Job, unit: ScoreUnit, chunks: Chunks) -> Receipt:
    from limitbench.sweep.cell_scores import score_column, unclear

    study, meaning = job.resolve_study(), job.spec.meaning
    samples, damaged = _read_samples(job, unit, chunks)
    if damaged:
        return {"damaged": damaged}
    laws, skipped = column_laws(study, unit)
    observables, theories, cells = meaning.observables, meaning.theories, len(unit.column.cells)
    numbers = {name: np.full((cells, len(observables), len(theories)), np.nan) for name in SCORES}
    verdicts = np.full((cells, len(observables), len(theories)), -1, dtype="int8")
    notes: dict[str, None] = {}
    seed = stream_seed("scores", meaning.seed, unit.column.slug)
    looks, margin = looks_of(job.spec, unit.column.slug), job.spec.margin
    scores = score_column(samples, laws, unit, looks, block_samples=meaning.block_samples, margin=margin, seed=seed)
    for o, observable in enumerate(observables):
        for t, theory in enumerate(theories):
            for c, score in enumerate(scores[observable][theory]):
                if score is not None:
                    for name in SCORES:
                        numbers[name][c, o, t] = getattr(score, name)
                    verdicts[c, o, t] = VERDICTS.index(score.verdict)
                    notes |= {f"{observable}, {theory}: {note}": None for note in score.notes}
    tables, point_mass = _law_tables(laws, theories, cells)
    arrays = {f"laws/{name}": table for name, table in tables.items()}
    arrays |= {"laws/point_mass": point_mass, "scores/verdict": verdicts}
    arrays |= {f"scores/{name}": values for name, values in numbers.items()}
    _withdraw(job, unit)
    sizes = chunks.write(arrays, unit.position)
    _check_alone(job, unit)
    return {
        "kind": "scores",
        "sizes": sizes,
        "column": dict(unit.column.point),
        "key": score_key(job.spec, unit),
        "unclear": unclear(scores, study, unit, looks, margin=margin),
        "skipped": skipped,
        "notes": list(notes),
        "checksums": {path: checksum(values) for path, values in arrays.items()},
    }


def _withdraw(job: Job, unit: ScoreUnit) -> None:
    """Remove the marker of the scores that `unit` replaces: a marker must not outlive its chunks.

    Raises:
        RuntimeError: they are of a later run or of more blocks, so that this worker comes late.
    """
    with job.paths.storage.guarded():
        present = read_some(job.paths, DONE, [unit.id]).get(unit.id)
        if present is None or present["key"] == score_key(job.spec, unit):
            return
        more = [block_id(unit.column, k) for k in present["key"].get("blocks", ()) if k not in unit.blocks]
        if read_root(job.paths)[0] != job.spec or read_some(job.paths, DONE, more):
            raise RuntimeError("the column was scored by another run meanwhile; these scores are out of date")
        remove_marker(job.paths, DONE, unit.id)


def _check_alone(job: Job, unit: ScoreUnit) -> None:
    """Raises `RuntimeError` where other scores were marked while these were written, over which they may lie now.

    The others' marker goes, as it proves nothing any more.
    """
    with job.paths.storage.guarded():
        present = read_some(job.paths, DONE, [unit.id]).get(unit.id)
        if present is not None and present["key"] != score_key(job.spec, unit):
            remove_marker(job.paths, DONE, unit.id)
            raise RuntimeError("the column was scored by another run meanwhile; its scores will be made again")


def _read_samples(job: Job, unit: ScoreUnit, chunks: Chunks) -> tuple[dict[str, np.ndarray], list[int]]:
    """Samples (networks, cells) of the finished blocks by observable, and the numbers of damaged blocks."""
    size, damaged = job.spec.meaning.block_samples, []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in job.spec.meaning.observables}
    looks = looks_of(job.spec, unit.column.slug)
    own = looks.reach(unit.looks) if unit.looks else looks.most
    for number, sums in zip(unit.blocks, unit.checksums, strict=True):
        if number >= own:
            break
        for name, found in parts.items():
            try:
                values = chunks.read(f"samples/{name}", unit.position, slice(number * size, (number + 1) * size))
                intact = checksum(values) == sums[name]
            except StoreError:
                raise
            except Exception:  # a torn chunk fails in its codec, in many ways
                intact = False
            if not intact:
                damaged.append(number)
                break
            found.append(values.T)
    return {name: np.concatenate(found) for name, found in parts.items() if found}, damaged


def column_laws(study: Study, unit: ScoreUnit) -> tuple[dict[str, dict[str, list[Law | None]]], dict[str, list[str]]]:
    """Laws by observable and theory, one per cell, and by theory why it says nothing at a cell ("" where it does)."""
    cells = unit.column.cells
    laws: dict[str, dict[str, list[Law | None]]] = {
        name: {theory.name: [None] * len(cells) for theory in study.theories} for name in study.observables
    }
    skipped = {theory.name: [""] * len(cells) for theory in study.theories}
    for competitor in study.theories:
        for c, cell in enumerate(cells):
            beyond = int(cell.get(LAYER_AXIS, 0)) > int(cell["depth"])
            reason = "no such layer" if beyond else competitor.skip(cell)
            if reason is None:
                try:
                    theory = competitor.build(cell)
                    for name in study.observables:
                        if name in theory.observables:
                            laws[name][competitor.name][c] = theory.law(name)
                except InputError as error:  # parameters outside the theory's domain; other errors are defects
                    reason = str(error)
                    for name in study.observables:
                        laws[name][competitor.name][c] = None
            skipped[competitor.name][c] = reason or ""
    return laws, skipped


def _law_tables(
    laws: dict[str, dict[str, list[Law | None]]], theories: list[str], cells: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    levels = quantile_levels()
    tables = {name: np.full((cells, len(theories), len(levels)), np.nan) for name in laws}
    point_mass = np.full((cells, len(laws), len(theories)), -1, dtype="int8")
    for o, (name, by_theory) in enumerate(laws.items()):
        for t, theory in enumerate(theories):
            for c, law in enumerate(by_theory[theory]):
                if law is not None:
                    tables[name][c, t] = law.quantile(levels)
                    point_mass[c, o, t] = law.is_point_mass
    return tables, point_mass


def checksum(values: np.ndarray) -> str:
    """blake2b of the values in C order, little endian."""
    data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()
