"""Paths of a problem by a stepper, in blocks that stay in the processor's cache, at one or several step lengths.

A block is stepped to the end before the next one starts: its states, its normals and the stepper's buffers are all that
is touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.numerics.random import Stream
from limitbench.numerics.stepping.problem import Advance, Problem
from limitbench.numerics.stepping.stepper import Stepper


def simulate(
    problem: Problem,
    stepper: Stepper,
    *,
    start: float | Float[Tensor, "*components"],
    times: Sequence[float],
    steps: int,
    paths: int,
    stream: Stream,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "*times_and_state"]:
    """States of independent paths at several times, from one pass.

    Arguments:
        problem, stepper: what is stepped, and how; the stepper supports the problem's noise.
        start: X_0, a number or a tensor of the shape of one path's state.
        times: increasing positive times.
        steps: steps up to the last time, split among the intervals so that each is stepped evenly.
        paths: number of paths.
        stream: random numbers; normals are drawn in float32 for both dtypes. More paths extend fewer
            by whole blocks, whose length is a power of two.
        dtype: float32 or float64 of the states.

    Returns states with the times first and the paths last.

    Raises `InputError` where times do not increase from 0, a count is not positive, or the stepper does not support the
    noise. Cost: steps x paths of the stepper's steps; a step of the correlation SDE by Euler-Maruyama takes 1.7
    times what its normal takes from torch, 2.5 times from vsl. Memory: the result and a block of a few megabytes.
    """
    return _run(problem, stepper, start, times, steps, 1, paths, stream, dtype)[0]


def coupled(
    problem: Problem,
    stepper: Stepper,
    *,
    start: float | Float[Tensor, "*components"],
    times: Sequence[float],
    steps: int,
    levels: int,
    paths: int,
    stream: Stream,
    refined: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "levels times *state"]:
    """The same Brownian paths stepped at `levels` step lengths, each half the one before.

    Arguments:
        levels: number of step lengths.
        refined: halvings of the first one's steps, so that it has 2^refined times those of `steps`.
        others: as for `simulate`.

    Errors are those of `simulate`. Cost: that of 2^refined (2^levels - 1) calls of it.
    """
    return _run(problem, stepper, start, times, steps, levels, paths, stream, dtype, refined)


def split_steps(times: Sequence[float], steps: int) -> list[int]:
    """Steps of each interval, in proportion to its length and at least 1.

    Raises `InputError` for times that do not increase from 0.
    """
    intervals = [after - before for before, after in zip((0.0, *times), times, strict=False)]
    if not intervals or not all(0 < interval < math.inf for interval in intervals):
        raise InputError("times", list(times), "increasing positive numbers")
    return [max(1, math.ceil(steps * interval / times[-1])) for interval in intervals]


def _run(
    problem: Problem,
    stepper: Stepper,
    start: float | Float[Tensor, "*components"],
    times: Sequence[float],
    steps: int,
    levels: int,
    paths: int,
    stream: Stream,
    dtype: torch.dtype,
    refined: int = 0,
) -> Float[Tensor, "levels times *state"]:
    for field, value in (("steps", steps), ("levels", levels), ("paths", paths)):
        if value < 1:
            raise InputError(field, value, "a positive number")
    counts = split_steps(times, steps)
    if problem.noise not in stepper.weak_order:
        kinds = " or ".join(stepper.weak_order)
        raise InputError("stepper", type(stepper).__name__, f"{kinds} noise, not {problem.noise}")
    components, normals = problem.components, stepper.normals(problem)
    initial = torch.as_tensor(start, dtype=dtype, device=stream.device).reshape(*components, 1)
    out = torch.empty(levels, len(times), *components, paths, dtype=dtype, device=stream.device)
    path_bytes = dtype.itemsize * (math.prod(components) + normals)
    block = 1 << (stepper.block_bytes(problem) // path_bytes).bit_length() - 1
    for first in range(0, paths, block):
        size = min(block, paths - first)
        states = [initial.repeat(*(1,) * len(components), size) for _ in range(levels)]
        draw = _normals(stream, normals, size, dtype)
        for at, (before, after) in enumerate(zip((0.0, *times), times, strict=False)):
            count = counts[at] * 2**refined
            h = (after - before) / count
            lengths = [h / 2**level for level in range(levels)]
            moves = [stepper.advance(problem, h, x) for h, x in zip(lengths, states, strict=True)]
            for _ in range(count):
                if levels == 1:
                    moves[0](states[0], draw())
                else:
                    _coupled_step(problem, stepper, moves, states, draw)
            for level, (move, x) in enumerate(zip(moves, states, strict=True)):
                stepper.finish(problem, move, x)
                out[level, at, ..., first : first + size] = x
    return out


def _normals(
    stream: Stream, normals: int, paths: int, dtype: torch.dtype
) -> Callable[[], Float[Tensor, "normals paths"]]:
    """Draws standard normals into a buffer that the next draw overwrites."""
    single = torch.empty(normals, paths, dtype=torch.float32, device=stream.device)
    if dtype == torch.float32:
        return partial(stream.normal_, single)
    double = torch.empty_like(single, dtype=dtype)
    return lambda: double.copy_(stream.normal_(single))


def _coupled_step(
    problem: Problem,
    stepper: Stepper,
    moves: Sequence[Advance],
    states: Sequence[Float[Tensor, "*state"]],
    draw: Callable[[], Float[Tensor, "normals paths"]],
) -> Float[Tensor, "normals paths"]:
    """One step of the first state, two of the second and so on; returns the normals of the first one's step."""
    if len(moves) == 1:
        xi = draw().clone()
    else:
        earlier, later = (_coupled_step(problem, stepper, moves[1:], states[1:], draw) for _ in range(2))
        xi = stepper.join(problem, earlier, later)
    moves[0](states[0], xi.clone())
    return xi
