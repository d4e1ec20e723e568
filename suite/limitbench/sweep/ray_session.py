"""Joining or starting Ray: a local one on the loopback interface, or a cluster by its address."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from limitbench.errors import InputError

#: Seconds to find out whether a cluster answers.
CONNECT_SECONDS = 5.0
JOIN_SECONDS = 15.0
#: CPUs that a Ray which was started here was asked for; empty where none was.
_OWN: list[int | None] = []
#: Ray ends a process to whom its head gives no answer for this long; the dispatcher gives up before, in its own words.
PATIENCE = {"RAY_gcs_rpc_server_reconnect_timeout_s": "300"}
#: Idle workers of finished runs by class and share of a GPU, each with its name; None where they are ended at once.
_SPARES: dict[Hashable, list[tuple[str, Any]]] | None = None
ACCEPTED = "the address of a running Ray cluster (HOST:PORT, ray://HOST:PORT or auto)"


@contextmanager
def ray_session(
    address: str | None = None, workers: int | None = None, *, keep_workers: bool = False
) -> Iterator[None]:
    """A connection to Ray inside; ends what it began, and leaves a connection alone that was there before.

    Arguments:
        address: of a cluster; without one `RAY_ADDRESS`, and without that a Ray of this machine's own is started, which
            listens on the loopback interface only.
        workers: CPUs that a Ray of our own offers; all if left out.
        keep_workers: the idle workers of one run do the next: a process takes seconds to start. They hold their CPUs
            until the session ends, so that this is for runs that follow each other closely.

    Raises:
        InputError: the cluster cannot be reached, found out within 20 s; or Ray's token cannot be read.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode.lower() not in ("token", "disabled"):  # Ray takes any other word for "disabled"
        raise InputError("RAY_AUTH_MODE", mode, "token or disabled")
    for name, seconds in PATIENCE.items():
        os.environ.setdefault(name, seconds)  # read when Ray is imported
    import ray

    if ray.is_initialized():
        yield
        return
    target = address or os.environ.get("RAY_ADDRESS") or None
    global _SPARES
    try:
        _SPARES = {} if keep_workers else None
        if target is None or target == "local":
            _OWN.append(workers)
            _start(workers)
        else:
            _join(target)
        with _quiet():
            yield
    finally:
        _OWN.clear()
        _SPARES = None
        ray.shutdown()


def keep_spare(kind: Hashable, name: str, actor: Any) -> bool:
    """Keep an idle worker for the next run; False where it is to be ended."""
    if _SPARES is None:
        return False
    _SPARES.setdefault(kind, []).append((name, actor))
    return True


def take_spare(kind: Hashable) -> tuple[str, Any] | None:
    """Name and handle of a worker that an earlier run left, if there is one."""
    return _SPARES[kind].pop() if _SPARES and _SPARES.get(kind) else None


def restart() -> bool:
    """Start a Ray of our own, which is lost, anew inside `ray_session`; False where it was not started here."""
    import ray

    if not _OWN:
        return False
    if _SPARES is not None:
        _SPARES.clear()
    ray.shutdown()
    _start(_OWN[0])
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps a paragraph about every worker that died off the terminal: the dispatcher counts deaths and reports them.

    `log_to_driver=False` does not reach these messages, and Ray has no public switch for them.
    """
    import ray._private.worker as worker

    printer = getattr(worker, "print_to_stdstream", None)
    if printer is None:
        yield
        return
    worker.print_to_stdstream = lambda *args, **kwargs: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printer


def _start(workers: int | None) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    token = Path.home() / ".ray" / "auth_token"
    made_here = not token.exists()
    try:
        with _loopback():
            ray.init(
                address="local",
                num_cpus=max(workers or 0, os.cpu_count() or 1),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except AuthenticationError:
        place = os.environ.get("RAY_AUTH_TOKEN_PATH") or str(token)
        raise InputError("RAY_AUTH_TOKEN_PATH", place, "a file that holds Ray's token, or RAY_AUTH_TOKEN") from None
    if made_here:
        with suppress(OSError):
            token.chmod(0o600)  # Ray makes it for everybody to read


def _join(address: str) -> None:
    import ray

    with _loopback() if _on_loopback_alone(address) else nullcontext():
        _check_answers(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # ConnectionError, ValueError, ImportError (no Ray client), RuntimeError (versions)
            reason = " ".join(str(error).split())[:160]
            raise InputError("address", address, f"{ACCEPTED} ({reason})") from None


def _on_loopback_alone(address: str) -> bool:
    """Whether the cluster of a loopback address cannot be reached by the outer one, which Ray puts in its place."""
    host, _, port = address.rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdigit() or not 0 < int(port) < 65536:
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing
            probe.connect(("8.8.8.8", 53))
            outer = probe.getsockname()[0]
        socket.create_connection((outer, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError:
        return True
    return False


def _check_answers(address: str) -> None:
    """Raises `InputError` where joining `address` does not work within `JOIN_SECONDS` (Ray waits for minutes)."""
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise InputError("address", address, ACCEPTED)
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise InputError("address", address, f"{ACCEPTED} ({error.strerror or error})") from None
    trial = f"import ray; ray.init(address={address!r}, log_to_driver=False, logging_level='ERROR')"
    try:
        joined = subprocess.run([sys.executable, "-c", trial], capture_output=True, timeout=JOIN_SECONDS, check=False)
        answers, said = joined.returncode == 0, joined.stderr
    except subprocess.TimeoutExpired as late:
        answers, said = False, late.stderr or b""
    if not answers:
        raise InputError("address", address, f"{ACCEPTED} ({_reason(said)})")


def _reason(said: bytes) -> str:
    """Why joining failed, from what Ray said on the way."""
    if b"uthenticat" in said:
        return "its token is missing or wrong here: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token"
    if b"ersion mismatch" in said:
        return "its versions of Ray and Python differ from those here"
    return "there is none that this machine can join"


@contextmanager
def _loopback() -> Iterator[None]:
    """Ray nodes started inside bind to 127.0.0.1.

    Ray has this mode for systems whose firewall asks about every open port; on others its switch, read when Ray is
    imported and by each process it starts, is the only way to it: `_node_ip_address="127.0.0.1"` is replaced by the
    machine's outer address.
    """
    import ray._private.ray_constants as constants

    name = constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before, enabled = os.environ.get(name), constants.ENABLE_RAY_CLUSTER
    os.environ[name], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = enabled
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
