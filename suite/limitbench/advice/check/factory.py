"""The user's factory: found by name, called with the depth and width that it takes, and checked for what it returns."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from limitbench.errors import InputError, one_line
from limitbench.numerics.random import stream_seed

_ACCEPTED = "module:factory or path/to/file.py:factory, a callable that returns a torch.nn.Module"


@dataclass(frozen=True)
class Factory:
    """A callable that returns a module at initialisation.

    Attributes:
        name: as the user wrote it.
        call: the callable.
        takes: which of `depth` and `width` it is called with.
    """

    name: str
    call: Callable[..., Any] = field(repr=False)
    takes: tuple[str, ...]

    def words(self, depth: int, width: int) -> str:
        """The call, for messages and headings."""
        sizes = {"depth": depth, "width": width}
        return f"{self.name}({', '.join(f'{name}={sizes[name]}' for name in self.takes)})"

    def build(self, depth: int, width: int) -> nn.Module:
        """A module; raises `InputError` where the factory raises or returns something else."""
        sizes = {"depth": depth, "width": width}
        words = self.words(depth, width)
        try:
            module = self.call(**{name: sizes[name] for name in self.takes})
        except Exception as error:
            raise InputError("factory", words, f"a module; it raised {said(error)}") from None
        if not isinstance(module, nn.Module):
            raise InputError("factory", words, f"a torch.nn.Module; it returned {type(module).__name__}")
        return module

    def draw(self, depth: int, width: int, seed: int, index: int) -> nn.Module:
        """Module number `index` of the stream of `seed`: torch, numpy and `random` start from a seed of its own."""
        own = stream_seed("check", self.name.rpartition(":")[2], depth, width, seed, index)  # wherever its file lies
        with seeded(own):
            return self.build(depth, width)


def load(name: str) -> Factory:
    """The factory called `name`, found from the current directory or installed; raises `InputError`.

    A file or module is imported, which runs it.
    """
    where, colon, attribute = name.rpartition(":")
    if not colon or not where or not attribute:
        raise InputError("factory", name, _ACCEPTED)
    module = _from_file(Path(where), name) if where.endswith(".py") else _from_module(where, name)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))[:12]
            instead = f"; callable there: {', '.join(known)}" if known else ""
            raise InputError("factory", name, f"a name in {where}{instead}")
        found = getattr(found, part)
    if isinstance(found, nn.Module):
        raise InputError("factory", name, "a callable that returns a module with fresh weights; this is one module")
    if not callable(found):
        raise InputError("factory", name, f"a callable; this is {type(found).__name__}")
    return Factory(name, found, _takes(found, name))


def _from_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise InputError("factory", name, f"a file that exists at {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        _importable(path.parent)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError("factory", name, f"a file that can be imported; it raised {said(error)}") from None
    return module


def _from_module(where: str, name: str) -> Any:
    try:
        _importable(Path.cwd())
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:
        accepted = f"a module that can be imported from {Path.cwd()}; importing {where} raised {said(error)}"
        raise InputError("factory", name, accepted) from None


def _importable(directory: Path) -> None:
    """`directory` first on the import path; it stays there, as a module may import others later."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _takes(call: Callable[..., Any], name: str) -> tuple[str, ...]:
    """Which of depth and width the signature accepts; raises `InputError` where it wants something else."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        return ()
    parameters = signature.parameters.values()
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    takes = tuple(n for n in ("depth", "width") if n in by_name or anything)
    wrong = [n for n in required if n not in takes or n not in by_name]
    if wrong:
        accepted = (
            f"a factory whose required parameters are depth and width, or one of them, or none; tried "
            f"({', '.join(takes)}), its signature {one_line(str(signature), 120)} also requires {', '.join(wrong)}"
        )
        raise InputError("factory", name, accepted)
    return takes


def check_module(module: nn.Module, words: str) -> None:
    """Raises `InputError` for a module without parameters."""
    if not any(True for _ in module.parameters()):
        raise InputError("factory", words, "a module with parameters; it has none, so that nothing in it is random")


def lazy(module: nn.Module) -> bool:
    """Whether some parameters get their shapes in the first forward pass."""
    return any(isinstance(p, UninitializedParameter) for p in module.parameters())


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether two modules have the same parameters."""
    pairs = zip(first.parameters(), second.parameters(), strict=False)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Global generators, which the user's factory may draw from, start at `seed`; afterwards they are as before."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def check_device(device: str) -> None:
    """Raises `InputError` where this machine has no such device."""
    if device not in ("cpu", "cuda"):
        raise InputError("--device", device, "cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device", device, "cpu: this machine has no CUDA device that torch can use")


def said(error: BaseException) -> str:
    """What a user's code raised, in one line."""
    text = one_line(str(error), 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
