"""Ray's actors as the pool of a dispatcher, made so that nothing which Ray loses can block the run.

Answers arrive through callbacks, at a cost that does not grow with the number of actors. Whatever asks the cluster's
control service (creating, killing, counting nodes) is done by a thread of its own: when that service is gone such calls
hang until Ray ends the process, so the run is given up before.
"""

from __future__ import annotations

import itertools
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from limitbench.errors import ClusterError, InputError, Stopped
from limitbench.sweep.executors import describe
from limitbench.sweep.pool import Answer, Done, Lost, News, Pool, Ready, Share
from limitbench.sweep.ray_session import keep_spare, take_spare
from limitbench.sweep.ray_worker import THREADS, SweepWorker
from limitbench.sweep.worker import Job

#: Namespace of the actors' names.
NAMESPACE = "limitbench"
#: Jobs up to this size need not lie in Ray's object store.
INLINE_BYTES = 64 * 2**10
#: Time between two looks at the cluster: its nodes, and whether idle workers still answer.
CENSUS_SECONDS = 2.0
#: Silence of the cluster's control service after which it is given up; Ray itself ends this process after 60 s, or what
#: `ray_session` asks for.
SILENCE_SECONDS = 30.0
LOST = "the Ray cluster was lost ({}); finished blocks are kept, the same command resumes with another cluster"


