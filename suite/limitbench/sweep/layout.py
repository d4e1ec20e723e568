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
from limitbench.sweep.store import SCORES, Paths, check_arrays, chunk_path, create_store, read_spec, store_attributes


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
    check_arrays(current, spec)
    if paths.run.exists() and not paths.run.is_dir():
        raise InputError("store", str(paths.run), "a directory of markers")
    return spec


def check_writable(out: Path) -> None:
    """Raises `InputError` where no file can be made under `out`; leaves nothing behind."""
    missing: list[Path] = []
    probe = out / ".limitbench-probe"
    try:
        missing = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = getattr(error, "strerror", None) or error
        raise InputError("out", str(out), f"a directory that can be written ({reason})") from None
    finally:
        for folder in missing:
            if folder.is_dir():
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
    stored, attributes = read_spec(paths.store)
    done = valid_markers(paths, spec, stored)
    if stored != spec:
        _build(paths, spec, (stored, str(attributes.get("created", ""))), done)
        _swap(paths)
    return done


def valid_markers(paths: Paths, spec: Spec, stored: Spec) -> dict[str, Marker]:
    """Markers of finished units whose numbers are those that `spec` asks for; others are left on disk.

    A unit counts only where its chunks lie in the store, laid out as `stored`, at their full sizes.
    """
    found = read_markers(paths.run, DONE)
    places = {column.slug: position for position, column in stored.axis_grid().columns()}
    valid = {}
    for _, column in spec.axis_grid().columns():
        blocks = spec.samples[column.slug] // spec.meaning.block_samples
        if column.slug not in places:
            continue
        for name in (*(block_id(column, k) for k in range(blocks)), score_id(column)):
            marker = found.get(name, {})
            same = marker.get("spec_hash") == spec.meaning.hash and marker.get("depths") == list(column.depths)
            if same and _whole(paths, marker, places[column.slug]):
                valid[name] = marker
    return valid


def _whole(paths: Paths, marker: Marker, position: tuple[int, ...]) -> bool:
    for array, size in marker["sizes"].items():
        trailing = (marker["number"],) if marker["kind"] == "samples" else (0, 0)
        try:
            if (paths.store / chunk_path(array, position, *trailing)).stat().st_size != size:
                return False
        except OSError:
            return False
    return True


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
        leftover.unlink() if leftover.is_file() else shutil.rmtree(leftover, ignore_errors=True)


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
                yield chunk_path(f"samples/{name}", old, number), chunk_path(f"samples/{name}", new, number)
    blocks = list(range(spec.samples[column.slug] // spec.meaning.block_samples))
    if done.get(score_id(column), {}).get("key", {}).get("blocks") == blocks:  # else they will be computed anew
        arrays = itertools.chain(
            (("laws", name) for name in (*names, "point_mass")), (("scores", name) for name in (*SCORES, "verdict"))
        )
        for group, name in arrays:
            yield chunk_path(f"{group}/{name}", old, 0, 0), chunk_path(f"{group}/{name}", new, 0, 0)


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
