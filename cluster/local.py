#!/usr/bin/env python
"""A Ray cluster of several nodes on this machine: a head without compute and worker nodes, all on 127.0.0.1.

One process holds every node, so that Ctrl-C (or `stop`) ends what it started and nothing else; the kernel ends Ray's
processes with it if it is killed. Needs the extra `cluster` (`ray[default]`: dashboard and job submission).
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 100 * 2**20
STOP_SECONDS = 60.0
REAP_SECONDS = 5.0


class Refused(Exception):
    """A reason in one line: field, value seen, what is accepted."""


def main() -> int:
    """Run the command line; 0 in order, 2 if it cannot be done."""
    options = _options()
    try:
        if options.command == "stop":
            stop()
        else:
            start(options.nodes, options.cpus, options.port, options.dashboard_port)
    except Refused as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    return 0


def start(nodes: int, cpus: int, port: int, dashboard_port: int) -> None:
    """Start a head and `nodes` worker nodes of `cpus` CPUs each, say how to use them, and wait to be stopped."""
    for name, value in (("port", port), ("dashboard port", dashboard_port)):
        if _taken(value):
            raise Refused(f"{name}: got {value}, which another process listens on; expected a free port")
    home = _home()
    with (home / "pid").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"cluster: got a second one in {home}, expected one; `{__file__} stop` ends it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            _hold(home, nodes, cpus, port, dashboard_port)
        finally:
            shutil.rmtree(home, ignore_errors=True)


def stop() -> None:
    """End the cluster that `start` holds in another process, and wait until it has ended."""
    pid_file = _home() / "pid"
    deadline = time.monotonic() + STOP_SECONDS
    told = False
    while (pid := _holder(pid_file)) is not None:
        if not told:
            os.kill(pid, signal.SIGTERM)
            told = True
        if time.monotonic() > deadline:
            raise Refused(f"cluster: got process {pid}, which did not end in {STOP_SECONDS:g} s; end it by `kill -9`")
        time.sleep(0.1)
    print("stopped" if told else "no cluster is running")


def _hold(home: Path, nodes: int, cpus: int, port: int, dashboard_port: int) -> None:
    _environment(home)
    from ray.cluster_utils import Cluster  # reads the environment when it is imported

    def ended(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    _adopt()
    cluster = Cluster()
    try:
        cluster.add_node(
            num_cpus=0,
            object_store_memory=OBJECT_STORE_BYTES,
            node_ip_address=LOOPBACK,
            node_name="head",
            gcs_server_port=port,
            include_dashboard=True,
            dashboard_host=LOOPBACK,
            dashboard_port=dashboard_port,
        )
        for k in range(nodes):
            cluster.add_node(
                num_cpus=cpus,
                object_store_memory=OBJECT_STORE_BYTES,
                node_ip_address=LOOPBACK,
                node_name=f"node-{k + 1}",
            )
        signal.signal(signal.SIGTERM, ended)  # after the nodes, each of which sets a handler for itself alone
        _say(cluster.address, str(cluster.webui_url), nodes, cpus)
        while cluster.remaining_processes_alive():
            time.sleep(1.0)
        print("a process of the cluster has ended by itself; stopping the rest", flush=True)
    except KeyboardInterrupt:
        print("stopping", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave nodes behind
        cluster.shutdown()
        _reap()


def _adopt() -> None:
    """Processes whose parent dies become children of this one, on Linux, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _reap() -> None:
    """Wait until every child has ended; kill those that are slow to see that their cluster is gone."""
    deadline = time.monotonic() + REAP_SECONDS
    with suppress(ChildProcessError):  # none is left
        while True:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
            if time.monotonic() > deadline and sys.platform == "linux":
                for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.05)


def _environment(home: Path) -> None:
    """What Ray's processes inherit: token authentication, loopback, this Python's commands; made before Ray is read."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch to the loopback interface, on Linux too
    os.environ["RAY_TMPDIR"] = str(home)  # leaves the address file of another Ray of this user alone
    os.environ["TMPDIR"] = str(home)  # Ray's dashboard leaves a directory there
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
        os.umask(0o077)
        command = [str(Path(sys.executable).parent / "ray"), "get-auth-token", "--generate"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _say(address: str, dashboard: str, nodes: int, cpus: int) -> None:
    run = "limitbench run deep-linear --set width=16 --set aspect=1 --samples 4096"
    token = "RAY_AUTH_TOKEN" if os.environ.get("RAY_AUTH_TOKEN") else "~/.ray/auth_token"
    lines = {
        "address": address,
        "dashboard": f"http://{dashboard}",
        "first": f"export RAY_AUTH_MODE=token    # the token is in {token}",
        "run": f"{run} --address {address} --out results-local",
        "submit": f'ray job submit --address http://{dashboard} -- {run} --address auto --out "$PWD/results-job"',
        "stop": "Ctrl-C here, or make cluster-local-stop",
    }
    print(f"{nodes} nodes with {cpus} CPU each and a head without", *(f"{k:12}{v}" for k, v in lines.items()), sep="\n")
    sys.stdout.flush()


def _home() -> Path:
    """The directory of this user's cluster; short, because sockets are in it, and closed to others."""
    home = Path(tempfile.gettempdir()) / f"limitbench-cluster-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Refused(f"directory: got {home}, expected one of this user that is closed to others")
    return home


def _holder(pid_file: Path) -> int | None:
    """Process that holds the lock of `pid_file`."""
    try:
        with pid_file.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read()
                return int(text) if text else None
    except OSError:
        pass
    return None


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A Ray cluster of several nodes on this machine.")
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--nodes", type=_count, default=3, help="worker nodes [3]")
    parser.add_argument("--cpus", type=_count, default=1, help="CPUs that each offers [1]")
    parser.add_argument("--port", type=_count, default=6379, help="port of the cluster's address [6379]")
    parser.add_argument("--dashboard-port", type=_count, default=8265, help="port of dashboard and jobs [8265]")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a positive integer")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
