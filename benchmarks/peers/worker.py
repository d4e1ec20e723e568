"""The driver's end of a peer's program: one process, one request and one answer at a time."""

from __future__ import annotations

import json
import os
import select
import subprocess
from types import TracebackType
from typing import Any

from benchmarks.peers.environments import CACHE, PROGRAMS, python

#: One thread for every library.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


class PeerError(Exception):
    """A program that cannot be started, or its own error, in one line."""


class Worker:
    """A running program of `environment` (None: this one), whose standard error goes to a log of that name.

    Arguments:
        environment, program, log: which, and the name of its log.
        limit: wall seconds that one answer may take, compilation included.

    Raises:
        PeerError: the environment is missing; later, whatever the program answers, or that it does not.
    """

    def __init__(self, environment: str | None, program: str, log: str, limit: float = 300.0) -> None:
        self.program, self.limit = program, limit
        CACHE.mkdir(exist_ok=True)
        self.log = CACHE / f"{log}.log"
        try:
            with self.log.open("w") as errors:
                self.process = subprocess.Popen(
                    [str(python(environment)), "-W", "ignore", str(PROGRAMS / f"{program}.py")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=os.environ | ONE_THREAD,
                    text=True,
                )
        except OSError as error:
            raise PeerError(str(error)) from error

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """The answer to one request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.limit)[0]:
                self.process.kill()
                raise PeerError(f"no answer within {self.limit:g} s")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            written = self.log.read_text().strip().splitlines()
            raise PeerError(written[-1] if written else f"{self.program} ended with code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