class RayPool(Pool):
    """Actors of the cluster that this process is connected to.

    Arguments:
        job: what the units share.
        label: first part of the actors' names, the same for no two runs.
        memory: GiB that one unit may take; None for no limit.
        gpu_share: part of a GPU that a worker has, for `cuda`.
        worker: class of the actors.

    Raises:
        ClusterError: the cluster does not answer.
    """

    def __init__(
        self,
        job: Job,
        label: str,
        memory: float | None = None,
        gpu_share: float = 1.0,
        worker: type[SweepWorker] = SweepWorker,
    ) -> None:
        import ray
        from ray import cloudpickle

        self._label = label
        self._gpu_share = gpu_share if job.spec.meaning.device == "cuda" else 0.0
        # Small jobs travel with each call: what lies in the object store is lost with the driver's own raylet, and the
        # attempt to find it again ends this process.
        small = len(cloudpickle.dumps(job)) < INLINE_BYTES  # type: ignore[no-untyped-call]
        self._arguments = (job if small else ray.put(job), memory, self._gpu_share)
        self._class: Any = ray.remote(worker)
        self._kind = (worker, self._gpu_share)
        self._names: dict[int, str] = {}  # of those that an earlier run left
        self._known: set[int] = set()  # started, and not yet lost or killed
        self._actors: dict[int, Any] = {}
        self._idle: dict[int, float] = {}  # since when
        self._answers: queue.SimpleQueue[tuple[int, Callable[[int, Any], News | None], Future[Any]]] = (
            queue.SimpleQueue()
        )
        self._requests: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._capacity, self._connected = 0, True
        self._heard = self._waited = time.monotonic()
        self._asked: set[int] = set()  # idle workers that have not answered yet
        counted = threading.Event()
        self._requests.put(counted.set)
        self._steering = threading.Thread(target=self._steer, name="ray control", daemon=True)
        self._steering.start()
        if not counted.wait(SILENCE_SECONDS):
            raise ClusterError(LOST.format("it does not answer"))

    def now(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def capacity(self) -> int:
        """CPUs of the nodes that are alive, shares of GPUs for `cuda`; a few seconds old."""
        return self._capacity

    def name(self, worker: int) -> str:
        """The actor's name, which stays that of the run that started it."""
        return self._names.get(worker, f"{self._label}-{worker}")

    def start(self, worker: int) -> None:
        """Ask for an actor, or take one that an earlier run in this session left."""
        self._known.add(worker)
        spare = take_spare(self._kind)
        if spare is None:
            self._requests.put(partial(self._create, worker))
            return
        self._names[worker], self._actors[worker] = spare
        self._expect(worker, self._actors[worker].take.remote(*self._arguments), self._started)

    def submit(self, worker: int, share: Share) -> None:
        """Call the actor; the task is named after the first unit, with the number of those that follow it."""
        self._idle.pop(worker, None)
        name = share[0][0].id + (f" and {len(share) - 1} more" if len(share) > 1 else "")
        call = self._actors[worker].execute.options(name=name).remote(share)
        self._expect(worker, call, partial(self._executed, len(share)))

    def wait(self, seconds: float) -> Sequence[News]:
        """News from the actors."""
        answers, began = [], time.monotonic()
        if began - self._waited > 2 * CENSUS_SECONDS:  # this process was stopped: the silence was its own
            self._heard = began
        try:
            answers.append(self._answers.get(timeout=max(seconds, 1e-3)))
            while True:
                answers.append(self._answers.get_nowait())
        except queue.Empty:
            pass
        self._waited = time.monotonic()
        if not self._connected:
            raise ClusterError(LOST.format("the raylet of this machine is gone"))
        if self._silent():
            raise ClusterError(LOST.format("its head does not answer"))
        found = (understand(worker, answer) for worker, understand, answer in answers if worker in self._known)
        return [news for news in found if news is not None]

    def kill(self, worker: int) -> None:
        """End the actor."""
        self._known.discard(worker)
        self._idle.pop(worker, None)
        self._requests.put(partial(self._kill, worker))

    def release(self, worker: int) -> None:
        """Leave the actor to the next run in this session, or end it."""
        actor = self._actors.get(worker)
        if actor is None or not keep_spare(self._kind, self.name(worker), actor):
            self.kill(worker)
            return
        self._known.discard(worker)
        self._idle.pop(worker, None)
        self._actors.pop(worker, None)

    def close(self, seconds: float = 10.0) -> None:
        """Let what was asked for happen, within `seconds`, and ask the cluster nothing more."""
        self._requests.put(None)
        self._steering.join(0.0 if self._silent() else seconds)

    def _silent(self) -> bool:
        return time.monotonic() - self._heard > SILENCE_SECONDS

    # What follows runs in the thread that talks to the control service.

    def _steer(self) -> None:
        for turn in itertools.count():
            left = self._heard + CENSUS_SECONDS - time.monotonic() if turn else 0.0
            try:
                request = self._requests.get(timeout=left) if left > 0.0 else self._count
            except queue.Empty:
                continue
            if request is None:
                return
            try:
                request()
            except Exception:  # what is wrong with the cluster shows in its silence
                time.sleep(0.1)

    def _count(self) -> None:
        import ray

        self._connected = raylet_listens()

        nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        self._capacity = sum(room(node["Resources"], self._gpu_share) for node in nodes)
        self._heard = time.monotonic()
        for worker, since in list(self._idle.items()):
            asked = self._heard - since <= CENSUS_SECONDS or worker in self._asked
            if not asked and (actor := self._actors.get(worker)) is not None:
                self._asked.add(worker)
                self._expect(worker, actor.alive.remote(), self._answered)

    def _create(self, worker: int) -> None:
        options: dict[str, Any] = {
            "name": self.name(worker),
            "namespace": NAMESPACE,
            "num_cpus": 1,
            "num_gpus": self._gpu_share,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": THREADS},
        }
        try:
            actor = self._class.options(**options).remote(*self._arguments)
            self._actors[worker] = actor
            self._expect(worker, actor.ready.remote(), self._started)
        except Exception as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            self._answers.put((worker, self._started, failed))

    def _kill(self, worker: int) -> None:
        import ray

        actor = self._actors.pop(worker, None)
        if actor is not None:
            ray.kill(actor)

    # What follows runs in the thread of the dispatcher, but for the callback.

    def _expect(self, worker: int, call: Any, understand: Callable[[int, Any], News | None]) -> None:
        future: Future[Any] = call.future()
        future.add_done_callback(lambda answer: self._answers.put((worker, understand, answer)))

    def _started(self, worker: int, answer: Future[Any]) -> News | None:
        error = answer.exception()
        if error is not None:
            return self._lost(worker, error)
        self._idle[worker] = time.monotonic()
        return Ready(worker, str(answer.result()))

    def _executed(self, units: int, worker: int, answer: Future[Any]) -> News | None:
        from ray.exceptions import RayTaskError

        error = answer.exception()
        if error is not None and not isinstance(error, RayTaskError):
            return self._lost(worker, error)
        self._idle[worker] = time.monotonic()
        if error is None:
            return Done(worker, answer.result())
        cause = _cause(error)
        if isinstance(cause, Stopped):
            raise cause from None
        return Done(worker, [Answer(None, describe(cause))] * units)

    def _answered(self, worker: int, answer: Future[Any]) -> News | None:
        self._asked.discard(worker)
        error = answer.exception()
        return None if error is None else self._lost(worker, error)

    def _lost(self, worker: int, error: BaseException) -> News:
        cause = _cause(error)
        if isinstance(cause, InputError | Stopped):
            raise cause from None
        self.kill(worker)
        return loss(worker, cause)


def room(resources: Mapping[str, float], gpu_share: float) -> int:
    """Workers of one CPU, and `gpu_share` of a GPU, that a node has room for: a share never spans two GPUs."""
    cpus = int(resources.get("CPU", 0.0))
    return cpus if gpu_share == 0.0 else min(cpus, int(resources.get("GPU", 0.0)) * int(1.0 / gpu_share + 1e-9))


def raylet_listens() -> bool:
    """Whether the raylet through which this process takes part in the cluster accepts connections.

    Ray notices only when the head does, and then the next request to the raylet ends this process.
    """
    import ray._private.worker as worker

    name = getattr(getattr(worker, "_global_node", None), "raylet_socket_name", None)
    if not isinstance(name, str) or not hasattr(socket, "AF_UNIX"):
        return True
    try:
        with socket.socket(socket.AF_UNIX) as raylet:
            raylet.settimeout(5.0)
            raylet.connect(name.removeprefix("unix://"))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:
        return True
    return True


def loss(worker: int, error: BaseException) -> Lost:
    """What Ray's error says about the end of an actor.

    A raylet reports a process that dies under it, so that `ActorDiedError` tells a process from a node. An actor that
    cannot be reached, or a result that cannot be fetched, is for want of a report the loss of a node.

    Raises:
        ClusterError: the actor died because this process counts as dead: its own node or raylet is.
    """
    from ray.exceptions import (
        ActorUnavailableError,
        LocalRayletDiedError,
        NodeDiedError,
        ObjectLostError,
        RayActorError,
    )

    text = " ".join(str(error).split())
    if "owner has died" in text or isinstance(error, LocalRayletDiedError):
        raise ClusterError(LOST.format("the node of this process is no longer part of it"))
    preempted = isinstance(error, RayActorError) and error.preempted
    if preempted or "node has died" in text or "node is dead" in text or isinstance(error, NodeDiedError):
        return Lost(worker, "node", "its node was lost")
    if isinstance(error, ActorUnavailableError | ObjectLostError):
        return Lost(worker, "node", "it can no longer be reached")
    if "low on memory" in text or type(error).__name__ == "OutOfMemoryError":
        return Lost(worker, "memory", "killed by Ray, as its node ran low on memory")
    if isinstance(error, RayActorError) and not error.actor_init_failed:
        return Lost(worker, "process", "a crash, or killed for its memory")
    return Lost(worker, "process", f"{type(error).__name__}: {text[-400:]}")


def _cause(error: BaseException) -> BaseException:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
