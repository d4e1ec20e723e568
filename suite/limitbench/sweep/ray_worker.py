"""The Ray actor of a sweep: holds the job, does one unit at a time on one thread."""

from __future__ import annotations

from limitbench.sweep.block_limits import memory_limit
from limitbench.sweep.blocks import Unit
from limitbench.sweep.worker import Job, Receipt, check_worker, execute

#: Threads of every numerical library in an actor.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class SweepWorker:
    """One process of a run.

    Arguments:
        job: what the units share.
        memory: GiB that one unit may take; None for no limit.
    """

    def __init__(self, job: Job, memory: float | None = None) -> None:
        self._job, self._memory = job, memory

    def ready(self) -> str:
        """Id of its node, once it is set up; raises `InputError` where it cannot honour the job."""
        import ray
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(1)
        threadpool_limits(1)  # a reused process may hold wider pools than its environment says
        check_worker(self._job)
        return str(ray.get_runtime_context().get_node_id())

    def alive(self) -> None:
        """Answers."""

    def execute(self, unit: Unit, attempt: int) -> Receipt:
        """Do one unit."""
        with memory_limit(self._memory):
            return execute(self._job, unit, attempt)
