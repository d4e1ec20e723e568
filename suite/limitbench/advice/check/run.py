"""A whole check: find the factory, find its inputs, look at every depth and width, draw networks, and examine them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limitbench.advice.check import inputs as batches
from limitbench.advice.check.factory import Factory, check_device, check_module, load
from limitbench.advice.check.measure import FEWEST, Cell, Measured, Sampler, survey
from limitbench.advice.check.result import Check, examine
from limitbench.errors import InputError

#: What is told while networks are drawn: networks so far and in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Options:
    """How a check is made; see `check`."""

    depths: tuple[int, ...] = (32,)
    widths: tuple[int, ...] = (128,)
    input_file: str | None = None
    input_shape: tuple[int, ...] | None = None
    inputs: int = 16
    rho0: float = 0.3
    seeds: int = 2048
    seconds: float = 60.0
    margin: float = 0.1
    seed: int = 0
    device: str = "cpu"


def check(
    factory: str,
    *,
    depth: int | Sequence[int] = 32,
    width: int | Sequence[int] = 128,
    progress: Progress | None = None,
    **options: Any,
) -> Check:
    """Measure a module of one's own at initialisation and compare it with every theory of what it computes.

    Arguments:
        factory: `module:name` or `file.py:name` of a callable that returns a `torch.nn.Module`; it is called with
            `depth=` and `width=` where it takes them.
        depth, width: one value or several; all pairs are measured.
        progress: called with the networks drawn so far and in all.
        options: `input_file` (an .npy batch of 8 to 64 inputs), `input_shape` of one input, `inputs` in a generated
            batch (16), `rho0` of its first two (0.3), `seeds`: most networks a pair (2048), `seconds` that they may
            take in all (60), `margin` D (0.1), `seed` (0), `device`.

    Raises `InputError` where the factory, its module or an option cannot be accepted. Cost: `seconds` and some more.

    Example: `limitbench.check("nets.py:mlp", depth=[16, 32], width=64).cells[0].best`.
    """
    return run(load(factory), Options(depths=_several(depth), widths=_several(width), **options), progress)


def run(factory: Factory, options: Options, progress: Progress | None = None) -> Check:
    """`check` of a factory that was found. A keyboard interrupt ends the drawing; what there is is examined."""
    began = time.perf_counter()
    check_device(options.device)
    x, words = _batch(factory, options)
    cells = _cells(factory, options, x)
    measured, interrupted = _drawn(factory, cells, options, progress)
    found = tuple(examine(one, options.margin) for one in measured)
    seconds = time.perf_counter() - began
    return Check(factory.name, found, words, options.margin, options.seed, interrupted, seconds)


def _several(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _cells(factory: Factory, options: Options, x: Tensor) -> list[Cell]:
    axes = {"depth": options.depths, "width": options.widths}
    for name, values in axes.items():
        if name not in factory.takes and len(values) > 1:
            accepted = f"one value: {factory.name} takes no {name}"
            raise InputError(f"--{name}", ",".join(map(str, values)), accepted)
    pairs = [(d, w) for d in options.depths for w in options.widths]
    return [
        survey(factory, d, w, _fitting(factory, options, x, d, w), seed=options.seed, device=options.device)
        for d, w in pairs
    ]


def _batch(factory: Factory, options: Options) -> tuple[Tensor, str]:
    """The batch for the first pair, and where it comes from."""
    if options.input_file is not None:
        if options.input_shape is not None:
            raise InputError("--input-shape", options.input_shape, "nothing beside --input")
        x = batches.from_file(options.input_file)
        return x, f"{len(x)} inputs of shape {_shown(x)} from the file given"
    if options.input_shape is not None:
        x = batches.gaussian(options.input_shape, options.inputs, options.rho0, options.seed)
    else:
        sizes = (options.depths[0], options.widths[0])
        module = factory.draw(*sizes, options.seed, 0)
        check_module(module, factory.words(*sizes))
        x = batches.find(module, options.inputs, options.rho0, options.seed)
    kind = "random tokens" if x.dtype == torch.int64 else "Gaussian inputs of mean square 1"
    pair = "" if x.dtype == torch.int64 else f", the first two of correlation {options.rho0:g}"
    return x, f"{len(x)} {kind} of shape {_shown(x)}{pair}"


def _fitting(factory: Factory, options: Options, x: Tensor, depth: int, width: int) -> Tensor:
    """The batch for one pair: inputs whose size is the width are drawn anew for each."""
    if options.input_file is not None or options.input_shape is not None:
        return x
    if (depth, width) == (options.depths[0], options.widths[0]):
        return x
    return batches.find(factory.draw(depth, width, options.seed, 0), options.inputs, options.rho0, options.seed)


def _shown(x: Tensor) -> str:
    return " x ".join(map(str, x.shape[1:]))


def _drawn(
    factory: Factory, cells: list[Cell], options: Options, progress: Progress | None
) -> tuple[list[Measured], bool]:
    """Network k of every cell before network k + 1 of any, so that time and interrupts leave all cells alike."""
    samplers = [Sampler(factory, cell, seed=options.seed, device=options.device) for cell in cells]
    began, interrupted = time.perf_counter(), False
    try:
        for index in range(options.seeds):
            for sampler in samplers:
                sampler.draw(index)
            spent = time.perf_counter() - began
            if progress is not None:
                expected = min(options.seeds, int((index + 1) * max(options.seconds / max(spent, 1e-9), 1.0)))
                progress((index + 1) * len(cells), max(expected, FEWEST) * len(cells))
            if spent > options.seconds and index + 1 >= FEWEST:
                break
    except KeyboardInterrupt:
        interrupted = True
        if min(sampler.networks for sampler in samplers) < FEWEST:
            raise
    return [sampler.measured for sampler in samplers], interrupted
