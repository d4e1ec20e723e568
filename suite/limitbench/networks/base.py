"""The interface of a network family, and sampling by seeded batches, which all families share."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from limitbench.display import facts
from limitbench.errors import InputError
from limitbench.networks.checks import whole
from limitbench.numerics.gpu_memory import with_room
from limitbench.numerics.random import stream_seed

if TYPE_CHECKING:
    import xarray as xr

Sampler = Literal["exact", "dense"]
SAMPLERS: tuple[Sampler, ...] = ("exact", "dense")
#: The method of networks that are drawn with their weights.
REAL_MATRICES = "real weight matrices, O(n^2) a layer"


class Network(abc.ABC):
    """A family of finite random networks at initialisation, at one set of parameters.

    Implementations are frozen dataclasses. They draw in batches: a batch is `batch_size(sampler)` networks with one
    seed, so that numbers never depend on who draws what. One pass to the deepest requested depth records all depths,
    and which depths are recorded never alters the stream.
    """

    #: Name of the family in seeds, stores and reports.
    family: ClassVar[str]
    #: Raised whenever the same seed gives other numbers.
    version: ClassVar[int]
    #: True where the law of layer l depends on the final depth; then depth enters the seed.
    depends_on_final_depth: ClassVar[bool] = False

    depth: int

    @property
    @abc.abstractmethod
    def observables(self) -> tuple[str, ...]:
        """Names of the observables that `sample` gives at these parameters."""

    @property
    @abc.abstractmethod
    def parameters(self) -> Mapping[str, object]:
        """Canonical JSON-ready parameters that determine the law of layer l (without depth)."""

    @abc.abstractmethod
    def batch_size(self, sampler: Sampler) -> int:
        """Networks per batch: a power of two and a fixed function of family and width."""

    @abc.abstractmethod
    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch from the `Stream` of `seed`, `device` and `generator`: float64, one column per requested depth.

        `depths` is increasing, within 1 .. `depth`. Where `depends_on_final_depth`, they are layers of networks of
        depth `depth`.
        """

    def cost(self, sampler: Sampler) -> float:
        """Estimated seconds of one network on one CPU thread, for order and time left only."""
        return 1e-6 * self.depth

    def method(self, sampler: Sampler) -> str:
        """How `sampler` draws at these parameters, and what a layer of n units costs: the cheapest exact law there is.

        For markers and reports; it enters no seed.
        """
        return REAL_MATRICES if sampler == "dense" else "conditional normals, O(n) a layer"

    def batch_seed(self, seed: int, batch: int, sampler: Sampler) -> int:
        """Seed of batch number `batch` of the run with spec seed `seed`."""
        depth = (self.depth,) if self.depends_on_final_depth else ()
        return stream_seed(seed, self.family, self.version, sampler, dict(self.parameters), batch, *depth)

    def sample_batches(
        self,
        batches: range,
        *,
        seed: int = 0,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "networks depths"]]:
        """Batches number `batches.start` to `batches.stop - 1`, joined along the first dimension."""
        options: Any = {"depths": depths, "sampler": sampler, "device": device, "generator": generator}
        parts = [
            with_room(partial(self.sample_batch, self.batch_seed(seed, batch, sampler), **options)) for batch in batches
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.observables}

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        depths: Sequence[int] | None = None,
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> xr.Dataset:
        """Draw `n` independent networks.

        Arguments:
            n: number of networks; the first `n` of the stream, so a larger `n` extends a smaller one.
            seed: spec seed.
            depths: layers at which observables are recorded, increasing; the final layer if left out.
            sampler: `exact` (no weights, exact in law) or `dense` (real weight matrices).
            device: torch device.
            generator: `torch`, or `vsl` with limitbench[fast] installed (CPU only): other numbers of the same law.

        Returns:
            One float64 variable per observable, dims (sample, depth), or (sample,) when `depths` is left out.
        """
        import xarray as xr

        import limitbench.accessors  # noqa: F401  # `drawn.limitbench`

        n, seed = whole("n", n), whole("seed", seed, 0)
        if seed >= 2**63:
            raise InputError("seed", seed, "an integer from 0 to 2^63 - 1")
        check_device(device)
        if sampler not in SAMPLERS:
            raise InputError("sampler", sampler, " or ".join(SAMPLERS))
        at = check_depths(depths if depths is not None else (self.depth,), self.depth)
        batches = range(-(-n // self.batch_size(sampler)))
        drawn = self.sample_batches(batches, seed=seed, depths=at, sampler=sampler, device=device, generator=generator)
        data = xr.Dataset(
            {name: (("sample", "depth"), values[:n]) for name, values in drawn.items()},
            coords={"depth": list(at)},
            attrs={"network": repr(self), "sampler": sampler, "seed": seed},
        )
        return data if depths is not None else data.isel(depth=0)

    def _repr_html_(self) -> str:
        """Family, parameters and observables, for notebooks."""
        rows = [("depth", self.depth), *self.parameters.items(), ("observables", self.observables)]
        return facts(f"{type(self).__name__}: {self.family}, version {self.version}", rows)


def check_depths(depths: Any, depth: int) -> tuple[int, ...]:
    """`depths` as a strictly increasing tuple of integers in 1 .. depth, or an error that names the bad one."""
    try:
        at = tuple(whole("depths", d) for d in depths)
    except (TypeError, InputError):  # no sequence, or no integers
        at = ()
    if not at or any(b <= a for a, b in itertools.pairwise(at)) or at[-1] > depth:
        raise InputError("depths", depths, f"increasing integers from 1 to depth = {depth}")
    return at


def check_device(device: Any) -> None:
    """Raises `InputError` for a device that torch does not know, that this machine lacks or that has no float64."""
    import torch

    try:
        known = torch.device(device)
        lacking = known.type == "cuda" and (known.index or 0) >= torch.cuda.device_count()
    except (RuntimeError, TypeError):
        known, lacking = None, True
    if lacking or known is None or known.type not in ("cpu", "cuda"):
        raise InputError("device", device, "cpu, or cuda where this machine has it")
