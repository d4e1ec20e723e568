"""Check and time every sampler on a GPU in one call: `python -m benchmarks.gpu`, a few minutes.

Laws: on the card, networks without weights against networks with real weight matrices, and both against the CPU.
Speed: wall seconds a network on the card and on one CPU thread in turns, the share of the card's own rate of normals,
peak memory, and what happens where the card has no room. The figures go to a JSON file under the name of the device,
to be committed with it; `--device cpu` runs the same code without a card.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from limitbench.networks.base import Network
from limitbench.testing.networks import CRITICAL, largest_deviation

from .suites.measure import finite
from .suites.networks import FAMILIES

RESULTS = Path(__file__).parent / "gpu_results"
#: Normals of one fill, for the rate that nothing on the card can exceed.
FILL = 2**26


def main(arguments: list[str] | None = None) -> int:
    """Print a table, write the figures, return 1 where a law is wrong and 2 where there is no such device."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", type=Path, help="file for the figures [default: gpu_results/<device>.json]")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024, 4096])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--networks", type=int, default=4096, help="networks of each law test")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("error: device: got 'cuda', expected cpu; this machine has no usable GPU", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or "cpu"
    fill = torch.empty(FILL if options.device == "cuda" else 2**18, device=options.device)
    rate = fill.numel() / wall(lambda: fill.normal_(), options.device)
    print(f"{name}, torch {torch.__version__}: {rate / 1e9:.2f} G normals a second")
    laws = {family: law(FAMILIES[family](16, 6), options.networks, options.device) for family in options.families}
    for family, deviations in laws.items():
        shown = ", ".join(f"{pair} {value:.1f}" for pair, value in deviations.items())
        print(f"{'wrong' if max(deviations.values()) > CRITICAL else 'right':5} {family}: {shown} standard deviations")
    rows = [
        speed(family, width, options.device, rate, laws[family])
        for family in options.families
        for width in options.widths
    ]
    room = tight(FAMILIES[options.families[0]](256, 64)) if options.device == "cuda" else None
    figures = {
        "device": name,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "normals_per_second": rate,
        "laws": laws,
        "speed": rows,
        "same_numbers_where_the_card_is_nearly_full": room,
    }
    out = options.out or RESULTS / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-').lower()}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {out}")
    return int(any(value > CRITICAL for found in laws.values() for value in found.values()) or room is False)


def wall(work: Callable[[], object], device: str, repetitions: int = 5) -> float:
    """Median wall seconds of one call, the card idle before and after; the first call warms up."""
    seconds = []
    for _ in range(repetitions + 1):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return finite(statistics.median(seconds[1:]))


def synchronise(device: str) -> None:
    """Wait until the card has done what it was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()


def law(network: Network, count: int, device: str) -> dict[str, float]:
    """Largest deviation between laws, in standard deviations: exact and dense on the device, and exact on the CPU."""

    def drawn(sampler: str, where: str, seed: int) -> dict[str, object]:
        found = network.sample(count, seed=seed, depths=[network.depth], sampler=sampler, device=where)  # type: ignore[arg-type]
        return {name: found[name].to_numpy() for name in network.observables}

    exact, dense, cpu = drawn("exact", device, 1), drawn("dense", device, 2), drawn("exact", "cpu", 3)
    return {"exact-dense": largest_deviation(exact, dense), "device-cpu": largest_deviation(exact, cpu)}  # type: ignore[arg-type]


def speed(family: str, width: int, device: str, rate: float, deviations: dict[str, float]) -> dict[str, object]:
    """Seconds a network of 64 layers and of `width` units, on the device and on one CPU thread."""
    network = FAMILIES[family](width, 64)
    batch = network.batch_size("exact")
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def once(where: str) -> float:
        return wall(lambda: network.sample_batch(1, depths=[network.depth], device=where), where, 3) / batch

    here, cpu = once(device), once("cpu")
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    print(f"{family:28} width {width:5}: {here * 1e6:10.2f} µs a network, {cpu / here:7.1f} times one CPU thread")
    return {
        "family": family,
        "width": width,
        "batch": batch,
        "seconds": here,
        "cpu_over_device": cpu / here,
        "rate_of_one_normal_a_unit": width * 64 / here / rate,
        "peak_mib": peak,
        "law_is_right": max(deviations.values()) <= CRITICAL,
    }


def tight(network: Network) -> bool:
    """Whether a batch gives the same numbers once other memory, held in torch's cache, fills the card."""
    first = network.sample_batches(range(1), depths=[network.depth], device="cuda")
    free, _ = torch.cuda.mem_get_info()
    hold = torch.empty(int(0.98 * free), dtype=torch.uint8, device="cuda")
    del hold  # torch keeps it; with the cache emptied there is room
    again = network.sample_batches(range(1), depths=[network.depth], device="cuda")
    torch.cuda.empty_cache()
    return all((first[name] == again[name]).all() for name in first)


if __name__ == "__main__":
    sys.exit(main())
