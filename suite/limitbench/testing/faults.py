"""A proxy in front of an HTTP server that does to chosen requests what networks and busy servers do.

`python -m limitbench.testing.faults PORT` forwards to 127.0.0.1:PORT and prints its own port. `PUT /.faults` takes
`{"seed": 1, "shares": {"busy": 0.02}}`; `GET /.faults` gives what was injected so far. The generator is seeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter

#: What can happen to a request.
KINDS = (
    "busy",  # 503 SlowDown; the server never hears of the request
    "busy-after",  # the server does it, the answer is 503 SlowDown all the same
    "slow",  # 0.3 s late
    "cut-before",  # connection closed before the server hears of it
    "cut-after",  # the server does it, the connection closes without an answer
    "cut-inside",  # the connection closes in the middle of the answer
)
#: Only on demand: every request is refused as S3 does it, with the caller's key id in the answer.
DENIED = "denied"


def every(share: float) -> dict[str, float]:
    """Equal shares of all kinds that add up to `share`."""
    return dict.fromkeys(KINDS, share / len(KINDS))


def _answer(status: str, body: bytes, kind: bytes = b"application/xml") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + b"Content-Type: " + kind + b"\r\n\r\n" + body


_BUSY = _answer(
    "503 Service Unavailable",
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
)


def _denied(head: bytes) -> bytes:
    key = head.partition(b"Credential=")[2].partition(b"/")[0]
    body = b"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>" + key + b"</AWSAccessKeyId></Error>"
    return _answer("403 Forbidden", body)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


class Proxy:
    """Forwards to `port` on loopback."""

    def __init__(self, port: int) -> None:
        self._port, self._random = port, random.Random(0)
        self._shares: dict[str, float] = {}
        self.counts: Counter[str] = Counter()

    def _control(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"PUT"):
            told = json.loads(body)
            self._random, self._shares = random.Random(told.get("seed", 0)), told["shares"]
            self.counts.clear()
        return _answer("200 OK", json.dumps(self.counts).encode(), b"application/json")

    def _fate(self) -> str:
        self.counts["requests"] += 1
        drawn = self._random.random()
        for kind, share in self._shares.items():
            if drawn < share:
                self.counts[kind] += 1
                return kind
            drawn -= share
        return ""

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
            answer = await reader.read(-1)
        finally:
            writer.close()
        return answer.replace(b"HTTP/1.0", b"HTTP/1.1", 1).replace(b"\r\nConnection: close", b"", 1)

    async def _done(self, fate: str, head: bytes, body: bytes) -> tuple[bytes, bool]:
        """What the client gets, and whether the connection stays open."""
        if fate == "busy":
            return _BUSY, True
        if fate == DENIED:
            return _denied(head), True
        if fate == "cut-before":
            return b"", False
        if fate == "slow":
            await asyncio.sleep(0.3)
        answer = await self._forward(head, body)
        if fate == "busy-after":
            return _BUSY, True
        if fate == "cut-after":
            return b"", False
        if fate == "cut-inside":
            return answer[: len(answer) * 9 // 10], False
        return answer, True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, request after request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head, body = await _message(reader)
                if head.split()[1].startswith(b"/.faults"):
                    writer.write(self._control(head, body))
                    continue
                fate = self._fate()
                answer, whole = await self._done(fate, head, body)
                writer.write(answer)
                await writer.drain()
                if not whole:
                    break
        writer.close()


async def main(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(Proxy(port).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
