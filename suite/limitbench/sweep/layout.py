"""Laying a store out: creating it, and growing it without ever losing or moving a finished number.

Values of axes and samples are added behind the present ones: chunks stay where they are, and one write of the root's
metadata makes the store the larger one. Other depths change what every chunk holds; then all is drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from limitbench.errors import InputError
from limitbench.sweep.blocks import block_id, score_id
from limitbench.sweep.grid import Column
from limitbench.sweep.intact import check_arrays
from limitbench.sweep.markers import DONE, FAILED, Marker, read_markers, remove_marker
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import (
    arrays_of,
    chunk_path,
    layout_hash,
    mark_unfinished,
    mend_metadata,
    read_root,
    write_metadata,
)


def read_existing(paths: Paths) -> Spec | None:
    """The spec of the store that is there, None where there is none; changes nothing.

    Raises:
        InputError: the store is damaged or belongs to another study.
    """
    with paths.storage.guarded():
        if not paths.storage.exists(paths.root) and paths.store not in paths.storage.folders():
            return None
        if not paths.storage.exists(paths.root) and not _worth_keeping(paths):
            return None
    spec, _ = read_root(paths)
    if spec.meaning.study != paths.study:
        raise InputError("store", paths.label, f"a store of the study {paths.study}, not of {spec.meaning.study}")
    check_arrays(paths, spec)
    return spec


def spec_of(paths: Paths) -> Spec | None:
    """The spec of the store, None where there is no whole one; the rest of the store is not looked at."""
    return read_root(paths)[0] if paths.storage.exists(paths.root) else None


def _worth_keeping(paths: Paths) -> bool:
    """Whether a store without its root's metadata holds finished units; one that was never whole does not."""
    return next(paths.storage.entries(f"{paths.run}/{DONE}"), None) is not None


def lay_out(paths: Paths, spec: Spec) -> dict[str, Marker]:
    """Make the store hold exactly `spec`; the markers of units that are finished in it.

    Creates the store, sweeps partial files, grows the store where `spec` is larger than what it holds.
    """
    if not paths.storage.exists(paths.root):
        paths.storage.remove_all(paths.run)  # markers without their arrays prove nothing
        paths.storage.remove_all(paths.store)
        write_metadata(paths, spec)
        return {}
    paths.storage.sweep(paths.store)
    paths.storage.sweep(paths.run)
    stored, attributes = read_root(paths)
    if stored == spec:
        mend_metadata(paths, spec)
        return valid_markers(paths, spec, stored)
    if layout_hash(stored) != layout_hash(spec):
        mark_unfinished(paths)
        paths.storage.remove_all(f"{paths.run}/{DONE}")
        for array in (*arrays_of(spec.meaning, "samples"), *arrays_of(spec.meaning, "scores")):
            paths.storage.remove_all(f"{paths.store}/{array}/c")  # the metadata stay: the store is one all the while
    write_metadata(paths, spec, str(attributes.get("created", "")) or None)
    return valid_markers(paths, spec, stored)


def valid_markers(
    paths: Paths, spec: Spec, stored: Spec, found: Mapping[str, Marker] | None = None, *, sized: bool = True
) -> dict[str, Marker]:
    """Markers of finished units whose numbers are those that `spec` asks for; others are left where they are.

    A unit counts only where its chunks lie in the store, laid out as `stored`, at their full sizes.

    Arguments:
        found: markers, where they were read before.
        sized: whether to look for the chunks.
    """
    found, wanted = read_markers(paths, DONE) if found is None else found, spec.meaning.hash
    places = {column.slug: position for position, column in stored.axis_grid().columns()}
    columns = {column.slug: column for _, column in spec.axis_grid().columns()}
    size = paths.storage.sizes(paths.store) if found and sized else lambda _: None
    valid = {}
    for name, marker in found.items():
        slug = name.rpartition(".")[0]
        if slug not in columns or slug not in places or not _stands_for(marker, columns[slug], spec, wanted):
            continue
        if not sized or all(
            size(f"{paths.store}/{chunk}") == expected
            for chunk, expected in _chunks(marker, places[slug]).items()
        ):  # fmt: skip
            valid[name] = marker
    return valid


def _stands_for(marker: Marker, column: Column, spec: Spec, wanted: str) -> bool:
    """Whether a marker tells of a unit of `column` that `spec` asks for (its hash is `wanted`), with every array.

    Where sampling is sequential, a block of some of the cells is one too.
    """
    meaning, scores = spec.meaning, marker["kind"] == "scores"
    partial = column.slug in spec.first and not scores and set(marker["depths"]) < set(column.depths)
    if marker["spec_hash"] != wanted or not (partial or marker["depths"] == list(column.depths)):
        return False
    if not scores and marker["number"] >= spec.samples[column.slug] // meaning.block_samples:
        return False
    name = score_id(column) if scores else block_id(column, marker["number"])
    filled: set[str] = set(marker["sizes"])
    return bool(marker["block"] == name) and filled == set(arrays_of(meaning, marker["kind"]))


def _chunks(marker: Marker, position: tuple[int, ...]) -> dict[str, int]:
    """Bytes of the chunks of a finished unit, by name under the store."""
    trailing = (marker["number"],) if marker["kind"] == "samples" else (0, 0)
    return {chunk_path(array, position, *trailing): size for array, size in marker["sizes"].items()}


def forget(paths: Paths, name: str) -> None:
    """Remove the marker of a unit whose data turned out damaged."""
    remove_marker(paths, DONE, name)


def units_set_aside(paths: Paths, done: Mapping[str, Marker]) -> set[str]:
    """Names of the units that earlier runs set aside; markers of those that are `done` all the same are removed."""
    failed = set(read_markers(paths, FAILED))
    for name in failed & done.keys():
        remove_marker(paths, FAILED, name)
    return failed - done.keys()
