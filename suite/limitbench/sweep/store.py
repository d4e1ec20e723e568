"""The result store: one zarr hierarchy per study, whose metadata the driver makes and whose chunks workers fill.

Every axis but depth has chunk length 1, so a column owns its chunks: workers never share one. Metadata are complete
before the first chunk is written and never change while workers run.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.errors import InputError
from limitbench.statistics.laws import quantile_levels
from limitbench.sweep.cell_status import STATUSES as STATUSES
from limitbench.sweep.cell_status import run_table
from limitbench.sweep.grid import cell_depth
from limitbench.sweep.markers import DONE, FAILED, read_markers
from limitbench.sweep.spec import Spec, parse_spec

if TYPE_CHECKING:
    import xarray as xr
    import zarr

SCORES = (
    "distance",
    "distance_low",
    "distance_high",
    "wasserstein",
    "wasserstein_null",
    "ks",
    "ks_pvalue",
    "mean_error",
    "std_error",
    "n_star",
)
VERDICTS = ("holds", "fails", "undecided")


@dataclass(frozen=True)
class Paths:
    """Where a study's results lie under `out`."""

    out: Path
    study: str

    @property
    def store(self) -> Path:
        """The zarr hierarchy."""
        return self.out / f"{self.study}.zarr"

    @property
    def run(self) -> Path:
        """Markers, beside the hierarchy."""
        return self.out / f"{self.study}.run"

    @property
    def next(self) -> Path:
        """A hierarchy that is being laid out."""
        return self.out / f"{self.study}.zarr.next"

    @property
    def old(self) -> Path:
        """The hierarchy that `next` replaces."""
        return self.out / f"{self.study}.zarr.old"

    def current(self) -> Path | None:
        """The hierarchy to read: the store, or `next` where a swap was cut short; None where there is none."""
        if self.store.exists():
            return self.store
        return self.next if self.old.exists() and self.next.exists() else None


def store_attributes(spec: Spec, created: str | None = None) -> dict[str, str]:
    """Attributes of the root group."""
    from limitbench import __version__

    return {
        "study": spec.meaning.study,
        "spec": spec.model_dump_json(),
        "spec_hash": spec.meaning.hash,
        "layout": layout_hash(spec),
        "limitbench_version": __version__,
        "created": created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def sample_length(spec: Spec) -> int:
    """Length of the `sample` dimension: the largest number of networks of any column."""
    return max(spec.samples.values())


def layout_hash(spec: Spec) -> str:
    """Names the positions of all chunks, so that a worker notices a store that was laid out anew under it."""
    text = json.dumps([spec.grid, sample_length(spec)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_spec(path: Path) -> tuple[Spec, dict[str, Any]]:
    """Spec and attributes of the store at `path`; `InputError` where it is no intact result store."""
    import zarr

    try:
        attributes = dict(zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False).attrs)
    except Exception as error:  # zarr raises many types for damaged metadata
        reason = " ".join(str(error).split())[:120]
        accepted = f"a result store of limitbench ({type(error).__name__}: {reason})"
        raise InputError("store", str(path), accepted) from None
    return parse_spec(attributes.get("spec"), str(path)), attributes


def create_store(path: Path, spec: Spec, attributes: Mapping[str, str]) -> None:
    """Make all groups, arrays and coordinates of an empty store at `path`, consolidated."""
    import zarr

    root = zarr.create_group(path, attributes=dict(attributes), overwrite=True)
    meaning, grid = spec.meaning, spec.axis_grid()
    axes, shape, ones = grid.names, grid.shape, (1,) * (len(grid.shape) - 1)
    depth, length = shape[-1], sample_length(spec)
    theories, observables, levels = meaning.theories, meaning.observables, quantile_levels()

    samples = _group(root, "samples", spec)
    for name in observables:
        chunks = (*ones, depth, meaning.block_samples)
        _array(samples, name, (*shape, length), chunks, (*axes, "sample"), "float64")

    laws = _group(root, "laws", spec, observable=observables, theory=theories, quantile=levels)
    for name in observables:
        trailing = (len(theories), len(levels))
        _array(laws, name, (*shape, *trailing), (*ones, depth, *trailing), (*axes, "theory", "quantile"), "float64")
    trailing, dims = (len(observables), len(theories)), (*axes, "observable", "theory")
    chunks = (*ones, depth, *trailing)
    _array(laws, "point_mass", (*shape, *trailing), chunks, dims, "int8", flags=("no", "yes"))

    scores = _group(root, "scores", spec, observable=observables, theory=theories)
    scores.attrs["margin"] = spec.margin
    for name in SCORES:
        _array(scores, name, (*shape, *trailing), chunks, dims, "float64")
    _array(scores, "verdict", (*shape, *trailing), chunks, dims, "int8", flags=VERDICTS)

    run = _group(root, "run", spec, theory=theories)
    for name in ("n_samples", "n_requested", "attempts"):
        _array(run, name, shape, shape, axes, "int64")
    requested = np.array([spec.samples[column.slug] for _, column in grid.columns()], dtype="int64")
    run["n_requested"][...] = np.broadcast_to(requested.reshape(*shape[:-1], 1), shape)  # type: ignore[index]
    _array(run, "seconds", shape, shape, axes, "float64")
    _array(run, "status", shape, shape, axes, "int8", flags=STATUSES)
    for name in ("host", "device", "error"):
        _array(run, name, shape, shape, axes, "string")
    _array(run, "skipped", (*shape, len(theories)), (*shape, len(theories)), (*axes, "theory"), "string")
    consolidate(path)


def _group(root: zarr.Group, name: str, spec: Spec, **coordinates: Sequence[str] | np.ndarray) -> zarr.Group:
    group, grid = root.create_group(name), spec.axis_grid()
    for axis, values in {**grid.as_dict(), **coordinates}.items():
        write_coordinate(group, axis, (axis,), values)
    if grid.depth_axis == "aspect":
        widths = grid.as_dict()["width"]
        depths = [[cell_depth("aspect", value, {"width": width}) for value in grid.values[-1]] for width in widths]
        write_coordinate(group, "depth", ("width", "aspect"), np.array(depths, dtype="int64"))
        group.attrs["coordinates"] = "depth"
    return group


def write_coordinate(group: zarr.Group, name: str, dims: tuple[str, ...], values: Any) -> None:
    """Write a small array whole; text becomes variable-length strings."""
    data = np.asarray(values)
    dtype = "string" if data.dtype.kind in "UO" else str(data.dtype)
    array = _array(group, name, data.shape, data.shape, dims, dtype)
    array[...] = data.astype(object) if dtype == "string" else data


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dims: tuple[str, ...],
    dtype: str,
    flags: tuple[str, ...] = (),
) -> zarr.Array:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    fill = {"float64": np.nan, "int8": -1, "string": ""}.get(dtype, 0)
    attributes: dict[str, Any] = {}
    if flags:
        attributes = {"flag_values": list(range(len(flags))), "flag_meanings": " ".join(flags)}
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, size) for size in chunks),
        dtype=dtype,
        fill_value=fill,
        dimension_names=dims,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        attributes=attributes,
    )


