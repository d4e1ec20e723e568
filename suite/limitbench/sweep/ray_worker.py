"""The Ray actor of a sweep: holds the job, does one unit after the other on one thread."""

from __future__ import annotations

import time

from limitbench.errors import Stopped
from limitbench.sweep.block_limits import memory_limit
from limitbench.sweep.blocks import Unit
from limitbench.sweep.executors import describe
from limitbench.sweep.heap import keep_freed_memory
from limitbench.sweep.pool import Answer, Share
from limitbench.sweep.worker import Job, check_worker, execute

#: Threads of every numerical library in an actor.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class SweepWorker:
    """One process of a run.

    Arguments:
        job: what the units share.
        memory: GiB that one unit may take; None for no limit.
        gpu_share: part of a GPU's memory that the process may take; 0 where it has none.
    """

    def __init__(self, job: Job, memory: float | None = None, gpu_share: float = 0.0) -> None:
        self._job, self._memory, self._gpu_share = job, memory, gpu_share

    def take(self, job: Job, memory: float | None = None, gpu_share: float = 0.0) -> str:
        """Leave the job that it holds for another, and be `ready` for that."""
        self._job, self._memory, self._gpu_share = job, memory, gpu_share
        return self.ready()

    def ready(self) -> str:
        """Id of its node, once it is set up; raises `InputError` where it cannot honour the job."""
        import ray
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(1)
        keep_freed_memory()
        threadpool_limits(1)  # a reused process may hold wider pools than its environment says
        check_worker(self._job)
        if 0.0 < self._gpu_share < 1.0:
            torch.cuda.set_per_process_memory_fraction(self._gpu_share)
        return str(ray.get_runtime_context().get_node_id())

    def alive(self) -> None:
        """Answers."""

    def execute(self, share: Share) -> list[Answer]:
        """Do one unit after the other; what one raises is told, but for `Stopped`, which ends the run."""
        return [self._attempt(unit, attempt) for unit, attempt in share]

    def _attempt(self, unit: Unit, attempt: int) -> Answer:
        began = time.monotonic()
        try:
            with memory_limit(self._memory):
                receipt = execute(self._job, unit, attempt)
            return Answer(receipt, seconds=time.monotonic() - began)
        except Stopped:
            raise
        except Exception as error:
            return Answer(None, describe(error), time.monotonic() - began)
