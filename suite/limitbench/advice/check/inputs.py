"""The batch of inputs: the user's own, or Gaussian ones of a shape that the module tells or that is found by trying."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from limitbench.advice.check.factory import lazy
from limitbench.errors import NOTHING, InputError, one_line
from limitbench.networks.checks import number

#: Numbers of inputs in a batch.
FEWEST, MOST = 8, 64
#: Positions of a sequence and sides of an image that are tried.
_POSITIONS, _SIDES = 12, (16, 28, 32, 64, 224)


def from_file(path: str) -> Tensor:
    """The batch in an .npy file, first axis the inputs, float64 or integer; raises `InputError`."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            "--input", path, f"an .npy file with an array of numbers ({one_line(str(error), 120)})"
        ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.ndim < 2:
        raise InputError("--input", path, "an array of numbers with two axes or more, the first over inputs")
    if not FEWEST <= len(array) <= MOST:
        raise InputError("--input", f"{Path(path).name} with {len(array)} inputs", f"{FEWEST} to {MOST} inputs")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError("--input", path, "finite numbers")
        if not (array.reshape(len(array), -1) ** 2).sum(axis=1).all():
            raise InputError("--input", path, "inputs that are not 0")
        return torch.from_numpy(array.astype(np.float64))
    return torch.from_numpy(array.astype(np.int64))


def parse_shape(text: str) -> tuple[int, ...]:
    """`3,32,32` as the shape of one input; raises `InputError`."""
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise InputError("--input-shape", text, "positive integers, for example 3,32,32")
    return shape


def gaussian(shape: tuple[int, ...], inputs: int, rho0: float, seed: int) -> Tensor:
    """Inputs in random directions with mean square 1; the first two have correlation `rho0`.

    Raises `InputError` where one number an input leaves no room for that correlation.
    """
    size = math.prod(shape)
    if size < 2 and abs(rho0) != 1:
        raise InputError("--input-shape", ",".join(map(str, shape)), "two numbers an input, or --rho0 1")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((inputs, size))
    x /= np.sqrt((x**2).mean(axis=1, keepdims=True))
    across = x[1] - (x[1] @ x[0]) / size * x[0] if size > 1 else x[1] * 0
    across /= max(math.sqrt((across**2).mean()), 1e-300)
    x[1] = rho0 * x[0] + math.sqrt(max(1 - rho0**2, 0)) * across
    return torch.from_numpy(x.reshape(inputs, *shape))


def tokens(length: int, vocabulary: int, inputs: int, seed: int) -> Tensor:
    """Random integers below `vocabulary`."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, vocabulary, (inputs, length)))


def candidates(module: nn.Module, inputs: int, rho0: float, seed: int) -> Iterator[Tensor]:
    """Batches of the shapes that the module may take, likeliest first."""
    own = getattr(module, "input_shape", None)
    if own is not None:
        yield gaussian(tuple(int(n) for n in own), inputs, rho0, seed)
        return
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            yield tokens(_POSITIONS, part.num_embeddings, inputs, seed)
            return
        if isinstance(part, nn.MultiheadAttention):
            yield gaussian((_POSITIONS, part.embed_dim), inputs, rho0, seed)
            return
        if isinstance(part, nn.Linear) and part.in_features:
            yield gaussian((part.in_features,), inputs, rho0, seed)
            yield gaussian((_POSITIONS, part.in_features), inputs, rho0, seed)
            return
        if isinstance(part, nn.RNNBase):
            yield gaussian((_POSITIONS, part.input_size), inputs, rho0, seed)
            return
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d) and part.in_channels:
            for side in _SIDES[: 1 if isinstance(part, nn.Conv3d) else None]:
                yield gaussian((part.in_channels, *(side,) * len(part.kernel_size)), inputs, rho0, seed)
            return
    if lazy(module):
        return
    sizes = dict.fromkeys(n for p in module.parameters() if p.dim() == 2 for n in (p.shape[1], p.shape[0]))
    for size in list(sizes)[:4]:
        yield gaussian((size,), inputs, rho0, seed)


def find(module: nn.Module, inputs: int, rho0: float, seed: int) -> Tensor:
    """Gaussian inputs of the first shape that the module accepts; raises `InputError` with what it said otherwise."""
    said = ""
    for x in candidates(module, inputs, rho0, seed):
        try:
            with torch.no_grad():
                module(x if x.dtype == torch.int64 else x.float())
        except Exception as error:  # the module is the user's: anything may come
            raised = f"{type(error).__name__}: {one_line(str(error), 120)}"
            said = said or f"inputs of shape {tuple(x.shape[1:])} raised {raised}"
            continue
        return x
    why = said or "no layer tells the shape of its inputs"
    raise InputError("--input-shape", NOTHING, f"the shape of one input, or --input FILE.npy ({why})")


def checked_rho0(value: object) -> float:
    """A correlation; raises `InputError`."""
    return number("--rho0", value, -1.0, 1.0)
