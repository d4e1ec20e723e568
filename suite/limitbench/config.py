"""The options of a run: one list of names for the command line and for YAML files, checked before anything starts.

A YAML file holds the long option names without dashes, and `studies` and `set` as lists and mappings:

    studies: [shaped-relu]
    preset: quick
    set: {width: [64, 128], rate: 0.5}
    samples: 8192
    out: results

What the command line names wins over the file; `set` is merged axis by axis. Numbers are decimal and ASCII.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from limitbench.errors import InputError

AxisValue: TypeAlias = int | float | str


def axis_value(text: str) -> AxisValue:
    """A number where the text is one (`64`, `0.5`, `1e3`), the text itself otherwise."""
    if not _is_number(text):
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


def _is_number(text: str) -> bool:
    """Whether `text` is a plain decimal number; Python's own forms `1_6` and digits of other scripts are not."""
    return re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?inf|nan", text.strip()) is not None


def parse_axes(assignments: Sequence[str]) -> dict[str, tuple[AxisValue, ...]]:
    """`["width=64,128", "rate=0.5"]` as a grid; `InputError` where one is not of the form AXIS=V1,V2."""
    grid: dict[str, tuple[AxisValue, ...]] = {}
    for text in assignments:
        name, sign, values = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise InputError("--set", text, "AXIS=V1,V2, for example width=64,128")
        parts = [part.strip() for part in values.split(",")]
        if not all(parts):
            raise InputError(f"--set {name}", values, "one value or more, separated by commas, none of them empty")
        if name in grid:
            raise InputError("--set", text, f"each axis once; join the values with commas: {name}=V1,V2")
        grid[name] = tuple(axis_value(part) for part in parts)
    return grid


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _joined(names: object) -> str:
    return " ".join(map(str, names)) if isinstance(names, list | tuple) else str(names)


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _plain(value: object) -> object:
    """An axis value as it is; refuses truth values and texts that only Python would read as a number."""
    if isinstance(value, str) and not _is_number(value):
        try:
            finite = math.isfinite(float(value))
        except ValueError:
            return value
        if finite:
            raise ValueError("not a plain number")
    return _no_bool(value)


