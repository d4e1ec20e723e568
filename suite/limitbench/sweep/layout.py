"""Laying a store out: creating it, and growing it without ever losing or moving a finished number.

A grown store is built beside the present one from hard links to the finished chunks at their places in the larger
grid, then takes its place by rename. Whatever moment the machine stops at, either the present or the grown store is
found whole, and the result is the same as that of one run over the larger grid.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from limitbench.errors import InputError
from limitbench.sweep.blocks import block_id, score_id
from limitbench.sweep.grid import Column
from limitbench.sweep.markers import DONE, FAILED, Marker, read_markers, remove_marker, sweep_partial_files
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import SCORES, Paths, create_store, read_spec, store_attributes


def read_existing(paths: Paths) -> Spec | None:
    """The spec of the store that is there, None where there is none; changes nothing.

    Raises:
        InputError: the store is damaged or belongs to another study.
    """
    current = paths.current()
    if current is None:
        return None
    spec, _ = read_spec(current)
    if spec.meaning.study != paths.study:
        raise InputError("store", str(current), f"a store of the study {paths.study}, not of {spec.meaning.study}")
    return spec


def check_writable(out: Path) -> None:
    """Raises `InputError` where no file can be made under `out`; leaves nothing behind."""
    existing = next(parent for parent in (out, *out.parents) if parent.exists())
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    probe = out / ".limitbench-probe"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError("out", str(out), f"a directory that can be written ({error.strerror or error})") from None
    finally:
        for folder in missing:
            if folder != existing and folder.is_dir():
                folder.rmdir()


def lay_out(paths: Paths, spec: Spec) -> dict[str, Marker]:
    """Make the store on disk hold exactly `spec`; the markers of units that are finished in it.

    Creates the store, finishes or undoes a swap that was cut short, sweeps partial files, grows the store where `spec`
    is larger than what it holds.
    """
    _recover(paths)
    if not paths.store.exists():
        shutil.rmtree(paths.run, ignore_errors=True)  # markers without their arrays prove nothing
        _build(paths, spec, None, {})
        _swap(paths)
        return {}
    sweep_partial_files(paths.store, paths.run)
    done = valid_markers(paths, spec)
    stored, attributes = read_spec(paths.store)
    if stored != spec:
        _build(paths, spec, (stored, str(attributes["created"])), done)
        _swap(paths)
    return done


def valid_markers(paths: Paths, spec: Spec) -> dict[str, Marker]:
    """Markers of finished units whose numbers are those that `spec` asks for; others are left on disk."""
    found = read_markers(paths.run, DONE)
    valid = {}
    for _, column in spec.axis_grid().columns():
        blocks = spec.samples[column.slug] // spec.meaning.block_samples
        for name in (*(block_id(column, k) for k in range(blocks)), score_id(column)):
            marker = found.get(name, {})
            if marker.get("spec_hash") == spec.meaning.hash and marker.get("depths") == list(column.depths):
                valid[name] = marker
    return valid


def forget(paths: Paths, name: str) -> None:
    """Remove the marker of a unit whose data turned out damaged."""
    remove_marker(paths.run, DONE, name)


def clear_failures(paths: Paths) -> None:
    """Remove the markers of units that failed in an earlier run: every run gives them fresh attempts."""
    for name in read_markers(paths.run, FAILED):
        remove_marker(paths.run, FAILED, name)


def _recover(paths: Paths) -> None:
    if not paths.store.exists() and paths.old.exists() and paths.next.exists():
        paths.next.rename(paths.store)  # the swap had begun, so the larger store is whole
    for leftover in (paths.next, paths.old):
        shutil.rmtree(leftover, ignore_errors=True)


def _build(paths: Paths, spec: Spec, before: tuple[Spec, str] | None, done: dict[str, Marker]) -> None:
    paths.next.parent.mkdir(parents=True, exist_ok=True)
    create_store(paths.next, spec, store_attributes(spec, before[1] if before else None))
    if before is None:
        return
    places = {column.slug: (position, column) for position, column in before[0].axis_grid().columns()}
    for position, column in spec.axis_grid().columns():
        old = places.get(column.slug)
        if old is None:
            continue
        for source, target in _chunks(spec, column, old[0], position, done):
            _link(paths.store / source, paths.next / target)


def _chunks(
    spec: Spec, column: Column, old: tuple[int, ...], new: tuple[int, ...], done: dict[str, Marker]
) -> Iterator[tuple[str, str]]:
    """Path of every finished chunk of a column, in the present store and in the grown one."""
    names = spec.meaning.observables
    for number in range(spec.samples[column.slug] // spec.meaning.block_samples):
        if block_id(column, number) in done:
            for name in names:
                yield chunk_path("samples", name, old, number), chunk_path("samples", name, new, number)
    blocks = list(range(spec.samples[column.slug] // spec.meaning.block_samples))
    if done.get(score_id(column), {}).get("key", {}).get("blocks") == blocks:  # else they will be computed anew
        arrays = itertools.chain(
            (("laws", name) for name in (*names, "point_mass")), (("scores", name) for name in (*SCORES, "verdict"))
        )
        for group, name in arrays:
            yield chunk_path(group, name, old, 0, 0), chunk_path(group, name, new, 0, 0)


def chunk_path(group: str, name: str, position: tuple[int, ...], *trailing: int) -> str:
    """Path of a chunk under the store: the column's position, 0 along depth, then the trailing dimensions."""
    return "/".join([group, name, "c", *map(str, (*position, 0, *trailing))])


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        return  # a chunk that was removed by hand: its checksum will fail when the column is scored
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _swap(paths: Paths) -> None:
    if paths.store.exists():
        paths.store.rename(paths.old)
    paths.next.rename(paths.store)
    shutil.rmtree(paths.old, ignore_errors=True)
