"""Whether a store is intact: what is damaged is named in one line, and never read as numbers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from limitbench.errors import InputError, StoreError
from limitbench.statistics.laws import quantile_levels
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Spec
from limitbench.sweep.store import CODECS, DATA_TYPES, RUN, arrays_of, open_root, root_document, sample_length

if TYPE_CHECKING:
    import xarray as xr


@contextmanager
def intact(paths: Paths, what: str) -> Iterator[None]:
    """Inside, an error that is not the storage's means a damaged store: zarr and xarray raise many types."""
    try:
        with paths.storage.guarded():
            yield
    except (InputError, StoreError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise InputError("store", paths.label, f"a result store with intact {what} ({reason})") from None


def check_coordinates(tree: xr.DataTree, spec: Spec) -> None:
    """Raises `ValueError` where a coordinate is not that of the spec: a lost chunk reads as fill values."""
    meaning, grid = spec.meaning, spec.axis_grid()
    trailing = {"observable": meaning.observables, "theory": meaning.theories, "quantile": quantile_levels()}
    wanted: dict[str, Any] = {**trailing, **grid.as_dict()}
    for group in ("samples", "laws", "scores", "run"):
        found = tree[group].coords
        for name in grid.names if group in ("samples", "run") else (*grid.names, "observable", "theory"):
            if name not in found:
                raise ValueError(f"{group}/{name} is missing")
        for name in wanted.keys() & set(map(str, found)):
            if found[name].to_numpy().tolist() != list(wanted[name]):
                raise ValueError(f"{group}/{name} is not that of the spec")


def check_chunks(paths: Paths) -> None:
    """Raises `InputError` that names the first chunk that cannot be read. Reads the whole store."""
    for chunk, error in _unreadable(paths):
        with intact(paths, f"chunks; another run into it makes {chunk} anew"):
            raise error


def damaged_chunks(paths: Paths) -> list[str]:
    """Names of the chunks of samples, laws and scores that cannot be read. Reads the whole store."""
    return [chunk for chunk, _ in _unreadable(paths) if chunk.split("/")[0] in ("samples", "laws", "scores")]


def _unreadable(paths: Paths) -> Iterator[tuple[str, Exception]]:
    import zarr

    with paths.storage.guarded():
        root = open_root(paths, consolidated=True)
    for name, array in sorted(root.members(max_depth=None)):
        if not isinstance(array, zarr.Array):
            continue
        with intact(paths, f"array {name}"):
            places = list(itertools.product(*map(range, array.cdata_shape)))
        for place in places:
            try:
                with paths.storage.guarded():
                    array.blocks[place]
            except StoreError:
                raise
            except Exception as error:
                yield "/".join([name, "c", *map(str, place)]), error


def check_arrays(paths: Paths, spec: Spec) -> None:
    """Raises `InputError` where an array of the store is missing or its metadata are damaged."""
    import zarr

    shape, names, theories = spec.axis_grid().shape, spec.meaning.observables, len(spec.meaning.theories)
    arrays = {f"samples/{name}": (*shape, sample_length(spec)) for name in names}
    arrays |= {f"laws/{name}": (*shape, theories, len(quantile_levels())) for name in names}
    arrays |= dict.fromkeys(arrays_of(spec.meaning, "scores")[len(names) :], (*shape, len(names), theories))
    arrays |= dict.fromkeys((f"run/{name}" for name in RUN), shape)
    arrays["run/skipped"] = (*shape, theories)
    column = (*(1 for _ in shape[1:]), shape[-1])
    with intact(paths, "metadata"):
        _check_objects(paths)
        root = open_root(paths, consolidated=True)
        for name in ("samples", "laws", "scores", "run"):
            if not isinstance(root[name], zarr.Group):
                raise ValueError(f"{name} is no group")
        for name, wanted in arrays.items():
            array = root[name]
            if not isinstance(array, zarr.Array) or array.shape != wanted:
                raise ValueError(f"{name} has another shape than the spec")
            trailing = (spec.meaning.block_samples,) if name.startswith("samples/") else wanted[len(shape) :]
            if not name.startswith("run/") and array.chunks != (*column, *trailing):
                raise ValueError(f"{name} has other chunks than the spec")


def _check_objects(paths: Paths) -> None:
    """Raises `ValueError` where an array's own metadata are not those that the root holds of it, or of no kind of ours.

    A store says which codecs read it, and codecs are code: only those that stores are written with are accepted.
    Shapes may differ, as they do where growing was cut short; claims may be missing: every run makes them anew.
    """
    held: dict[str, Any] = root_document(paths)["consolidated_metadata"]["metadata"]
    for name, found in held.items():
        codecs = {codec["name"] for codec in found.get("codecs", ())}
        if found["node_type"] == "array" and not (codecs <= CODECS and found["data_type"] in DATA_TYPES):
            raise ValueError(f"{name} is written in another way than limitbench does it")
    names = {f"{paths.store}/{name}/zarr.json": name for name in held if name.split("/")[0] != "claims"}
    with paths.storage.guarded():
        for place, data in paths.storage.read_many(names):
            wanted, found = held[names[place]], json.loads(data or b"{}")
            fields = wanted.keys() - {"shape", "chunk_grid"} if wanted["node_type"] == "array" else ("node_type",)
            if not isinstance(found, dict) or any(found.get(field) != wanted[field] for field in fields):
                raise ValueError(f"{names[place]}/zarr.json is missing or not that of {names[place]}")
