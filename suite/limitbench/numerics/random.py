"""Random streams: every batch of networks has a seed of its own that names what it draws.

The seed is a hash of what is drawn and of nothing else: not of the worker, not of the order, not of the depths that
are recorded. So any worker may draw any batch at any time and gets the same numbers. Normals and uniforms, nearly all
of the work, come from one of two generators: torch's own, or Intel's VSL where the `fast` extra is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.numerics import vsl

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: What normals and uniforms are drawn with.
GENERATORS = ("torch", "vsl")


def stream_seed(*parts: object) -> int:
    """Seed in [0, 2^63) of the stream that `parts` name: blake2b of their canonical JSON.

    Floats enter by their shortest round-trip form, mappings with sorted keys; 1 and 1.0 are different names, so
    callers convert parameters to their declared types first.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_canonical)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"no canonical form for {type(value).__name__}")


class Stream:
    """Random numbers of one batch on one device, from the generator `torch` or `vsl` (CPU only).

    Both fill tensors in place. Variates other than normals and uniforms come from `torch`, a torch generator that
    starts at the same seed; with the generator `torch` it is the one stream of them all.

    Arguments:
        seed: start of the stream, in [0, 2^63), of which torch's generator on the CPU uses the lower 32 bits: of 10^5
            batches one pair shares a stream, more often than not. vsl uses all of it.
        device: torch device.
        generator: `torch` or `vsl`.

    Raises:
        InputError: where the generator is not to be had here.
    """

    def __init__(self, seed: int, device: str = "cpu", generator: str = "torch") -> None:
        import torch

        self.seed, self.generator = seed, generator
        self.torch = torch.Generator(device=device).manual_seed(seed)
        self._vsl = None
        if generator == "vsl":
            if self.torch.device.type != "cpu":
                raise InputError("generator", generator, f"torch on {device}")
            self._vsl = vsl.Generator(seed)
        elif generator != "torch":
            raise InputError("generator", generator, " or ".join(GENERATORS))

    @property
    def device(self) -> torch.device:
        """Where the tensors that it fills must be."""
        return self.torch.device

    def normal_(self, out: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Fill contiguous `out` with independent N(0, 1) and return it.

        Float32 numbers end at |z| = 5.4 (vsl) or 5.8 (torch): a share of 6e-8 or less that is moved there, which
        changes E z^2 by 1e-7 or less.
        """
        if self._vsl is None:
            return out.normal_(generator=self.torch)
        self._vsl.normal(out)
        return out

    def uniform_(self, out: Float[Tensor, "*shape"], low: float = 0.0, high: float = 1.0) -> Float[Tensor, "*shape"]:
        """Fill contiguous `out` with independent uniforms on [low, high) and return it."""
        if self._vsl is None:
            return out.uniform_(low, high, generator=self.torch)
        self._vsl.uniform(out, low, high)
        return out

    def another(self, *parts: object) -> Stream:
        """An independent stream of the same kind, named by this one's seed and `parts`."""
        return Stream(stream_seed(self.seed, *parts), str(self.device), self.generator)


def check_generator(generator: str, device: str) -> None:
    """Raises `InputError` where `generator` is not to be had on `device` here."""
    if generator == "vsl" and (device != "cpu" or vsl.version() is None):
        raise InputError("generator", generator, vsl.WANTED if device == "cpu" else f"torch on {device}")


def best_generator(device: str) -> str:
    """`vsl` where it is installed and `device` is the CPU, else `torch`; LIMITBENCH_GENERATOR=torch forbids vsl.

    Raises `InputError` where that variable of the environment is neither.
    """
    wanted = os.environ.get("LIMITBENCH_GENERATOR", "vsl")
    if wanted not in GENERATORS:
        raise InputError("LIMITBENCH_GENERATOR", wanted, " or ".join(GENERATORS))
    return "vsl" if wanted == "vsl" and device == "cpu" and vsl.version() is not None else "torch"
