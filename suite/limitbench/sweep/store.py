"""The result store: one zarr hierarchy per study, whose metadata the driver makes and whose chunks workers fill.

Every axis but depth has chunk length 1, so a column owns its chunks: workers never share one. Metadata are complete
before the first chunk is written and never change while workers run. An axis value that is added later goes behind the
present ones, so that no chunk ever moves; `open_results` gives every axis in increasing order.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from limitbench.errors import InputError
from limitbench.statistics.laws import quantile_levels
from limitbench.sweep.cell_status import STATUSES as STATUSES
from limitbench.sweep.grid import cell_depth
from limitbench.sweep.paths import Paths
from limitbench.sweep.spec import Meaning, Spec, parse_spec

if TYPE_CHECKING:
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
#: Arrays of the group `run` with one entry a cell.
RUN = ("n_samples", "n_requested", "attempts", "seconds", "status", "host", "device", "error")
VERDICTS = ("holds", "fails", "undecided")
#: How arrays are written.
CODECS = {"bytes", "vlen-utf8", "zstd", "crc32c"}
DATA_TYPES = ("float64", "int64", "int8", "string")
#: Chunk length of the coordinates of axes, the same at any length, so that values can be added.
COORDINATE_CHUNK = 256


def store_attributes(spec: Spec, created: str | None = None) -> dict[str, Any]:
    """Attributes of the root group of a store whose group `run` is behind its markers."""
    from limitbench import __version__

    return {
        "study": spec.meaning.study,
        "spec": spec.model_dump_json(),
        "spec_hash": spec.meaning.hash,
        "layout": layout_hash(spec),
        "limitbench_version": __version__,
        "created": created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "finalised": False,
    }


def sample_length(spec: Spec) -> int:
    """Length of the `sample` dimension: the largest number of networks of any column."""
    return max(spec.samples.values())


def layout_hash(spec: Spec) -> str:
    """Names what chunks hold, so that a worker notices a store that was laid out anew under it.

    Only other depths change that: values of other axes and samples are added behind the present ones.
    """
    text = json.dumps([spec.meaning.axes, spec.grid[spec.meaning.axes[-1]]])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_root(paths: Paths) -> tuple[Spec, dict[str, Any]]:
    """Spec and attributes of the store; `InputError` where it is no intact result store."""
    attributes = root_document(paths)["attributes"]
    spec = parse_spec(attributes.get("spec"), paths.label)
    told = {"study": spec.meaning.study, "spec_hash": spec.meaning.hash, "layout": layout_hash(spec)}
    for name, value in told.items():
        if attributes.get(name) != value:
            raise InputError("store", paths.label, f"a result store with an intact spec ({name} is another one's)")
    return spec, attributes


def root_document(paths: Paths) -> dict[str, Any]:
    """The object of the root as it is stored; `InputError` where it is none of ours."""
    try:
        with paths.storage.guarded():
            document = json.loads(paths.storage.read(paths.root))
        json.dumps(document, ensure_ascii=False).encode()  # half a character is a ValueError too
        if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
            raise ValueError("no attributes")
        if (document.get("zarr_format"), document.get("node_type")) != (3, "group"):
            raise ValueError("no group of zarr 3")
    except (FileNotFoundError, ValueError, RecursionError) as error:
        reason = "no zarr.json" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())[:120]
        raise InputError("store", paths.label, f"a result store of limitbench ({reason})") from None
    return document


def mark_unfinished(paths: Paths) -> None:
    """Say in the root, in one write, that `run` and `claims` are behind the markers; claims go meanwhile."""
    document = root_document(paths)
    if not document["attributes"].get("finalised"):
        return
    document["attributes"]["finalised"] = False
    held = document["consolidated_metadata"]["metadata"]
    document["consolidated_metadata"]["metadata"] = {k: v for k, v in held.items() if k.split("/")[0] != "claims"}
    paths.storage.write(paths.root, json.dumps(document).encode())


def open_root(paths: Paths, *, consolidated: bool, read_only: bool = True) -> zarr.Group:
    """The root group; `consolidated` from its one metadata object alone, else from those of every array."""
    import zarr

    mode: Literal["r", "r+"] = "r" if read_only else "r+"
    store = paths.storage.zarr(paths.store, read_only=read_only)
    return zarr.open_group(store, mode=mode, zarr_format=3, use_consolidated=consolidated)


def metadata(spec: Spec, created: str | None = None) -> dict[str, bytes]:
    """Every object of an empty store, by name under its root: groups, arrays, coordinates."""
    import zarr
    from zarr.storage import MemoryStore

    objects: dict[str, Any] = {}
    memory = MemoryStore(objects)
    root = zarr.create_group(memory, attributes=store_attributes(spec, created))
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
    _array(run, "seconds", shape, shape, axes, "float64")
    _array(run, "status", shape, shape, axes, "int8", flags=STATUSES)
    for name in ("host", "device", "error"):
        _array(run, name, shape, shape, axes, "string")
    _array(run, "skipped", (*shape, len(theories)), (*shape, len(theories)), (*axes, "theory"), "string")
    consolidate(memory)
    return {name: data.to_bytes() for name, data in objects.items()}


def arrays_of(meaning: Meaning, kind: str) -> tuple[str, ...]:
    """Names of the arrays that a unit of a kind, `samples` or `scores`, fills."""
    if kind == "samples":
        return tuple(f"samples/{name}" for name in meaning.observables)
    laws = (f"laws/{name}" for name in (*meaning.observables, "point_mass"))
    return (*laws, *(f"scores/{name}" for name in (*SCORES, "verdict")))


def write_metadata(paths: Paths, spec: Spec, created: str | None = None) -> None:
    """Make the store hold `spec`: its empty arrays, or the present ones grown.

    The object of the root comes last and holds all metadata, so that readers find the store as it was or as it is
    meant to be. Coordinates are chunked alike at any length: longer ones read the same up to their old ends.
    """
    objects = {f"{paths.store}/{name}": data for name, data in metadata(spec, created).items()}
    root = objects.pop(paths.root)
    paths.storage.write_many(objects)
    paths.storage.write(paths.root, root)


def mend_metadata(paths: Paths, spec: Spec) -> None:
    """Write what the root of a store that holds `spec` calls for anew: metadata of arrays, and coordinates.

    They are damaged, lost, or those of a larger store where growing was cut short and is not taken up again.
    """
    wanted = {f"{paths.store}/{name}": data for name, data in metadata(spec).items()}
    wanted.pop(paths.root)
    found = paths.storage.read_many(wanted)
    paths.storage.write_many({name: wanted[name] for name, data in found if data != wanted[name]})


def _group(root: zarr.Group, name: str, spec: Spec, **coordinates: Sequence[str] | np.ndarray) -> zarr.Group:
    group, grid = root.create_group(name), spec.axis_grid()
    for axis, values in {**grid.as_dict(), **coordinates}.items():
        write_coordinate(group, axis, (axis,), values, (COORDINATE_CHUNK,) if axis in grid.names else None)
    if grid.depth_axis == "aspect":
        widths = grid.as_dict()["width"]
        depths = [[cell_depth("aspect", value, {"width": width}) for value in grid.values[-1]] for width in widths]
        write_coordinate(
            group,
            "depth",
            ("width", "aspect"),
            np.array(depths, dtype="int64"),
            (COORDINATE_CHUNK, len(grid.values[-1])),
        )
        group.attrs["coordinates"] = "depth"
    return group


def write_coordinate(
    group: zarr.Group, name: str, dims: tuple[str, ...], values: Any, chunks: tuple[int, ...] | None = None
) -> None:
    """Write a small array, in one chunk unless `chunks` says otherwise; text becomes variable-length strings."""
    data = np.asarray(values)
    dtype = "string" if data.dtype.kind in "UO" else str(data.dtype)
    array = _array(group, name, data.shape, chunks or data.shape, dims, dtype)
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


def consolidate(store: Any) -> None:
    """Gather all metadata in the root, so that readers open the hierarchy with one request."""
    import zarr
    from zarr.errors import ZarrUserWarning

    with warnings.catch_warnings():
        # The consolidated form is not yet part of the zarr 3 specification; xarray reads it, others ignore it.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(store)


def chunk_path(array: str, position: tuple[int, ...], *trailing: int) -> str:
    """Path of a chunk under the store: the column's position, 0 along depth, then the trailing dimensions."""
    return "/".join([array, "c", *map(str, (*position, 0, *trailing))])
