"""A small HTTP/1.1 client, whose own work is little beside a server's, and turns between servers.

Latency: one kept-alive connection, one request after the other. Throughput: several connections of
one event loop, each with one request under way.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import uvloop

from benchmarks.harness import Cost

HOST = "127.0.0.1"
ANSWER_SECONDS = 30
WARM_SHARE = 0.1
"""Of the requests of a turn, so many more come first and do not count."""


def request(method: str, path: str, key: str = "", body: bytes | None = None) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Line:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, asked: bytes) -> bytes:
        """The body of the answer; RuntimeError where its status is not 200."""
        self._socket.sendall(asked)
        received = b""
        while (size := answer_size(received)) is None or len(received) < size:
            part = self._socket.recv(1 << 18)
            if not part:
                raise RuntimeError("the server closed the connection")
            received += part
        return received[received.index(b"\r\n\r\n") + 4 :]


def answer_size(received: bytes) -> int | None:
    """The length of the whole answer, None before its head is complete.

    Raises RuntimeError for another status than 200 and for an answer without Content-Length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    if received[9:12] != b"200":
        raise RuntimeError(f"answered {received[9:300].decode('latin-1')!r}")
    head = received[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise RuntimeError(f"an answer without Content-Length: {head[:300]!r}")
    return end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])


class Asked(Protocol):
    """A server, as far as turns need it."""

    port: int

    def cpu(self) -> float:
        """CPU seconds so far."""

    def settle(self) -> None:
        """Wait until its start is over."""


@dataclass(frozen=True)
class Target:
    """What is asked of a server, one request after the other, again and again."""

    server: Asked
    asked: Iterator[bytes]

    @classmethod
    def of(cls, server: Asked, *requests: bytes) -> Target:
        """These requests, in turn."""
        return cls(server, itertools.cycle(requests))


def latency(targets: Sequence[Target], requests: int, rounds: int) -> list[Cost]:
    """The median seconds of a request, in each target's best round; rounds take turns."""
    return _turns(targets, requests, rounds, _median_of)


def throughput(
    targets: Sequence[Target], requests: int, rounds: int, connections: int
) -> list[Cost]:
    """The seconds a request with several at once, in each target's best round."""
    return _turns(
        targets,
        requests,
        rounds,
        lambda target, count: uvloop.run(_many(target, count, connections)),
    )


class _Round(Protocol):
    def __call__(self, target: Target, requests: int, /) -> float: ...


def _turns(targets: Sequence[Target], requests: int, rounds: int, once: _Round) -> list[Cost]:
    warm = max(1, round(requests * WARM_SHARE))
    seconds: list[list[float]] = [[] for _ in targets]
    cpu = [0.0] * len(targets)
    if rounds > 1:  # one round shows that it runs, and is no figure
        for server in {id(target.server): target.server for target in targets}.values():
            server.settle()
    for _ in range(rounds):
        for place, target in enumerate(targets):
            once(target, warm)
            before = target.server.cpu()
            seconds[place].append(once(target, requests))
            cpu[place] += target.server.cpu() - before
    total = requests * rounds
    return [Cost(min(found), used / total) for found, used in zip(seconds, cpu, strict=True)]


def _median_of(target: Target, requests: int) -> float:
    taken = []
    with Line(target.server.port) as line:
        for asked in itertools.islice(target.asked, requests):
            started = time.perf_counter()
            line.ask(asked)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


class _Caller(asyncio.Protocol):
    """A connection that asks until nothing is left to be asked."""

    def __init__(self, left: Iterator[bytes]) -> None:
        self._left = left
        self._received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        asked = next(self._left, None)
        if asked is not None:
            self._transport.write(asked)
        elif not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            size = answer_size(self._received)
        except RuntimeError as error:
            self._fail(error)
            return
        if size is not None and len(self._received) >= size:
            self._received = b""
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(RuntimeError(f"the server closed the connection: {error}"))

    def _fail(self, error: RuntimeError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        self._transport.close()

    def close(self) -> None:
        """Let the connection go."""
        self._transport.close()


async def _many(target: Target, requests: int, connections: int) -> float:
    loop = asyncio.get_running_loop()
    left = itertools.islice(target.asked, requests)
    started = time.perf_counter()
    opened = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Caller(left), HOST, target.server.port)
            for _ in range(connections)
        )
    )
    callers = [caller for _, caller in opened]
    limit = ANSWER_SECONDS + requests * 0.1
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), limit)
    seconds = time.perf_counter() - started
    for caller in callers:
        caller.close()
    return seconds / requests
