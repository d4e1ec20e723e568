"""How the benchmarks measure: processor time of one thread, what is compared in turns, and medians.

A busy machine stretches the wall clock of a process and leaves its processor time nearly alone; what is compared in
turns in one process shares whatever is left. Every value passes through `finite` or `error` before asv sees it.
"""

from __future__ import annotations

import math
import os
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

REPETITIONS = 5
#: Normals of one block of the generator's own rate: 1 MiB of float32, inside the second-level cache.
BLOCK = 2**18
#: Processor seconds that one repetition lasts at least, where the work can be repeated.
SHORTEST = 0.02


def finite(value: float) -> float:
    """`value`, or ValueError: asv shows NaN as no result, and its publish hangs on infinity."""
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"expected a positive finite measurement, got {value}")
    return float(value)


def error(value: float, noise: float = 1e-12) -> float:
    """`value` of an error, or `noise` where that is larger: what rounding or sampling alone may give.

    asv compares ratios, and of smaller values they would say nothing. Raises ValueError where it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"the tracked error is {value}")
    return max(float(value), noise)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(*works: Callable[[], object], repetitions: int = REPETITIONS) -> tuple[list[float], ...]:
    """Processor seconds of one call of each of `works`, `repetitions` of them, in turns; a first turn warms up.

    A work that is shorter than `SHORTEST` is called so many times in a row that it lasts that long.
    """
    calls = [max(1, round(SHORTEST / max(cpu_seconds(work), 1e-7))) for work in works]
    turns = [
        [
            cpu_seconds(lambda work=work, n=n: [work() for _ in range(n)]) / n
            for work, n in zip(works, calls, strict=True)
        ]
        for _ in range(repetitions)
    ]
    return tuple(list(column) for column in zip(*turns, strict=True))


def median_seconds(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Median processor seconds of one call."""
    return finite(statistics.median(in_turns(work, repetitions=repetitions)[0]))


def median_ratio(one: Callable[[], object], other: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Median over turns of the seconds of one call of `one` over those of `other`."""
    pairs = zip(*in_turns(one, other, repetitions=repetitions), strict=True)
    return finite(statistics.median(a / b for a, b in pairs))


def first_call(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Median processor seconds of the first call of `work` in a process, over child processes of this one.

    What is kept between calls (tables, quadratures, compiled things) is then part of the price.

    Raises:
        RuntimeError: the call raised in a child.
    """
    return finite(statistics.median(_in_child(work) for _ in range(repetitions)))


def _in_child(work: Callable[[], object]) -> float:
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writable, struct.pack("d", cpu_seconds(work)))
            status = 0
        finally:
            os._exit(status)
    os.close(writable)
    with open(readable, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    if not sent:
        raise RuntimeError("the call raised; call it here to see why")
    return float(struct.unpack("d", sent)[0])


def fill(generator: str, count: int) -> Callable[[], object]:
    """What draws `count` float32 normals as quickly as `generator` can: one block after another, in the cache."""
    from limitbench.numerics.random import Stream

    stream, block = Stream(0, "cpu", generator), torch.empty(min(BLOCK, count))
    return lambda: [stream.normal_(block) for _ in range(max(1, round(count / block.numel())))]


@contextmanager
def counted() -> Iterator[list[int]]:
    """Sizes of all fills of normals while the context is open."""
    from limitbench.numerics.random import Stream

    sizes: list[int] = []
    normal = Stream.normal_

    def counting(self: Stream, out: torch.Tensor) -> torch.Tensor:
        sizes.append(out.numel())
        return normal(self, out)

    Stream.normal_ = counting  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        Stream.normal_ = normal  # type: ignore[method-assign]


def needs(generator: str) -> None:
    """One thread for torch; raises NotImplementedError, which asv takes for a skip, where `generator` is missing."""
    torch.set_num_threads(1)
    if generator == "vsl":
        from limitbench.numerics import vsl

        if vsl.version() is None:
            raise NotImplementedError("the generator vsl needs limitbench[fast]")
