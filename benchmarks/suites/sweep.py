"""The sweep's own cost: what a block takes beyond sampling, in time, bytes and memory, and what its driver takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .measure import cpu_seconds, finite, needs


def trivial_sweep(blocks: int, out: str | Path) -> Any:
    """So many blocks of 64 networks of two layers, one after the other in this process, two observables each."""
    import limitbench
    from limitbench.testing.toy import STUDY

    return limitbench.run(STUDY, {"width": [4], "depth": [2]}, samples=64 * blocks, out=out, executor="serial")


class TrivialBlocks:
    """A sweep of blocks that hardly sample, in this process and on the local disk."""

    few, many = 64, 320

    def setup(self) -> None:
        needs("torch")

    def _spent(self, blocks: int) -> tuple[float, int]:
        """Processor seconds, and bytes on disk."""
        with tempfile.TemporaryDirectory() as folder:
            spent = cpu_seconds(lambda: trivial_sweep(blocks, folder))
            files = (file for file in Path(folder).rglob("*") if file.is_file())
            return spent, sum(file.stat().st_size for file in files)

    def _each(self, index: int) -> float:
        few, many = self._spent(self.few)[index], self._spent(self.many)[index]
        return (many - few) / (self.many - self.few)

    def track_milliseconds_a_block(self) -> float:
        """Processor milliseconds that one block more takes: sampling 64 networks, writing, marker, booking."""
        self._spent(8)
        return finite(1e3 * self._each(0))

    def track_bytes_a_block(self) -> float:
        """Bytes on disk of one block more: chunks of two observables and the marker."""
        return finite(self._each(1))

    track_milliseconds_a_block.unit = "ms"  # type: ignore[attr-defined]
    track_bytes_a_block.unit = "bytes"  # type: ignore[attr-defined]


class Driver:
    """The driver of a sweep on real Ray, two workers, blocks that do nothing."""

    timeout = 300

    def track_milliseconds_of_the_driver_a_block(self) -> float:
        """Processor milliseconds of its process, Ray's threads included."""
        from limitbench.sweep.dispatch_cost import measure_dispatch

        return finite(1e3 * measure_dispatch(units=500, rounds=3).unit)

    track_milliseconds_of_the_driver_a_block.unit = "ms"  # type: ignore[attr-defined]


class Worker:
    """A process that does blocks of a real study."""

    timeout = 300

    def setup(self) -> None:
        needs("torch")

    def peakmem_of_a_sweep_at_width_1024(self) -> None:
        """`shaped-relu`, 64 layers, 4096 networks: sampling, writing, laws and scores."""
        import limitbench

        with tempfile.TemporaryDirectory() as folder:
            limitbench.run("shaped-relu", {"width": [1024], "aspect": [0.0625]}, samples=4096, out=folder)
