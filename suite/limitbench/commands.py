"""What the sub-commands do once their options are checked: call the rooms below and print tables."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limitbench import studies
from limitbench.errors import NOTHING, InputError, one_line
from limitbench.sweep.paths import Paths
from limitbench.sweep.storage import SCHEMES, is_url, open_storage

if TYPE_CHECKING:
    import xarray as xr

    from limitbench.config import RunOptions
    from limitbench.studies.base import Study

#: Options that concern dry runs alone.
DRY = ("dry_run", "core_hour_price")
#: Seconds between two looks at a run that is watched.
LOOK_SECONDS = 5.0
#: File of the report in the directory of a run.
PAGE = "report.html"

VERDICT_STYLE = {"holds": "green", "fails": "red", "undecided": "yellow"}


def run(options: RunOptions) -> bool:
    """Run the studies that `options` name, write the report, print a summary; True where every block is stored.

    Everything that can be refused is checked for all studies before the first one starts.
    """
    chosen = _chosen(options)
    _check_out(options)
    chosen = [_with_theories(study, options) for study in chosen]
    grids, samples = _own_axes(chosen, options.grid), _own_samples(chosen, options)
    from limitbench.networks.training_data import using
    from limitbench.sweep.progress import Terminal
    from limitbench.sweep.ray_session import ray_session
    from limitbench.sweep.run import on_data
    from limitbench.sweep.run import run as run_study

    # Fields are named like the parameters of `limitbench.run`, but for those that only the command line has.
    own = {"studies", "every", "grid", "theories", "samples", "no_report", "data"}
    passed_on = options.model_dump(exclude={*own, *DRY})
    with ExitStack() as session:
        images = session.enter_context(using(options.data))
        if images is not None:
            for study in _training(chosen, options):
                grids[study.name] = on_data(study, grids[study.name], images)
        if options.dry_run:
            _estimate(chosen, options, grids, samples)
            return True
        for study in chosen:
            with _named(study, chosen):
                _check(study, options, grids[study.name])
        if options.executor == "ray":
            # one Ray, and the same workers, for all studies
            session.enter_context(ray_session(options.address, options.workers, keep_workers=len(chosen) > 1))
        progress = session.enter_context(Terminal())
        for study in chosen:
            if samples[study.name] != options.samples:
                progress.note(
                    f"{study.name}: samples of the preset, as {options.samples} are above {study.most_samples}"
                )
        trees = {
            s.name: run_study(s, grids[s.name], samples=samples[s.name], progress=progress, **passed_on) for s in chosen
        }
    console = Console()
    if len(trees) > 1:
        console.print(_tally(trees))
    for name, tree in trees.items():
        console.print(*_claims(name, tree, failures_only=len(trees) > 1), sep="\n")
    failed = _set_aside(options.out, trees)
    for name, blocks in failed.items():
        console.print(
            f"[red]{name}: {blocks} blocks failed and were set aside[/red]; the same command tries them again"
        )
    if not options.no_report:
        report([options.out], None)
    return not failed


def status(directory: str, *, watch: bool = False, every: str | None = None, as_json: bool = False) -> bool:
    """Print how far every store in `directory` is, with `watch` again and again; True where all are complete.

    Raises `InputError` where there is no store, or `every` is no number of seconds.
    """
    if every is not None and not watch:
        raise InputError("--every", every, "nothing without --watch")
    try:
        seconds = float(every or LOOK_SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 86400:
        raise InputError("--every", every, "a number of seconds, 0.1 to 86400")
    _require_stores(directory)
    from limitbench.watch import show

    return show(directory, every=seconds if watch else None, as_json=as_json)


def report(directories: Sequence[str], output: str | None) -> None:
    """Render one page from the stores under `directories` and print where it is; `InputError` where there are none."""
    for directory in directories:
        _require_stores(directory)
    page = output or f"{directories[0].rstrip('/')}/{PAGE}"
    if not is_url(page) and not _is_writable_file(Path(page)):
        raise InputError("--output", page, "a file in an existing directory")
    from limitbench.report import render

    try:
        render(list(directories), page)
    except OSError as error:
        raise InputError("--output", page, f"a file that can be written ({error.strerror})") from None
    Console().print(f"report: {one_line(page)}", highlight=False, markup=False, soft_wrap=True)


def _is_writable_file(page: Path) -> bool:
    try:
        return page.parent.is_dir() and not page.is_dir()
    except OSError:  # for example a name that is too long
        return False


def _chosen(options: RunOptions) -> list[Study]:
    names = studies.names() if options.every else tuple(dict.fromkeys(options.studies))
    if not names:
        raise InputError("STUDY", NOTHING, "one or more of " + ", ".join(studies.known()) + ", or --all")
    offered = {theory: None for name in names for theory in studies.competitors(name)}
    for theory in options.theories:
        if theory not in offered:
            accepted = ", ".join(offered) or "nothing, as no installed package has one"
            raise InputError("--theory", theory, f"a theory that competes in {', '.join(names)}: {accepted}")
    if options.executor == "serial":
        for field in ("address", "workers", "block_seconds", "block_memory"):
            if (value := getattr(options, field)) is not None:
                name = field.replace("_", "-")
                raise InputError(f"--{name}", value, "nothing with --executor serial, which runs in this process")
    if options.core_hour_price is not None and not options.dry_run:
        raise InputError("--core-hour-price", options.core_hour_price, "nothing without --dry-run")
    if not options.retry_failed:
        return [studies.get(name) for name in names]
    for field in ("grid", "theories", "samples", "preset", "sampler", "seed", "tolerance", "margin"):
        if field in options.model_fields_set and (value := getattr(options, field)) not in ({}, ()):
            name = {"grid": "--set", "theories": "--theory"}.get(field, f"--{field}")
            raise InputError(name, value, "nothing with --retry-failed, which goes by what the store holds")
    from limitbench.sweep.layout import read_existing

    storage = open_storage(options.out)
    chosen = [studies.get(name) for name in names]
    return [study for study in chosen if len(names) == 1 or read_existing(Paths(storage, study.name)) is not None]


def _with_theories(study: Study, options: RunOptions) -> Study:
    """`study` with the theories of other packages that were asked for; if none were, with those that its store has."""
    offered, wanted = studies.competitors(study.name), options.theories
    if not offered:
        return study
    if not wanted:
        from limitbench.sweep.layout import read_existing

        stored = read_existing(Paths(open_storage(options.out), study.name))
        wanted = () if stored is None else tuple(stored.meaning.theories)
    return studies.get(study.name, [theory for theory in wanted if theory in offered])


def _training(chosen: Sequence[Study], options: RunOptions) -> list[Study]:
    """Those of the chosen studies that train networks on images; `InputError` where there is none."""
    from limitbench.sweep.run import DATA_AXIS

    found = [study for study in chosen if DATA_AXIS in {axis.name for axis in study.axes}]
    if not found:
        names = ", ".join(study.name for study in chosen)
        raise InputError("--data", str(options.data), f"nothing for {names}: no networks are trained there")
    return found


def _check_out(options: RunOptions) -> None:
    """Raises `InputError` where the system accepts no directory of this name, or the report could not be written."""
    if is_url(options.out):
        open_storage(options.out).check_writable()
        return
    if options.out.startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):  # one slash is missing, or both
        accepted = "s3://BUCKET/PREFIX, or a directory (./NAME where its name begins so)"
        raise InputError("--out", options.out, accepted)
    out = Path(options.out).absolute()
    try:
        # Each name by itself too: below a directory that is yet to be made, the system does not look at the rest.
        for name in (str(out), *(f"{out.anchor}{part}" for part in out.parts[1:])):
            with suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(name)
        present = next(folder for folder in (out, *out.parents) if folder.exists())
        if not present.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except (OSError, ValueError) as error:
        raise InputError("--out", options.out, f"a directory ({getattr(error, 'strerror', error)})") from None
    if not options.no_report and (out / PAGE).is_dir():
        raise InputError("report", str(Path(options.out) / PAGE), "a file that can be written, not a directory")


def _own_axes(chosen: Sequence[Study], grid: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """By study, the axes of `grid` that it has; one that no chosen study has is for `resolve_grid` to refuse."""
    known = {axis.name for study in chosen for axis in study.axes}
    return {
        study.name: {
            name: values
            for name, values in grid.items()
            if name not in known or name in {axis.name for axis in study.axes}
        }
        for study in chosen
    }


def _own_samples(chosen: Sequence[Study], options: RunOptions) -> dict[str, int | None]:
    """Samples by study: those of the preset (None) where several are run and one may not ask for as many."""
    from limitbench.sweep.run import check_samples

    found: dict[str, int | None] = {study.name: options.samples for study in chosen}
    for study in chosen:
        try:
            check_samples(study, options.samples, "--samples")
        except InputError:
            if len(chosen) == 1:
                raise
            found[study.name] = None
    return found


def _check(study: Study, options: RunOptions, own_grid: Mapping[str, object]) -> None:
    """Raises `InputError` where this study would refuse `options`; changes nothing."""
    from limitbench.sweep.grid import resolve_grid
    from limitbench.sweep.layout import read_existing
    from limitbench.sweep.run import resolve_device
    from limitbench.sweep.spec import check_same_meaning, meaning_of

    grid = resolve_grid(study, study.presets[options.preset].grid, own_grid)
    paths = Paths(open_storage(options.out), study.name)
    stored = read_existing(paths)
    if options.retry_failed:
        return
    device, generator = resolve_device(options.device, options.generator, stored)
    if stored is not None:
        asked = meaning_of(study, grid, options.sampler, options.seed, device, generator)
        check_same_meaning(stored.meaning, asked, paths.label)


@contextmanager
def _named(study: Study, chosen: Sequence[Study]) -> Iterator[None]:
    """Inside, an `InputError` says which of several studies refuses the value."""
    try:
        yield
    except InputError as error:
        field = error.field if len(chosen) == 1 else f"{error.field} (of {study.name})"
        raise InputError(field, error.value, error.accepted) from None


def _estimate(
    chosen: Sequence[Study],
    options: RunOptions,
    grids: Mapping[str, Mapping[str, object]],
    samples: Mapping[str, int | None],
) -> None:
    """Print what the run would take; `InputError` where it would be refused. Writes nothing and starts no Ray."""
    from limitbench.estimate import Estimate, usable_cores
    from limitbench.sweep.dry_run import survey
    from limitbench.sweep.executors import UNIT_SECONDS

    surveys, storage = [], open_storage(options.out)
    shared = ("sampler", "seed", "margin", "tolerance", "device", "generator", "retry_failed")
    same = {name: getattr(options, name) for name in shared}
    for study in chosen:
        preset = study.presets[options.preset]
        layers = (preset.grid, grids[study.name])
        with _named(study, chosen):
            paths = Paths(storage, study.name)
            surveys.append(survey(study, paths, *layers, preset=preset, samples=samples[study.name], **same))
    workers = 1 if options.executor == "serial" else options.workers or usable_cores()
    estimate = Estimate(surveys, workers, options.block_seconds or UNIT_SECONDS, options.core_hour_price)
    console = Console()
    console.print(*estimate.tables())
    for note in estimate.notes():
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    console.print("dry run: nothing was written, no worker was started", highlight=False)


def _require_stores(directory: str) -> None:
    from limitbench.sweep.results import find_stores

    try:
        stores = find_stores(open_storage(directory))
    except OSError:  # for example a name that is too long
        stores = []
    if not stores:
        raise InputError("DIR", directory, "the output directory of a run, with a STUDY.zarr in it")


def _tally(trees: Mapping[str, xr.DataTree]) -> Table:
    """Claims of every study by verdict."""
    table = new_table("study", *VERDICT_STYLE, "not measured", title="claims")
    for name, tree in trees.items():
        claims = tree["claims"].to_dataset()
        measured = np.isfinite(claims["measured"].to_numpy())
        found = claims["verdict"].to_numpy()[measured].astype(str)
        counts = {verdict: int((found == verdict).sum()) for verdict in VERDICT_STYLE}
        cells = (f"[{VERDICT_STYLE[verdict]}]{n}" if n else "0" for verdict, n in counts.items())
        table.add_row(name, *cells, str(int((~measured).sum())))
    return table


def _claims(name: str, tree: xr.DataTree, failures_only: bool = False) -> list[Table | str]:
    """The claims that this run measured, and how many it could not; or those that fail, and nothing where none does."""
    from limitbench.studies.base import RELATION_MARK

    claims = tree["claims"].to_dataset()
    shown = np.isfinite(claims["measured"].to_numpy())
    if failures_only:
        shown &= claims["verdict"].to_numpy() == "fails"
        if not shown.any():
            return []
    measured = claims.isel(claim=shown)
    title = f"{name}: claims that fail" if failures_only else f"{name}: claims"
    table = new_table("claim", "predicted", "measured", "s.e.", "D", "verdict", title=title)
    for position in range(measured.sizes["claim"]):
        row = {field: measured[field].to_numpy()[position] for field in ("predicted", "measured", "se", "distance")}
        verdict = str(measured["verdict"].to_numpy()[position])
        row["distance"] = np.maximum(row["distance"], 0.0)  # debiased, so that noise alone may be below
        numbers = [_number(float(value)) for value in row.values()]
        numbers[0] = f"{RELATION_MARK.get(str(measured['relation'].to_numpy()[position]), '')}{numbers[0]}"
        text = escape(one_line(measured["text"].to_numpy()[position]))
        table.add_row(text, *numbers, f"[{VERDICT_STYLE.get(verdict, 'default')}]{escape(one_line(verdict))}")
    lacking = 0 if failures_only else claims.sizes["claim"] - measured.sizes["claim"]
    note = f"{lacking} more claims need cells that this run does not have (see the report)" if lacking else ""
    return [table, note] if measured.sizes["claim"] else [note]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _set_aside(out: str, names: Container[str]) -> dict[str, int]:
    from limitbench.sweep.run import status as sweep_status

    return {
        state.study: state.blocks_failed for state in sweep_status(out) if state.study in names and state.blocks_failed
    }


def new_table(*columns: str, title: str | None = None) -> Table:
    """An empty table that folds what is too long and never cuts a name or a number short."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(*parts: object) -> None:
    Console().print(*parts)
