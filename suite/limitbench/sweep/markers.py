"""Markers: one small JSON object per finished or failed unit, written last, so that a marker proves its data.

The markers are all that resume looks at. A marker is whole or absent, and the first one of a unit stays: whoever does
the unit again finds it and leaves it alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from limitbench.sweep.paths import Paths

Marker = dict[str, Any]
DONE, FAILED = "done", "failed"
#: What two markers of a unit share where both stand for the same numbers.
_SAME = ("block", "kind", "spec_hash", "depths", "checksums", "sizes", "number", "samples", "key")


_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Done(BaseModel):
    """What every marker of a finished unit holds at least."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    block: str
    kind: Literal["samples", "scores"]
    spec_hash: str
    depths: list[int]
    checksums: dict[str, str]
    sizes: dict[str, int]
    versions: dict[str, str]
    seconds: float
    attempt: _Count
    host: str
    device: str
    samples: _Count = 0
    number: _Count = 0
    key: dict[str, Any] = {}
    skipped: dict[str, list[str]] = {}


class _Failed(BaseModel):
    """What every marker of a unit that was set aside holds."""

    model_config = ConfigDict(strict=True)

    block: str
    error: str
    attempts: _Count


_KINDS: dict[str, type[BaseModel]] = {DONE: _Done, FAILED: _Failed}


def marker_name(paths: Paths, state: str, name: str) -> str:
    """Name of a marker in the storage."""
    return f"{paths.run}/{state}/{name}.json"


def mark_done(paths: Paths, name: str, content: Mapping[str, Any]) -> None:
    """Make the marker of a finished unit; one that stands for other numbers (of an older spec, say) is replaced."""
    place, data = marker_name(paths, DONE, name), _encode(content)
    if paths.storage.create(place, data):
        return
    present = _parse(DONE, dict(paths.storage.read_many([place]))[place])
    fresh = json.loads(data)
    if present is None or any(present.get(field) != fresh.get(field) for field in _SAME):
        paths.storage.write(place, data)


def mark_failed(paths: Paths, name: str, content: Mapping[str, Any]) -> None:
    """Make or replace the marker of a unit that is set aside."""
    paths.storage.write(marker_name(paths, FAILED, name), _encode(content))


def read_markers(paths: Paths, state: str) -> dict[str, Marker]:
    """Every whole marker of one state by name; objects that hold anything else, or another's, count as absent."""
    return read_some(paths, state, marker_names(paths, state))


def marker_names(paths: Paths, state: str) -> list[str]:
    """Names of the units with a marker of one state, sorted; none is read."""
    entries = paths.storage.entries(f"{paths.run}/{state}")
    return sorted(e.name.rpartition("/")[2].removesuffix(".json") for e in entries if e.name.endswith(".json"))


def read_some(paths: Paths, state: str, names: Iterable[str]) -> dict[str, Marker]:
    """The whole ones among the markers of the named units."""
    found: dict[str, Marker] = {}
    for name, data in paths.storage.read_many(marker_name(paths, state, name) for name in names):
        content, unit = _parse(state, data), name.rpartition("/")[2].removesuffix(".json")
        if content is not None and content["block"] == unit:
            found[unit] = content
    return found


def remove_marker(paths: Paths, state: str, name: str) -> None:
    """Remove one marker where it exists."""
    paths.storage.remove(marker_name(paths, state, name))


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _parse(state: str, data: bytes | None) -> Marker | None:
    try:
        content: Marker = json.loads(data or b"", object_pairs_hook=_shared)
        _KINDS[state].model_validate_json(data or b"")  # refuses half a character, which Python's parser lets through
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        return None
    return content


def _shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose words are those of the other markers: the same ones stand in each, and there may be millions."""
    return {intern(name): intern(value) if isinstance(value, str) else value for name, value in pairs}
