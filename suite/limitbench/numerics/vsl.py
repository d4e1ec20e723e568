"""Normals and uniforms by Intel's vector statistics library (VSL), on x86 where the `fast` extra brings MKL.

The generator is ARS-5 (Salmon et al. 2011, counter-based, on the processor's AES instructions), the transformation the
inverse of the normal cdf. The library fills float32 and float64 memory in place, without a copy or an intermediate.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import platform
from typing import TYPE_CHECKING

from limitbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

#: mkl_vsl_defines.h: the basic generator ARS-5; the inverse cdf as method; standard uniforms.
_ARS5, _INVERSE_CDF, _STANDARD = 15 << 20, 2, 0
#: MKL's threading layer without threads; MKL counts in 32-bit integers.
_SEQUENTIAL, _LONGEST = 1, 2**30
#: What errors say is accepted where MKL is missing.
WANTED = "torch; vsl needs limitbench[fast] installed (x86 only)"


class Generator:
    """One stream, at its own 64-bit key.

    Raises:
        InputError: MKL is not installed.
    """

    def __init__(self, seed: int) -> None:
        library = _library()
        if library is None:
            raise InputError("generator", "vsl", WANTED)
        self._library, self._state = library, ctypes.c_void_p()
        key = (ctypes.c_uint * 2)(seed & 0xFFFFFFFF, seed >> 32)
        _check(library.vslNewStreamEx(ctypes.byref(self._state), _ARS5, 2, key))

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.vslDeleteStream(ctypes.byref(self._state))

    def normal(self, out: Tensor) -> None:
        """Fill contiguous `out`, float32 or float64, with independent N(0, 1)."""
        self._fill("Gaussian", _INVERSE_CDF, out, 0.0, 1.0)

    def uniform(self, out: Tensor, low: float, high: float) -> None:
        """Fill contiguous `out`, float32 or float64, with independent uniforms on [low, high)."""
        self._fill("Uniform", _STANDARD, out, low, high)

    def _fill(self, law: str, method: int, out: Tensor, first: float, second: float) -> None:
        letter, kind = {4: ("s", ctypes.c_float), 8: ("d", ctypes.c_double)}[out.element_size()]
        if not (out.is_contiguous() and out.is_floating_point() and out.device.type == "cpu"):
            raise ValueError(f"got {out.dtype} with strides {out.stride()}, expected contiguous floats on the CPU")
        function = getattr(self._library, f"v{letter}Rng{law}")
        for start in range(0, out.numel(), _LONGEST):
            address = ctypes.c_void_p(out.data_ptr() + start * out.element_size())
            count = min(_LONGEST, out.numel() - start)
            _check(function(method, self._state, count, address, kind(first), kind(second)))


def version() -> str | None:
    """Release of MKL and the instructions it has chosen, which decide the bits; None where it is not installed."""
    library = _library()
    if library is None:
        return None
    return f"{_release()}, branch {library.MKL_CBWR_Get_Auto_Branch()}"


@functools.cache
def _release() -> str:
    """Release of MKL; its metadata take milliseconds to read, and every block asks."""
    return importlib.metadata.version("mkl")


@functools.cache
def _library() -> ctypes.CDLL | None:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    try:
        files = importlib.metadata.files("mkl") or []
        found = next(file for file in files if file.name.startswith(("libmkl_rt.", "mkl_rt.")))
        library = ctypes.CDLL(str(found.locate()))
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError):
        return None
    library.MKL_Set_Threading_Layer(_SEQUENTIAL)
    return library


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"VSL ended with status {status}")
