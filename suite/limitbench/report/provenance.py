"""Where the numbers come from: spec, seeds, versions, hosts, and the command that makes them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

import numpy as np
from markupsafe import Markup

from limitbench.errors import InputError
from limitbench.report.results import Results
from limitbench.sweep.grid import deepest_networks, resolve_grid

#: The spec on the page lists the samples of at most this many columns.
MOST_COLUMNS = 12


def provenance(results: Results, *, timings: bool = True) -> Iterator[tuple[str, str]]:
    """Label and value of everything that says how the numbers were made; hosts and dates only with `timings`."""
    attrs = results.tree.attrs
    yield "study", results.name
    for label, name in (("spec hash", "spec_hash"), ("limitbench", "limitbench_version"), ("created", "created")):
        if attrs.get(name) and (timings or name != "created"):
            yield label, str(attrs[name])
    flat = {**results.spec, **meaning_of(results)}
    for name in ("seed", "sampler", "device", "dtype", "generator", "margin", "study_version"):
        if name in flat:
            yield name.replace("_", " "), str(flat[name])
    if found := methods(results):
        yield "drawn by", "; ".join(found)
    for label, value in results.environment.items():
        yield f"made with {label}", value
    for label, name in (("hosts", "host"), ("devices", "device")):
        if name in results.run and (timings or name != "host"):
            found = sorted({str(v) for v in np.ravel(results.run[name].to_numpy()) if str(v).strip()})
            if found:
                yield label, ", ".join(found)
    for extra, value in attrs.items():
        if str(extra) not in ("study", "spec", "spec_hash", "layout", "limitbench_version", "created", "finalised"):
            yield str(extra).replace("_", " "), str(value)


def methods(results: Results) -> list[str]:
    """How the networks of the grid are drawn, each way once; none where the study is not known here or is another."""
    sampler = meaning_of(results).get("sampler")
    if results.study is None or sampler not in ("exact", "dense"):
        return []
    try:
        grid = resolve_grid(results.study, {axis: results.values(axis) for axis in results.axes})
        return sorted({network.method(sampler) for _, network in deepest_networks(results.study, grid)})
    except InputError:
        return []


def meaning_of(results: Results) -> dict[str, object]:
    """The fields of the spec that change numbers."""
    meaning = results.spec.get("meaning")
    return dict(meaning) if isinstance(meaning, dict) else {}


def repeat_command(results: Results) -> str:
    """The command line that makes the run again: preset or grid, samples, sampler, seed, margin."""
    parts = [f"limitbench run {results.name}"]
    preset = _preset(results)
    if preset is not None:
        parts.append(f"--preset {preset}")
    else:
        for axis in results.axes:
            values = ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in results.values(axis))
            parts.append(f"--set {axis}={values}")
    flat = {**results.spec, **meaning_of(results)}
    sequential = bool(results.sequential.any())
    networks = np.unique((results.counts_asked if sequential else results.counts)[results.counts > 0])
    if networks.size == 1 or (networks.size and preset is None):
        parts.append(f"--samples {networks.max()}")
    parts += [f"--{name} {flat[name]}" for name in ("sampler", "seed") if name in flat]
    if "margin" in flat:
        parts.append(f"--{'tolerance' if sequential else 'margin'} {flat['margin']}")
    return " ".join(parts)


def _preset(results: Results) -> str | None:
    """The preset whose grid this is."""
    grid = {axis: list(results.values(axis)) for axis in results.axes}
    presets = results.study.presets if results.study else {}
    return next((n for n, p in presets.items() if {a: list(v) for a, v in p.grid.items()} == grid), None)


def spec_text(results: Results) -> Markup:
    """The spec as JSON, one line per field; sample counts of more than a few columns in words."""
    spec = dict(results.spec)
    samples = spec.get("samples")
    if isinstance(samples, dict) and len(samples) > MOST_COLUMNS:
        spec["samples"] = f"{min(samples.values())} to {max(samples.values())} networks in {len(samples)} columns"
    first = spec.get("first")
    if isinstance(first, dict) and len(first) > MOST_COLUMNS:
        spec["first"] = f"{min(first.values())} networks at the first look, in {len(first)} columns"
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in spec.items()]
    text = "{\n" + ",\n".join(lines) + "\n}" if lines else ""
    return Markup(escape(text, quote=False))  # quotes need no escape in text, and a spec is full of them
