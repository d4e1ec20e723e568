"""Hosts of our own on one machine: network namespaces with their own addresses, joined by a switch that can be cut.

Each host has its own network stack and shares the file system, as the nodes of a cluster do. Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SUBNET = "10.213.77"
PORT = 6399


def why_not() -> str:
    """Why this machine cannot have hosts of its own; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None:
        return "iproute2 (the command ip) is not installed"
    trial = f"lb-trial-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", trial], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine allows no network namespaces ({made.stderr.strip()})"
    subprocess.run(["ip", "netns", "del", trial], check=False)
    return ""


@dataclass
class Hosts:
    """`count` hosts, numbered from 1, and a switch between them."""

    count: int
    tag: str = field(default_factory=lambda: f"lb{os.getpid() % 100000}")
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def name(self, host: int) -> str:
        """Name of the namespace of a host; 0 is the switch."""
        return f"{self.tag}-{host}"

    def address(self, host: int) -> str:
        """The address of a host."""
        return f"{SUBNET}.{host}"

    def up(self) -> None:
        """Make the switch and the hosts."""
        for host in range(self.count + 1):
            _ip("netns", "add", self.name(host))
            self.inside(host, "ip", "link", "set", "lo", "up")
        self.inside(0, "ip", "link", "add", "br0", "type", "bridge")
        self.inside(0, "ip", "link", "set", "br0", "up")
        for host in range(1, self.count + 1):
            wire = ("veth", "peer", "name", f"port{host}", "netns", self.name(0))
            _ip("link", "add", "eth0", "netns", self.name(host), "type", *wire)
            self.inside(0, "ip", "link", "set", f"port{host}", "master", "br0", "up")
            self.inside(host, "ip", "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            self.inside(host, "ip", "link", "set", "eth0", "up")

    def down(self) -> None:
        """End every process in the hosts, then the hosts."""
        for host in range(self.count + 1):
            found = subprocess.run(
                ["ip", "netns", "pids", self.name(host)], capture_output=True, text=True, check=False
            ).stdout.split()
            for pid in map(int, found):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        for process in self.started:
            process.communicate()
        for host in range(self.count + 1):
            subprocess.run(["ip", "netns", "del", self.name(host)], capture_output=True, check=False)

    def cut(self, host: int) -> None:
        """Pull the plug of a host."""
        self.inside(0, "ip", "link", "set", f"port{host}", "down")

    def mend(self, host: int) -> None:
        """Put it back."""
        self.inside(0, "ip", "link", "set", f"port{host}", "up")

    def inside(self, host: int, *command: str) -> str:
        """Run a command on a host to its end; its output."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name(host), *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} on host {host}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, host: int, *command: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command on a host."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name(host), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.started.append(process)
        return process


@contextmanager
def hosts(count: int) -> Iterator[Hosts]:
    """Hosts inside; all of their processes are ended afterwards."""
    found = Hosts(count)
    try:
        found.up()
        yield found
    finally:
        found.down()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