def _directory(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("not the name of a directory")
    return value


class RunOptions(BaseModel):
    """Checked options of `limitbench run`. A field's description says what it accepts, in error messages too."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    studies: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field((), description="names of studies")
    every: bool = Field(False, alias="all", description="true or false")
    preset: Literal["quick", "standard", "full"] = Field("quick", description="quick, standard or full")
    grid: dict[str, Annotated[tuple[Annotated[AxisValue, BeforeValidator(_plain)], ...], BeforeValidator(_as_list)]] = (
        Field(
            default_factory=dict,
            alias="set",
            description="axis names, each with one value or a list of values (numbers like 16, 0.5, 1e-3, or words)",
        )
    )
    theories: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        (), alias="theory", description="names of theories of installed packages"
    )
    samples: Annotated[int | None, BeforeValidator(_no_bool)] = Field(
        None, ge=1, lt=2**31, description="a positive integer, at most 2^31 - 1"
    )
    sampler: Literal["exact", "dense"] = Field("exact", description="exact or dense")
    seed: Annotated[int, BeforeValidator(_no_bool)] = Field(
        0, ge=0, lt=2**63, description="an integer from 0 to 2^63 - 1"
    )
    margin: Annotated[float, BeforeValidator(_no_bool)] = Field(
        0.05, gt=0, allow_inf_nan=False, description="a positive number"
    )
    tolerance: Annotated[float | None, BeforeValidator(_no_bool)] = Field(
        None, gt=0, allow_inf_nan=False, description="a positive number"
    )
    out: Annotated[str, BeforeValidator(_directory)] = Field(
        "results", description="the name of a directory, or s3://BUCKET/PREFIX"
    )
    data: Annotated[Path | None, BeforeValidator(_directory)] = Field(None, description="the name of a directory")
    address: str | None = Field(None, min_length=1, description="auto, HOST:PORT or ray://HOST:PORT")
    workers: Annotated[int | None, BeforeValidator(_no_bool)] = Field(None, ge=1, description="a positive integer")
    block_seconds: Annotated[float | None, BeforeValidator(_no_bool)] = Field(
        None, gt=0, allow_inf_nan=False, alias="block-seconds", description="a positive number of seconds"
    )
    block_memory: Annotated[float | None, BeforeValidator(_no_bool)] = Field(
        None, gt=0, allow_inf_nan=False, alias="block-memory", description="a positive number of GiB"
    )
    gpu_share: Annotated[float, BeforeValidator(_no_bool)] = Field(
        1.0, ge=0.01, le=1, alias="gpu-share", description="a number from 0.01 to 1"
    )
    retry_failed: bool = Field(False, alias="retry-failed", description="true or false")
    dry_run: bool = Field(False, alias="dry-run", description="true or false")
    core_hour_price: Annotated[float | None, BeforeValidator(_no_bool)] = Field(
        None, ge=0, allow_inf_nan=False, alias="core-hour-price", description="a price of one core-hour, 0 or more"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    generator: Literal["auto", "torch", "vsl"] = Field("auto", description="auto, torch or vsl")
    executor: Literal["ray", "serial"] = Field("ray", description="ray or serial")
    mix_versions: bool = Field(False, alias="mix-versions", description="true or false")
    no_report: bool = Field(False, alias="no-report", description="true or false")


#: Names as the command line and a YAML file spell them.
OPTION_NAMES = tuple(field.alias or name for name, field in RunOptions.model_fields.items())
#: Bytes of the largest YAML file that is read: far more than anybody writes, and parsed in seconds.
MOST_YAML = 100_000


def run_options(given: Mapping[str, Any], config: Path | None = None) -> RunOptions:
    """The options that `given` (from the command line; None means not given) and the file `config` name together.

    Raises:
        InputError: an unknown key, a value that is not accepted, a file that cannot be read or is not YAML.
    """
    written = {name: value for name, value in given.items() if value is not None and value != () and value != {}}
    merged = _read(config) if config is not None else {}
    for source in (written, merged):
        if source.get("all") is True and source.get("studies"):
            raise InputError("STUDY", _joined(source["studies"]), "no names of studies beside all of them (--all)")
    unknown = next((name for name in merged if name not in OPTION_NAMES), None)
    if unknown is not None:
        raise InputError(f"key in {config}", unknown, "one of " + ", ".join(OPTION_NAMES))
    spelled = {name: "STUDY" if name == "studies" else f"--{name}" for name in written}
    if "set" in merged and "set" in written:
        if not isinstance(merged["set"], dict):
            raise InputError("set", merged["set"], str(RunOptions.model_fields["grid"].description))
        written["set"] = {**merged["set"], **written["set"]}
    if written.keys() & {"studies", "all"}:  # which studies to run is one choice
        merged = {name: value for name, value in merged.items() if name not in ("studies", "all")}
    merged.update(written)
    try:
        options = RunOptions.model_validate(merged)
    except ValidationError as error:
        problem = error.errors()[0]
        name, *inner = problem["loc"]
        accepted = next(f.description for key, f in RunOptions.model_fields.items() if name in (f.alias, key))
        field, seen = spelled.get(str(name), str(name)), merged[str(name)]
        if name == "set" and inner and isinstance(seen, Mapping):
            field, seen = f"{field} {inner[0]}", seen.get(inner[0], seen)
            seen = seen[0] if isinstance(seen, tuple) and len(seen) == 1 else seen
        raise InputError(field, seen, accepted or "another value") from None
    if options.tolerance is None:
        return options
    if options.margin != options.tolerance and "margin" in options.model_fields_set:
        accepted = f"{options.tolerance:g} or nothing beside --tolerance, which is the margin"
        raise InputError(spelled.get("margin", "margin"), options.margin, accepted)
    return options.model_copy(update={"margin": options.tolerance})


class _Loader(yaml.SafeLoader):
    """YAML whose keys are unique and whose numbers are decimal: no `1_6`, octal `010` or sexagesimal `1:30`."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def decimal_integer(self, node: yaml.ScalarNode) -> int:
        if not re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,39})", node.value):
            problem = "an integer is not decimal or has more than 40 digits"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return int(node.value)

    def decimal_number(self, node: yaml.ScalarNode) -> float:
        if re.search("[_:]", node.value):
            raise yaml.constructor.ConstructorError(None, None, "a number is not decimal", node.start_mark)
        return self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.decimal_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.decimal_number)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_YAML:  # reading a pipe may take for ever
            raise InputError("--config", str(path), f"a YAML file, a regular one of at most {MOST_YAML:,} bytes")
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError("--config", str(path), f"a readable YAML file ({error.strerror})") from None
    except RecursionError:
        raise InputError("--config", str(path), "a YAML file (this one is nested too deeply)") from None
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the last three: misused YAML tags
        raise InputError("--config", str(path), f"a YAML file ({_reason(error)})") from None
    if not isinstance(content, dict):
        raise InputError("--config", str(path), "a YAML file with a mapping of options: " + ", ".join(OPTION_NAMES))
    return {str(key): value for key, value in content.items() if value is not None}


def _reason(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{problem or error}{where}"
