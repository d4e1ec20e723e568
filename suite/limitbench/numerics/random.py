"""Random streams: every batch of networks has a seed of its own that names what it draws.

The seed is a hash of what is drawn and of nothing else: not of the worker, not of the order, not of the depths that
are recorded. So any worker may draw any batch at any time and gets the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """A torch generator on `device` that starts at `seed`."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)
