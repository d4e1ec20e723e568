"""A worker's heap keeps freed memory on glibc; elsewhere nothing happens."""

import platform
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from limitbench.sweep import heap

#: Takes and frees 16 MiB thirty times and prints the page faults of it, with and without the setting.
FAULTS = """
import resource, sys
import numpy as np
from limitbench.sweep.heap import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(2**21)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    np.ones(2**21)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, check=True, text=True).stdout)
        for word in ("keep", "return")
    )
    pages = 30 * 2**24 // resource.getpagesize()
    assert kept < pages / 30
    assert returned > kept


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: SimpleNamespace())  # a libc without mallopt
    assert not heap.keep_freed_memory()
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    assert not heap.keep_freed_memory()


def test_a_worker_sets_it_before_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    import torch

    from limitbench.sweep import ray_worker

    order: list[str] = []
    monkeypatch.setattr(ray_worker, "keep_freed_memory", lambda: order.append("heap"))
    monkeypatch.setattr(ray_worker, "check_worker", lambda job: order.append("checked"))
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))
    worker = ray_worker.SweepWorker.__new__(ray_worker.SweepWorker)
    worker._job, worker._gpu_share = None, 0.0
    threads = torch.get_num_threads()
    try:
        assert worker.ready() == "node"
    finally:
        torch.set_num_threads(threads)
    assert order == ["heap", "checked"]
