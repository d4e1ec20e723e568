"""Naming a process so that others can find out later whether it is still there: numbers of processes are used again."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> dict[str, str | int]:
    """Names this process: host, pid, machine, process."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "machine": machine(), "process": began(pid)}


def is_alive(pid: int, on: str, process: str) -> bool | None:
    """Whether the process `pid` of machine `on` that began at `process` is there; None where this one cannot see it."""
    if not on or not process or on != machine():
        return None
    return began(pid) == process


def machine() -> str:
    """Names the processes that this one can see: equal only inside one boot and one container; "" where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def began(pid: int) -> str:
    """Start time of a process that is alive, "" otherwise."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else others[18]
