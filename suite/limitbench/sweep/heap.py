"""A worker keeps the memory that it frees: samplers free and take the same few megabytes at every layer.

By default glibc hands such pieces back to the kernel and has every page of them zeroed anew on the next layer, which
costs families that keep a tape for the backward pass up to a third of their time.
"""

from __future__ import annotations

import ctypes
import sys

#: `mallopt` parameters of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Bytes up to which memory comes from the heap: the most that glibc accepts. Larger pieces still go back when freed.
MMAP_BYTES = 32 * 2**20


def keep_freed_memory() -> bool:
    """Have this process' heap keep what is freed; True where glibc took both settings, False on any other system.

    The heap then never shrinks, so that its size is the largest sum of pieces below 32 MiB held at one time.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    # -1 is the largest number of bytes, as the parameter is read without sign
    return bool(mallopt(_MMAP_THRESHOLD, MMAP_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, -1))
