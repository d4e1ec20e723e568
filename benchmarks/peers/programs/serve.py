"""A program of a peer: reads one JSON request a line, does the work, answers with one JSON line.

Only the standard library: every environment has it. What libraries print goes to standard error.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """One thing to time.

    Arguments:
        work: does it once, to the end; everything that is reused is allocated before.
        units: networks (or path-steps) that one call makes.
        draw: so many values of each observable, by name, for the comparison of laws.
    """

    work: Callable[[], object]
    units: int
    draw: Callable[[int], dict[str, Sequence[float]]]


def moments(values: Sequence[float]) -> dict[str, float]:
    """Count, mean, variance and fourth central moment of the finite ones, and how many are not finite."""
    finite = [value for value in map(float, values) if math.isfinite(value)]
    count = len(finite)
    mean = sum(finite) / count
    second = sum((value - mean) ** 2 for value in finite) / (count - 1)
    fourth = sum((value - mean) ** 4 for value in finite) / count
    return {"count": count, "mean": mean, "variance": second, "fourth": fourth, "undefined": len(values) - count}


def tangent_observables(kernel: Sequence[Sequence[float]], depth: int) -> dict[str, float]:
    """ln(K_11/(d + 1)) and K_12 / sqrt(K_11 K_22), NaN where an input that they need is dead."""
    (first, cross), (_, second) = kernel
    return {
        "log_ntk": math.log(first / (depth + 1)) if first > 0.0 else math.nan,
        "ntk_ratio": cross / math.sqrt(first * second) if first * second > 0.0 else math.nan,
    }


def serve(make: dict[str, Callable[..., Task]], packages: Sequence[str]) -> None:
    """Answer `prepare` (build and call once), `run` (some calls) and `law` (moments) until standard input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task: Task | None = None
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            answer: dict[str, Any] = {}
            if request["do"] == "prepare":
                task = None  # frees the memory of the one before
                task = make[request["task"]](**request["settings"])
                task.work()
                answer["versions"] = {name: importlib.metadata.version(name) for name in packages}
            elif task is None:
                raise RuntimeError("nothing is prepared")
            elif request["do"] == "run":
                for _ in range(request["calls"]):
                    task.work()
                answer["units"] = task.units * request["calls"]
            elif request["do"] == "law":
                drawn = task.draw(request["count"])
                answer["moments"] = {name: moments(values) for name, values in drawn.items()}
            else:
                raise ValueError(f"do: got {request['do']!r}, expected prepare, run or law")
            answer |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        except Exception as error:  # the driver's table says why
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        out.write(json.dumps(answer) + "\n")
        out.flush()
