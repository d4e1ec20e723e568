"""What a check leaves behind: all numbers in zarr, one group a depth and width, and a small JSON of what they mean."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limitbench.advice.check import words
from limitbench.advice.check.recommend import recommendations
from limitbench.advice.check.result import CellResult, Check
from limitbench.errors import InputError, StoreError

if TYPE_CHECKING:
    import xarray as xr

STORE, SUMMARY, PAGE = "check.zarr", "check.json", "report.html"


def check_directory(path: str) -> Path:
    """`path` as a directory that can be written to; raises `InputError`. Nothing is made yet."""
    directory = Path(path)
    if directory.exists() and not directory.is_dir():
        raise InputError("--out", path, "a directory, or a name that does not exist yet")
    there = next(p for p in (directory, *directory.absolute().parents) if p.exists())
    if not os.access(there, os.W_OK):
        raise InputError("--out", path, "a directory that can be written to")
    return directory


def write(check: Check, directory: Path, page: str) -> None:
    """Store, summary and page, each under another name first. Raises `StoreError` where the disk refuses."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        partial = directory / f".{STORE}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        datatree(check).to_zarr(partial, mode="w", consolidated=False, zarr_format=3)
        shutil.rmtree(directory / STORE, ignore_errors=True)
        partial.rename(directory / STORE)
        for name, text in ((SUMMARY, json.dumps(summary(check), indent=2, allow_nan=False) + "\n"), (PAGE, page)):
            temporary = directory / f".{name}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(directory / name)
    except OSError as error:
        raise StoreError(f"{directory} cannot be written: {error.strerror or error}") from None


def datatree(check: Check) -> xr.DataTree:
    """Everything that was measured: `depth-D-width-N` groups with dims (network, point)."""
    import xarray as xr

    groups = {_group(cell): _dataset(cell) for cell in check.cells}
    root = xr.Dataset(attrs={"factory": check.name, "inputs": check.inputs, "seed": check.seed})
    return xr.DataTree.from_dict({"/": root, **groups})


def _group(cell: CellResult) -> str:
    return "/" + cell.title.replace(", ", "-").replace(" ", "-")


def _dataset(cell: CellResult) -> xr.Dataset:
    import xarray as xr

    measured, nodes = cell.measured, cell.measured.cell.nodes
    points = measured.cell.points
    variables: dict[str, Any] = {name: (("network", "point"), v) for name, v in measured.statistics.items()}
    variables["eigenvalues"] = (("spectrum", "point", "input"), measured.spectra)
    weights = list(measured.weights)
    variables["log_parameter_gradient"] = (
        ("network", "matrix"),
        np.stack([measured.parameter_gradients[n] for n in weights], axis=1)
        if weights
        else np.empty((measured.networks, 0)),
    )
    for name in ("sigma_w2", "sigma_b2", "kurtosis"):
        variables[name] = (("matrix",), np.array([getattr(measured.weights[n], name) for n in weights], dtype=float))
    coordinates = {
        "point": _strings(nodes[p].name for p in points),
        "kind": ("point", _strings(nodes[p].kind for p in points)),
        "matrix": _strings(nodes[n].name for n in weights),
    }
    return xr.Dataset(variables, coordinates, {"call": measured.cell.words})


def _strings(names: Iterable[str]) -> np.ndarray:
    """Of variable length: those of fixed length have no place in zarr's specification."""
    return np.array(list(names), dtype=object)


def summary(check: Check) -> dict[str, Any]:
    """What was found, ready for JSON: no NaN or infinity."""
    found = {
        "factory": check.name,
        "inputs": check.inputs,
        "seed": check.seed,
        "margin": check.margin,
        "interrupted": check.interrupted,
        "headline": words.headline(check),
        "cells": [_cell(cell) for cell in check.cells],
    }
    plain: dict[str, Any] = _finite(found)
    return plain


def _cell(cell: CellResult) -> dict[str, Any]:
    case, initial = cell.case, cell.initial
    return {
        "call": cell.measured.cell.words,
        "networks": cell.measured.networks,
        "layers": cell.measured.cell.reading.depth,
        "covered": case is not None,
        "is": None if case is None else case.words,
        "outside_because": list(cell.reasons),
        "initialisation": None if initial is None else {"name": initial.name, "words": initial.words},
        "gain": None if initial is None else initial.gain,
        "scores": [
            {
                "observable": line.observable,
                "theory": line.theory,
                "predicted": {"mean": line.predicted[0], "std": line.predicted[1]},
                "measured": {"mean": line.measured[0], "std": line.measured[1], "mean_se": line.mean_se},
                "distance": line.score.distance,
                "distance_low": line.score.distance_low,
                "distance_high": line.score.distance_high,
                "verdict": line.score.verdict,
            }
            for line in cell.lines
        ],
        "best": {name: {"theory": theory, "probability": p} for name, (theory, p) in cell.best.items()},
        "limits": [asdict(limit) for limit in cell.limits if math.isfinite(limit.layer)],
        "text": [*words.what_it_is(cell), *words.theories(cell), *words.behaviour(cell)],
        "advice": list(recommendations(cell)),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