def consolidate(path: Path) -> None:
    """Gather all metadata in the root, so that readers open the hierarchy with one request."""
    import zarr
    from zarr.errors import ZarrUserWarning

    with warnings.catch_warnings():
        # The consolidated form is not yet part of the zarr 3 specification; xarray reads it, others ignore it.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(path)


def open_results(path: str | Path) -> xr.DataTree:
    """Open the results of one study, lazily, with verdicts and statuses as words.

    Arguments:
        path: a `<study>.zarr`, or a directory that holds exactly one.

    Returns:
        Groups `samples`, `laws`, `scores`, `run` and, once a run has finished, `claims`. Every group has the axes of
        the grid as coordinates. Samples beyond a cell's `n_samples` are NaN.

    Raises:
        InputError: no result store, more than one, or damaged metadata.
    """
    import xarray as xr

    path = Path(path)
    if path.suffix != ".zarr":
        stores = find_stores(path)
        if len(stores) != 1:
            accepted = "a result store, or a directory with exactly one"
            raise InputError(
                "store", str(path), accepted + (": " + ", ".join(p.name for p in stores) if stores else "")
            )
        path = stores[0]
    paths = Paths(path.parent, path.name.removesuffix(".zarr"))
    where = paths.current()
    if where is None:
        raise InputError("store", str(path), "an existing result store")
    spec, _ = read_spec(where)
    check_arrays(where, spec)
    tree = xr.open_datatree(where, engine="zarr", consolidated=False, chunks=None)
    if not tree["run"].attrs.get("finalised"):  # a run that is going on or was cut short: its markers know
        table = run_table(spec, read_markers(paths.run, DONE), read_markers(paths.run, FAILED))
        present = tree["run"].to_dataset()
        tree["run"] = xr.DataTree(present.assign({k: present[k].copy(data=v) for k, v in table.items()}))
    order = {name: i for i, name in enumerate((*spec.meaning.observables, "point_mass", *SCORES, "verdict"))}
    return tree.map_over_datasets(lambda data: _readable(data, order))


def find_stores(directory: Path) -> list[Path]:
    """Result stores directly under `directory`: named like a built-in study, or with markers beside them."""
    from limitbench import studies

    stores = [path for path in directory.glob("*.zarr") if path.is_dir()]
    return sorted(path for path in stores if path.stem in studies.names() or path.with_suffix(".run").is_dir())


def chunk_path(array: str, position: tuple[int, ...], *trailing: int) -> str:
    """Path of a chunk under the store: the column's position, 0 along depth, then the trailing dimensions."""
    return "/".join([array, "c", *map(str, (*position, 0, *trailing))])


def check_arrays(path: Path, spec: Spec) -> None:
    """Raises `InputError` where an array of the store at `path` is missing or its metadata are damaged."""
    import zarr

    shape, names = spec.axis_grid().shape, spec.meaning.observables
    arrays = [(f"{group}/{name}", shape) for group in ("samples", "laws") for name in names]
    arrays += [(f"scores/{name}", shape) for name in (*SCORES, "verdict")]
    arrays += [(f"run/{name}", shape) for name in ("n_samples", "status", "error", "skipped")]
    try:
        root = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
        for name in ("samples", "laws", "scores", "run"):
            if not isinstance(root[name], zarr.Group):
                raise ValueError(f"{name} is no group")
        for name, leading in arrays:
            array = root[name]
            if not isinstance(array, zarr.Array) or array.shape[: len(leading)] != leading:
                raise ValueError(f"{name} has another shape than the spec")
    except Exception as error:  # zarr raises many types for damaged metadata
        reason = " ".join(str(error).split())[:120]
        accepted = f"a result store with intact metadata ({type(error).__name__}: {reason})"
        raise InputError("store", str(path), accepted) from None


def _readable(data: xr.Dataset, order: Mapping[str, int]) -> xr.Dataset:
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
