"""The Ray executor: connects, and lets a dispatcher do the units on Ray's actors."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType

from limitbench.errors import ClusterError, InputError
from limitbench.sweep import ray_session
from limitbench.sweep.blocks import Unit
from limitbench.sweep.dispatch import Dispatcher
from limitbench.sweep.executors import Events, Executor, Handler, Limits
from limitbench.sweep.ray_pool import RayPool
from limitbench.sweep.worker import Job

#: Times in one run that a Ray of our own which was lost is started anew.
MAX_RESTARTS = 3


class RayExecutor(Executor):
    """Units on Ray actors.

    Arguments:
        address: Ray cluster to join; a local Ray if left out.
        workers: number of actors; one per CPU (per GPU for `cuda`) of the cluster, as it grows and shrinks, if left
            out.
        limits: when a unit is given up.
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self._address, self._workers, self._limits = address, workers, limits
        self._stack = ExitStack()

    def __enter__(self) -> RayExecutor:
        self._stack.enter_context(ray_session.ray_session(self._address, self._workers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self, device: str) -> None:
        """The cluster must have a GPU for `cuda`."""
        if device == "cuda":
            import ray

            resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
            if not resources.get("GPU"):
                raise InputError("device", device, "a device that the cluster has (it has no GPU)")

    def run(self, job: Job, units: Iterable[Unit], handle: Handler, events: Events | None = None) -> None:
        """Do all units; a unit that keeps failing is reported and the others go on.

        Actors are named `limitbench-STUDY-RUN-NUMBER`, with RUN at random, and tasks after their units. A Ray that was
        started for this run is started anew where it is lost.

        Raises:
            InputError: a worker refuses the device of the spec.
            Stopped: the cluster is lost, or no worker of it starts; or the store is out of reach.
        """
        pool = self._pool(job)
        dispatcher = Dispatcher(pool, handle, self._limits, self._workers, events)
        dispatcher.add(units)
        try:
            for restarts in range(MAX_RESTARTS + 1):
                try:
                    dispatcher.work()
                    break
                except ClusterError:
                    if restarts == MAX_RESTARTS or not ray_session.restart():
                        raise
                    pool.close(0.0)
                    pool = self._pool(job)
                    dispatcher.move(pool)
        finally:
            dispatcher.close()
            pool.close()

    def _pool(self, job: Job) -> RayPool:
        study = job.study if isinstance(job.study, str) else job.study.name
        label = f"limitbench-{study}-{secrets.token_hex(4)}"
        return RayPool(job, label, self._limits.unit_memory, self._limits.gpu_share)
