"""What a store means: the spec, validated at the edge, frozen inside, and compared field by field.

The meaning of a store is everything that changes a number in it: study, seed, sampler, device kind, ... Axis values,
sample counts and the margin are not part of it: they may grow or change on the same store.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limitbench.errors import InputError
from limitbench.networks.base import SAMPLERS, Sampler
from limitbench.sweep.grid import Column, Grid

if TYPE_CHECKING:
    from limitbench.studies.base import Preset, Study

#: Raised whenever the layout of a store changes.
SCHEMA_VERSION = 2
#: Confidence of the interval of D; of all looks together where a cell is sampled until its verdicts are clear.
LEVEL = 0.95
#: Largest D at which a theory holds, unless the run sets another one.
MARGIN = 0.05


class Meaning(BaseModel):
    """The fields of a spec that change numbers; two stores of equal meaning may be joined.

    `families` maps each network family to the version of its streams; a grid may add families, so only those that two
    specs share are compared, and the hash leaves them out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: int = Field(SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    study: str
    study_version: int
    axes: list[str]
    observables: list[str]
    theories: list[str]
    sampler: Literal["exact", "dense"]
    block_samples: int = Field(gt=0)
    seed: int = Field(ge=0, lt=2**63)
    device: Literal["cpu", "cuda"]
    generator: str
    dtype: str
    families: dict[str, int]

    @property
    def source(self) -> str:
        """What normals are drawn with, `torch` or `vsl`."""
        return self.generator.partition("-")[0]

    @property
    def hash(self) -> str:
        """Hex digest of the meaning (without `families`)."""
        text = json.dumps(self.model_dump(exclude={"families"}), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Spec(BaseModel):
    """A whole spec as stored: the meaning and the plan (grid, samples per column, margin).

    `samples` maps the slug of a column to its number of networks, a multiple of `meaning.block_samples`. It is the most
    that a cell may have in the columns of `first`, which are sampled until verdicts are clear: `first` is the size of
    their first look.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    meaning: Meaning
    grid: dict[str, list[int | float | str]]
    samples: dict[str, int]
    margin: float = Field(gt=0, allow_inf_nan=False)
    first: dict[str, int] = Field(default_factory=dict)

    def axis_grid(self) -> Grid:
        """The grid with its axes in the order of array dimensions."""
        return Grid(tuple(self.meaning.axes), tuple(tuple(self.grid[name]) for name in self.meaning.axes))


class Request(BaseModel):
    """The scalar options of one run, as the user gives them."""

    model_config = ConfigDict(frozen=True, strict=True)

    samples: int | None = Field(None, gt=0, lt=2**31, description="a positive integer, at most 2^31 - 1")
    sampler: Literal["exact", "dense"] = Field("exact", description=" or ".join(SAMPLERS))
    seed: int = Field(0, ge=0, lt=2**63, description="an integer from 0 to 2^63 - 1")
    margin: float = Field(MARGIN, gt=0, allow_inf_nan=False, description="a positive number")
    tolerance: float | None = Field(None, gt=0, allow_inf_nan=False, description="a positive number")
    workers: int | None = Field(None, gt=0, description="a positive integer")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    generator: Literal["auto", "torch", "vsl"] = Field("auto", description="auto, torch or vsl")
    gpu_share: float = Field(1.0, ge=0.01, le=1, description="a number from 0.01 to 1")


def request(**options: Any) -> Request:
    """Checked scalar options; the first problem becomes an `InputError` that says what the field accepts."""
    try:
        asked = Request(**options)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        accepted = Request.model_fields[name].description or problem["msg"]
        raise InputError(name, options[name], accepted) from None
    if asked.tolerance is None:
        return asked
    return asked.model_copy(update={"margin": margin_of(asked.margin, asked.tolerance)})


def margin_of(margin: float, tolerance: float | None) -> float:
    """The margin of a run: its tolerance where it has one; `InputError` where it has another margin beside it."""
    if tolerance is None:
        return margin
    if margin not in (MARGIN, tolerance):
        raise InputError("margin", margin, f"{tolerance:g}, the tolerance, or nothing beside it: it is the margin")
    return tolerance


def meaning_of(
    study: Study, grid: Grid, sampler: Sampler, seed: int, device: Literal["cpu", "cuda"], generator: str = "torch"
) -> Meaning:
    """The meaning of a run of `study` over `grid`; checks that blocks hold whole batches."""
    if sampler not in study.block_samples:
        raise InputError("sampler", sampler, f"a sampler of {study.name}: " + ", ".join(study.block_samples))
    size = study.block_samples[sampler]
    families: dict[str, int] = {}
    for _, column in grid.columns():
        network = study.network(column.cells[-1])
        families[network.family] = network.version
        batch = network.batch_size(sampler)
        if size % batch:
            accepted = f"a multiple of the batch size, {batch} for {network!r}"
            raise InputError(f"block_samples of {study.name}", size, accepted)
    return Meaning(
        schema_version=SCHEMA_VERSION,
        study=study.name,
        study_version=study.version,
        axes=list(grid.names),
        observables=list(study.observables),
        theories=[theory.name for theory in study.theories],
        sampler=sampler,
        block_samples=size,
        seed=seed,
        device=device,
        generator=f"{generator}-{device}",
        dtype="float64",
        families=dict(sorted(families.items())),
    )


def plan(
    meaning: Meaning,
    grid: Grid,
    preset: Preset,
    samples: int | None,
    margin: float,
    stored: Spec | None,
    *,
    sequential: bool = False,
) -> tuple[Spec, list[str]]:
    """The spec of the store after this run, and notes for the user.

    Columns of `grid` get `samples` networks (the preset's own number where it is None), rounded up to whole blocks and
    never fewer than the store has. Where a store is extended, its grid and this one are joined to one product; stored
    columns outside `grid` keep their count, and cells that only the product adds are drawn like those of `grid`.
    Where the run is `sequential`, that number is the most that a cell may have, and one block is the first look; what
    columns outside `grid` were asked for before stays as it was in this too.
    """
    asked = {column.slug for _, column in grid.columns()}
    joined = grid if stored is None else stored.axis_grid().extended(grid)
    size, counts, notes = meaning.block_samples, {}, []
    first: dict[str, int] = {}
    for _, column in joined.columns():
        wanted = samples or samples_of(preset, column)
        whole = -(-wanted // size) * size
        kept = 0 if stored is None else stored.samples.get(column.slug, 0)
        outside = kept > 0 and column.slug not in asked
        counts[column.slug] = kept if outside else max(whole, kept)
        if column.slug in stored.first if outside and stored is not None else sequential:
            first[column.slug] = size
        if whole != wanted:
            notes.append(f"{wanted} samples rounded up to {whole}: whole blocks of {size}")
    if stored is not None and joined.shape != grid.shape:
        notes.append("the store holds cells beyond this run's grid; they are kept, and the joined grid is completed")
    families = dict(sorted({**(stored.meaning.families if stored else {}), **meaning.families}.items()))
    values = {name: list(axis) for name, axis in joined.as_dict().items()}
    full = meaning.model_copy(update={"families": families})
    spec = Spec(meaning=full, grid=values, samples=counts, margin=margin, first=first)
    if not sequential and stored is not None and stored.first.keys() - first.keys():
        notes.append("cells that were sampled until their verdicts were clear are drawn in full, without --tolerance")
    return spec, list(dict.fromkeys(notes))


def samples_of(preset: Preset, column: Column) -> int:
    """Networks per cell of `column` by the preset, yet to be rounded up to whole blocks."""
    width = dict(column.point).get("width")
    return preset.samples_at.get(width, preset.samples) if isinstance(width, int) else preset.samples


def check_same_meaning(stored: Meaning, asked: Meaning, where: str) -> None:
    """Raises `InputError` that names the first field in which `asked` differs from the store at `where`."""
    before, now = stored.model_dump(), asked.model_dump()
    for field, value in before.items():
        if field == "families":
            shared = value.keys() & now[field].keys()
            value, now[field] = ({name: part[name] for name in sorted(shared)} for part in (value, now[field]))
        if value != now[field]:
            accepted = f"{_shown(value)}, as in the store {where}; use another directory for a run of other meaning"
            if field == "theories":
                lacking, more = ([t for t in a if t not in b] for a, b in ((value, now[field]), (now[field], value)))
                accepted += f" (missing here: {', '.join(lacking)})" if lacking else ""
                accepted += f" (not in the store: {', '.join(more)})" if more else ""
            raise InputError(field, now[field], accepted)


def parse_spec(text: object, where: str) -> Spec:
    """The stored spec, or `InputError` where it is damaged."""
    try:
        if not isinstance(text, str):
            raise ValueError("no spec")
        spec = Spec.model_validate_json(text)
        _check_grid(spec)
        return spec
    except ValueError as error:  # ValidationError and InputError are such
        reason = str(error)
        if isinstance(error, ValidationError):
            problem = error.errors()[0]
            reason = f"{'.'.join(map(str, problem['loc'])) or 'spec'}: {problem['msg']}"
        raise InputError("store", where, f"a result store with an intact spec ({reason})") from None


def _check_grid(spec: Spec) -> None:
    """Raises `ValueError` where no run could have made the grid and the sample counts of `spec`."""
    meaning, axes = spec.meaning, spec.meaning.axes
    if set(spec.grid) != set(axes) or len(set(axes)) < len(axes) or not all(spec.grid.values()):
        raise ValueError("grid and axes differ")
    for name, values in spec.grid.items():
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if not isinstance(value, str)]
        if len(set(values)) < len(values) or (texts and numbers) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"{name} is no list of different numbers or texts")
    kind = {"depth": int, "layer": int, "aspect": int | float}.get(axes[-1])
    whole = axes[-1] != "aspect" or all(isinstance(width, int) for width in spec.grid.get("width", [""]))
    if kind is None or not whole or not all(isinstance(value, kind) and value > 0 for value in spec.grid[axes[-1]]):
        raise ValueError("the last axis is no depth")
    if len(spec.samples) != math.prod(map(len, spec.grid.values())) // len(spec.grid[axes[-1]]):
        raise ValueError("samples and grid differ")  # before all columns are looked at, which may be many
    for _, column in spec.axis_grid().columns():
        count = spec.samples.get(column.slug, 0)
        if not 0 < count < 2**32 or count % meaning.block_samples or max(column.depths) >= 2**31:
            raise ValueError("samples and grid differ")
    for slug, first in spec.first.items():
        if not 0 < first <= spec.samples.get(slug, 0) or first % meaning.block_samples:
            raise ValueError("first looks and samples differ")
    if any("/" in name or name in ("", ".", "..") for name in meaning.observables):
        raise ValueError("an observable has no name")


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | Mapping) else repr(value)
