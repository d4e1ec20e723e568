"""Markers: one small JSON file per finished or failed unit, written last, so that a marker proves its data.

A directory of markers is all that resume looks at. Writes are temp + fsync + rename: a marker is whole or absent.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Marker = dict[str, Any]
DONE, FAILED = "done", "failed"


def write_marker(run: Path, state: str, name: str, content: Mapping[str, Any]) -> None:
    """Write `<run>/<state>/<name>.json` whole or not at all; an existing one is replaced."""
    folder = run / state
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.{uuid.uuid4().hex}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / f"{name}.json")


class _Done(BaseModel):
    """What every marker of a finished unit holds at least."""

    model_config = ConfigDict(strict=True)

    kind: Literal["samples", "scores"]
    spec_hash: str
    depths: list[int]
    checksums: dict[str, str]
    sizes: dict[str, int]
    versions: dict[str, str]
    seconds: float
    attempt: int
    host: str
    device: str
    samples: int = 0
    number: int = 0
    key: dict[str, Any] = {}
    skipped: dict[str, list[str]] = {}


class _Failed(BaseModel):
    """What every marker of a unit that was set aside holds."""

    model_config = ConfigDict(strict=True)

    error: str
    attempts: int


_KINDS: dict[str, type[BaseModel]] = {DONE: _Done, FAILED: _Failed}


def read_markers(run: Path, state: str) -> dict[str, Marker]:
    """Every whole marker in `<run>/<state>` by name; files that hold anything else count as absent."""
    found: dict[str, Marker] = {}
    for path in sorted((run / state).glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            _KINDS[state].model_validate(content)
        except (OSError, ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            continue
        found[path.name.removesuffix(".json")] = content
    return found


def remove_marker(run: Path, state: str, name: str) -> None:
    """Remove one marker where it exists."""
    (run / state / f"{name}.json").unlink(missing_ok=True)


def sweep_partial_files(*folders: Path) -> int:
    """Delete what killed writers left behind under `folders`; the number of files deleted."""
    stale = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.partial")]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)
