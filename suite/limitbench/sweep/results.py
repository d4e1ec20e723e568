"""Results as readers see them: found in a storage, checked, opened with xarray, in words and in increasing order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.errors import InputError
from limitbench.sweep.cell_status import run_table
from limitbench.sweep.intact import check_arrays, check_chunks, check_coordinates, intact
from limitbench.sweep.looks import looks_of
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.paths import Paths, paths_of
from limitbench.sweep.spec import LEVEL, Spec
from limitbench.sweep.storage import Storage, open_storage
from limitbench.sweep.store import SCORES, read_root

if TYPE_CHECKING:
    import xarray as xr


def open_results(path: str | Path) -> xr.DataTree:
    """Open the results of one study, lazily, with verdicts and statuses as words and every axis increasing.

    Arguments:
        path: a `<study>.zarr`, or a directory or URL that holds exactly one.

    Returns:
        Groups `samples`, `laws`, `scores`, `run` and, once a run has finished, `claims`. Every group has the axes of
        the grid as coordinates. Samples that were not drawn are NaN: those beyond `n_samples`, or of blocks set aside.

    Raises:
        InputError: no result store, more than one, damaged metadata or coordinates. A damaged chunk of another array
            is an error of zarr's own once it is read.
        StoreError: the storage is out of reach.
    """
    if str(path).rstrip("/").endswith(".zarr"):
        return open_study(paths_of(path))
    stores = find_stores(open_storage(path))
    if len(stores) != 1:
        accepted = "a result store, or a directory with exactly one"
        names = ": " + ", ".join(paths.store for paths in stores) if stores else ""
        raise InputError("store", str(path), accepted + names)
    return open_study(stores[0])


def open_study(paths: Paths, table: Mapping[str, np.ndarray] | None = None) -> xr.DataTree:
    """`open_results` of the store at `paths`, with `table` (`run_table`) as its group `run` where it is known."""
    import xarray as xr

    import limitbench.accessors  # noqa: F401  # `tree.limitbench`

    with paths.storage.guarded():
        if not paths.storage.exists(paths.root) and paths.store not in paths.storage.folders():
            raise InputError("store", paths.label, "an existing result store")
        spec, attributes = read_root(paths)
        check_arrays(paths, spec)
        store: Any = paths.storage.zarr(paths.store, read_only=True)
        with intact(paths, "coordinates and claims, which another run into it makes anew"):
            tree = xr.open_datatree(store, engine="zarr", consolidated=True, chunks=None)
            check_coordinates(tree, spec)
        if table is None and not attributes.get("finalised"):  # going on or cut short: its markers know
            table = run_table(spec, read_markers(paths, DONE), read_markers(paths, FAILED))
        if table is not None:
            present = tree["run"].to_dataset()
            tree["run"] = xr.DataTree(present.assign({k: present[k].copy(data=v) for k, v in table.items()}))
        counts = tree["run"]["n_samples"]
        looks = {name: (counts.dims, values) for name, values in _looks(spec, counts.to_numpy()).items()}
        tree["run"] = xr.DataTree(tree["run"].to_dataset().assign(looks))
        order = {name: i for i, name in enumerate((*spec.meaning.observables, "point_mass", *SCORES, "verdict"))}
        grid = spec.axis_grid()
        increasing = {
            name: sorted(range(len(values)), key=values.__getitem__)
            for name, values in grid.as_dict().items()
            if list(values) != sorted(values)
        }
        with intact(paths, "arrays"):
            try:
                return tree.map_over_datasets(lambda data: _readable(data, order, increasing))
            except Exception:
                check_chunks(paths)
                raise


def _looks(spec: Spec, samples: np.ndarray) -> dict[str, np.ndarray]:
    """`looks` that each cell took, 0 where it has a fixed number of networks, and `level` of its scores' intervals."""
    looks, levels = np.zeros(samples.shape, dtype=int), np.full(samples.shape, LEVEL)
    for position, column in spec.axis_grid().columns() if spec.first else ():
        found = looks_of(spec, column.slug)
        if found.sequential:
            reached = [found.plan.reaching(int(n) // spec.meaning.block_samples) for n in samples[position]]
            looks[position] = np.where(samples[position] > 0, np.add(reached, 1), 0)
            levels[position] = [found.plan.levels[look] for look in reached]
    return {"looks": looks, "level": levels}


def find_stores(storage: Storage) -> list[Paths]:
    """Result stores directly under the root: named like a study, or with markers beside them."""
    from limitbench import studies

    with storage.guarded():
        folders = storage.folders()
    known = {*studies.known(), *(name.removesuffix(".run") for name in folders if name.endswith(".run"))}
    names = [name.removesuffix(".zarr") for name in folders if name.endswith(".zarr")]
    return [Paths(storage, name) for name in names if name in known]


def _readable(data: xr.Dataset, order: Mapping[str, int], increasing: Mapping[str, list[int]]) -> xr.Dataset:
    data = data.isel({name: positions for name, positions in increasing.items() if name in data.dims})
    changed: dict[Any, tuple[Any, np.ndarray, Any]] = {}
    for name, variable in data.variables.items():
        meanings = variable.attrs.get("flag_meanings")
        if variable.dtype.kind in "TO":
            changed[name] = (variable.dims, np.array(variable.to_numpy().tolist(), dtype=str), variable.attrs)
        elif isinstance(meanings, str):
            words = np.array([*meanings.split(), ""])  # the fill value -1 finds the empty word
            attributes = {k: v for k, v in variable.attrs.items() if not str(k).startswith("flag_")}
            changed[name] = (variable.dims, words[variable.to_numpy()], attributes)
    data = data.assign({k: v for k, v in changed.items() if k not in data.coords})
    data = data.assign_coords({k: v for k, v in changed.items() if k in data.coords})
    names: list[str] = sorted(str(name) for name in data)
    names.sort(key=lambda name: order.get(name, len(order)))
    return data[names]
