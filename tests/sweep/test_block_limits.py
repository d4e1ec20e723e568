"""A block that takes more memory than it may fails with a clear error, and its process lives on."""

import mmap
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from limitbench.sweep.block_limits import memory_limit

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")

QUARTER = 2**28  # bytes


FRESH = """
import resource
import numpy as np
import torch
from limitbench.sweep.block_limits import memory_limit

before = resource.getrlimit(resource.RLIMIT_DATA)
for take in (
    lambda: np.ones(2**25),
    lambda: torch.ones(2**28),
    lambda: [b"x" * 2**20 for _ in range(256)],
):
    try:
        with memory_limit(0.125):
            take()
    except MemoryError as error:
        print(error)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert np.ones(2**25).size  # the process may take it again
"""


def test_what_numpy_and_torch_ask_for_beyond_the_limit_is_refused_and_said():
    # In a process of its own: one that has freed much before may take that again without asking the system.
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    assert done.stdout == 3 * "the block takes more than 0.125 GiB of memory (--block-memory)\n"


def hold(size):
    """Fill memory that is shared, which the system counts under no limit, and keep it."""
    with mmap.mmap(-1, size) as shared:
        for page in range(0, size, 4096):
            shared[page] = 1
        while True:
            os.getpid()


def test_memory_that_the_system_does_not_refuse_is_noticed_while_it_is_held():
    with pytest.raises(MemoryError, match=r"more than 0\.125 GiB"), memory_limit(0.125):
        hold(QUARTER)


@pytest.fixture
def stacks_of_256_mib():
    # Larger than any stack of an ended thread that the system's library keeps, and gives again without asking.
    before = threading.stack_size(2**28)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("stacks_of_256_mib")
def test_a_limit_too_small_for_a_thread_is_named():
    with pytest.raises(MemoryError, match=r"more than 0\.001 GiB of memory \(--block-memory\)$"), memory_limit(0.001):
        threading.Thread(target=print).start()


def test_a_block_within_its_limit_and_its_other_errors_pass_through():
    for gib in (None, 0.5):
        with memory_limit(gib):
            assert np.ones(2**20).sum() == 2**20
        with pytest.raises(ArithmeticError, match=r"^as it was$"), memory_limit(gib):
            raise ArithmeticError("as it was")
