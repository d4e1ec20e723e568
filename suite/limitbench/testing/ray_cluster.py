"""A Ray cluster of several nodes on this machine, whose processes can be killed one by one: for tests of faults.

Its head has no CPUs; every node is a raylet of its own. It listens on the loopback interface only, and ends nothing but
what it started.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from limitbench.sweep.ray_session import _loopback

#: Settings of Ray under which a node that is gone is noticed in about four seconds instead of fifteen.
QUICK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


class LocalCluster:
    """A head and `nodes` nodes of one CPU each. Use as a context manager.

    Arguments:
        nodes: how many beside the head.
        settings: environment of Ray's processes, for example `QUICK`.
    """

    def __init__(self, nodes: int = 3, settings: Mapping[str, str] = QUICK) -> None:
        self._count, self._settings = nodes, settings
        self._stack = ExitStack()
        self.nodes: list[Any] = []

    def __enter__(self) -> LocalCluster:
        from ray.cluster_utils import Cluster

        self._stack.enter_context(_environment(self._settings))
        self._stack.enter_context(_loopback())
        head = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._stack.callback(self._cluster.shutdown)
        for _ in range(self._count):
            self.add_node()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """For `--address`."""
        return str(self._cluster.address)

    @property
    def head(self) -> Any:
        """The head node."""
        return self._cluster.head_node

    def add_node(self) -> Any:
        """One more node of one CPU, which is known to the cluster when this returns."""
        node = self._cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
        self.nodes.append(node)
        return node

    def kill_node(self, node: Any) -> None:
        """Kill every process of the node, as when its machine is lost."""
        self.nodes.remove(node)
        workers = self.workers(node)
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        self._cluster.worker_nodes.discard(node)
        for worker in workers:
            kill(worker)

    def kill_raylet(self, node: Any) -> None:
        """Kill the node's raylet alone, and nothing of what it leaves behind."""
        if node in self.nodes:
            self.nodes.remove(node)
            self._cluster.worker_nodes.discard(node)
        for process in node.all_processes["raylet"]:
            process.process.kill()
            process.process.wait()

    def kill_head(self) -> None:
        """Kill every process of the head."""
        for processes in self.head.all_processes.values():
            for process in processes:
                process.process.kill()

    def workers(self, *nodes: Any) -> list[int]:
        """Process ids of the actors on `nodes`; on all of them if none is named."""
        raylets = {process.process.pid for node in nodes or self.nodes for process in node.all_processes["raylet"]}
        return [pid for pid in processes_under(raylets) if is_worker(pid)]


def processes_under(parents: set[int]) -> list[int]:
    """Ids of all processes that descend from `parents`."""
    found, todo = [], list(parents)
    while todo:
        parent = todo.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as file:
                children = [int(child) for child in file.read().split()]
        except OSError:
            continue
        found += children
        todo += children
    return found


def title(pid: int) -> str:
    """What the process calls itself; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def is_worker(pid: int) -> bool:
    """Whether the process is an actor of Ray's: called after its class, or after the task that it is doing."""
    return title(pid).startswith("ray::") and not title(pid).startswith("ray::IDLE") and "Agent" not in title(pid)


def kill(pid: int) -> bool:
    """SIGKILL; False where the process is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Any, seconds: float = 60.0) -> None:
    """Wait until `condition()` is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
