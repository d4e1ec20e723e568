"""Samplers: seconds a network, and how far from what bounds them, the generator's own rate and dense matrices."""

from __future__ import annotations

import torch

from limitbench.networks.base import Network

from .measure import REPETITIONS, counted, fill, finite, median_ratio, median_seconds, needs
from .networks import BOTH_WAYS, FAMILIES, LAYERS, DenseBothWays, DensePeer, shaped_relu

GENERATORS = ("torch", "vsl")
#: Families whose normals are nearly all of their work.
BY_NORMALS = tuple(name for name in FAMILIES if not name.startswith(("deep-linear", "shaped-relu-one-input")))


def batch(network: Network, generator: str = "torch", sampler: str = "exact") -> object:
    """Draw one batch, the deepest layer recorded."""
    return network.sample_batch(0, depths=[network.depth], sampler=sampler, generator=generator)  # type: ignore[arg-type]


class Networks:
    """Exact samplers of every family, 64 hidden layers."""

    params = (tuple(FAMILIES), (64, 1024))
    param_names = ("family", "width")
    timeout = 120

    def setup(self, family: str, width: int) -> None:
        needs("torch")
        self.network = FAMILIES[family](width, LAYERS)
        self.networks = self.network.batch_size("exact")

    def track_seconds_a_network(self, family: str, width: int) -> float:
        """Processor seconds of one network, torch's generator."""
        return finite(median_seconds(lambda: batch(self.network)) / self.networks)

    def track_normals_a_network(self, family: str, width: int) -> float:
        """Normals that one network consumes, the same number every time; other variates are not counted."""
        with counted() as sizes:
            batch(self.network)
        return finite(max(1.0, sum(sizes) / self.networks))

    track_seconds_a_network.unit = "s"  # type: ignore[attr-defined]
    track_normals_a_network.unit = "normals"  # type: ignore[attr-defined]


class GeneratorLimit:
    """Exact samplers against the generator alone; 1 is the physical limit of sampling with these normals."""

    params = (BY_NORMALS, (64, 1024), GENERATORS)
    param_names = ("family", "width", "generator")
    timeout = 120

    def setup(self, family: str, width: int, generator: str) -> None:
        needs(generator)
        self.network = FAMILIES[family](width, LAYERS)
        with counted() as self.sizes:
            batch(self.network, generator)
        if not self.sizes:
            raise NotImplementedError("this family draws other variates")

    def track_sampling_over_its_normals(self, family: str, width: int, generator: str) -> float:
        """Seconds of a batch over seconds in which the generator fills as many normals, block by block in the cache."""
        return median_ratio(lambda: batch(self.network, generator), fill(generator, sum(self.sizes)))

    track_sampling_over_its_normals.unit = "seconds / seconds of the generator"  # type: ignore[attr-defined]


class DenseMatrices:
    """Exact samplers against real weight matrices."""

    params = (tuple(FAMILIES),)
    param_names = ("family",)
    timeout = 120
    width = 64

    def setup(self, family: str) -> None:
        needs("torch")
        self.network = FAMILIES[family](self.width, LAYERS)

    def track_exact_over_dense(self, family: str) -> float:
        """Seconds a network at width 64, exact over the family's own dense sampler."""
        size = {name: self.network.batch_size(name) for name in ("exact", "dense")}
        ratio = median_ratio(lambda: batch(self.network), lambda: batch(self.network, sampler="dense"), repetitions=3)
        return finite(ratio * size["dense"] / size["exact"])

    track_exact_over_dense.unit = "exact seconds / dense seconds"  # type: ignore[attr-defined]


class CarefulDenseTorch:
    """Exact samplers, two inputs, against dense torch with everything preallocated, 64 layers."""

    params = (("forward", "both-ways"), (256, 1024), GENERATORS)
    param_names = ("way", "width", "generator")
    timeout = 120

    def setup(self, way: str, width: int, generator: str) -> None:
        needs(generator)
        both = way == "both-ways"
        self.network = FAMILIES["relu-tangent-kernel" if both else "shaped-relu-two-inputs"](width, LAYERS)
        self.dense = (DenseBothWays if both else DensePeer)(width, LAYERS)

    def track_exact_over_dense(self, way: str, width: int, generator: str) -> float:
        """Seconds a network: forward alone, or forward and backward to the tangent kernel."""
        ratio = median_ratio(lambda: batch(self.network, generator), self.dense.run)
        return finite(ratio / self.network.batch_size("exact"))

    track_exact_over_dense.unit = "exact seconds / dense seconds"  # type: ignore[attr-defined]


class Memory:
    """Peak memory of a process that draws one batch at width 4096; the interpreter and its libraries are in it."""

    params = (tuple(FAMILIES), (64, 1024))
    param_names = ("family", "layers")
    timeout = 120

    def setup(self, family: str, layers: int) -> None:
        needs("torch")
        if layers > LAYERS and family not in BOTH_WAYS:
            raise NotImplementedError("only families with a way back may keep their layers")
        self.network = FAMILIES[family](4096, layers)

    def peakmem_of_a_batch_at_width_4096(self, family: str, layers: int) -> None:
        """One batch of the exact sampler."""
        batch(self.network)


class Generators:
    """The generators themselves."""

    params = (GENERATORS,)
    param_names = ("generator",)

    def setup(self, generator: str) -> None:
        needs(generator)

    def track_nanoseconds_a_normal(self, generator: str) -> float:
        """Nanoseconds of a float32 normal, filled block by block in the cache."""
        return finite(1e9 * median_seconds(fill(generator, 2**22)) / 2**22)

    track_nanoseconds_a_normal.unit = "ns"  # type: ignore[attr-defined]


def main() -> None:
    """The table of acceptance figures on one thread: seconds a network, ratio to dense, share of the generator."""
    needs("torch")
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, one thread, medians of {REPETITIONS}")
    print(f"{'width':>6} {'exact s':>10} {'dense/exact':>12} {'share':>6}")
    for width in (64, 256, 1024):
        network = shaped_relu(width, LAYERS)
        with counted() as sizes:
            batch(network)
        exact = median_seconds(lambda network=network: batch(network)) / network.batch_size("exact")
        dense = median_ratio(DensePeer(width, LAYERS).run, lambda network=network: batch(network))
        share = median_ratio(fill("torch", sum(sizes)), lambda network=network: batch(network))
        print(f"{width:6} {exact:10.6f} {dense * network.batch_size('exact'):12.1f} {share:6.2f}")


if __name__ == "__main__":
    main()
