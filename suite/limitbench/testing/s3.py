"""An S3 server on loopback for tests: moto in a process of its own, behind a proxy that injects faults.

Conditional writes are honoured, one request at a time, as S3 does it. Objects live in the server's memory.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, cast

#: Credentials that the server takes, unmistakable in any place where they must not be.
ACCESS_KEY, SECRET_KEY = "AKIDLIMITBENCHTESTS0", "secret-that-must-not-leak-0123456789abcd"
BUCKET = "limitbench-tests"


@dataclass
class S3Server:
    """A running server.

    Attributes:
        url: of the bucket.
        environment: variables under which the bucket is found.
    """

    port: int
    proxy: subprocess.Popen[str]
    proxy_port: int
    url: str = f"s3://{BUCKET}"
    environment: dict[str, str] = field(default_factory=dict)

    def inject(self, shares: Mapping[str, float], seed: int = 0) -> None:
        """From now on, shares of the requests go wrong (`limitbench.testing.faults`); counts start at zero."""
        self._control("PUT", json.dumps({"shares": dict(shares), "seed": seed}).encode())

    def counts(self) -> dict[str, int]:
        """Requests since `inject`, and how many went wrong in which way."""
        return cast("dict[str, int]", json.loads(self._control("GET")))

    def _control(self, method: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.proxy_port}/.faults", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process, int(cast("IO[str]", process.stdout).readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def faulty(server: S3Server | int) -> Iterator[S3Server]:
    """Another proxy in front of the same server, whose end loses no object; needs no faults to be useful."""
    port = server if isinstance(server, int) else server.port
    with _started("limitbench.testing.faults", str(port)) as (proxy, proxy_port):
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy_port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        yield S3Server(port, proxy, proxy_port, environment=environment)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with one empty bucket inside; it starts in about two seconds."""
    with ExitStack() as stack:
        _, port = stack.enter_context(_started("limitbench.testing.s3"))
        server = stack.enter_context(faulty(port))
        bucket = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
        urllib.request.urlopen(bucket, timeout=10).close()
        yield server


def serve() -> None:
    """Serve for ever; prints the port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    os.environ.setdefault("MOTO_S3_DEFAULT_MAX_KEYS", "100")  # short pages: listings of tests have several
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    # One request after the other: between the check of a condition and its write nothing else may happen.
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
