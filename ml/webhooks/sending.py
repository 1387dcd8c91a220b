"""One POST to a checked address: no redirect, no proxy, little read, never longer than it may."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ml.webhooks.addresses import Address
from ml.webhooks.targets import Reach, RefusedTargetError, Target

AGENT = "Sevenfold-Webhooks"
CONNECT_SECONDS = 5.0
MOST_BYTES = 16_384
"""What is read of an answer: its head, and of its body what comes with it."""
LINGER_SECONDS = 1.0
"""How long a receiver that has answered may go on with its body, which is dropped."""


@dataclass(frozen=True)
class Answer:
    """What came of an attempt; without a status ``error`` says why there is none."""

    milliseconds: int
    status: int | None = None
    retry_after: str | None = None
    error: str | None = None


class _NoAnswerError(RuntimeError):
    """No answer came that could be read; the message says why."""


class _Head:
    """Collects status and headers of an answer, as httptools' parser reports them."""

    def __init__(self) -> None:
        import httptools

        self.status: int | None = None
        self.retry_after: str | None = None
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._broken = (httptools.HttpParserError, httptools.HttpParserUpgrade)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status is None and name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.status is None and status >= 200:  # those below announce another
            self.status = status

    def on_message_complete(self) -> None:
        self.complete = self.status is not None

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except self._broken:
            if self.status is None:
                raise _NoAnswerError("its answer is not HTTP") from None
            self.complete = True


@cache
def public_tls() -> ssl.SSLContext:
    """What the system's certificate authorities vouch for; SSL_CERT_FILE names others."""
    return ssl.create_default_context()


class Sender:
    """Sends what may be sent; each attempt resolves once and connects to what it checked."""

    def __init__(self, reach: Reach, seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._reach = reach
        self._seconds = seconds
        self._tls = tls

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST the body, and what came of it; whatever the network does is an Answer."""
        started = time.monotonic()

        def after() -> int:
            return round((time.monotonic() - started) * 1000)

        try:
            async with asyncio.timeout(self._seconds):
                target = Target.parse(url)
                reader, writer = await self._connect(target, await self._reach.addresses(target))
                try:
                    writer.write(self._request(target, headers, body))
                    head = await _head(reader)
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError:
            return Answer(after(), error=f"no answer within {self._seconds:g} s")
        except (RefusedTargetError, _NoAnswerError) as error:
            return Answer(after(), error=str(error))
        except OSError as error:
            return Answer(after(), error=f"the connection broke: {_said(error)}")
        answer = Answer(after(), head.status, head.retry_after)
        try:
            await _linger(reader, head)
        finally:
            writer.transport.abort()
        return answer

    async def _connect(
        self, target: Target, addresses: list[Address]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = target.scheme == "https"
        said = ""
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(
                        str(address),  # never the name, which might stand for another by now
                        target.port,
                        ssl=(self._tls or public_tls()) if secure else None,
                        server_hostname=target.host if secure else None,
                    )
            except TimeoutError:
                said = f"nobody there within {CONNECT_SECONDS:g} s"
            except OSError as error:
                said = _said(error)
        raise _NoAnswerError(f"no connection: {said}")

    def _request(self, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = {
            "Host": target.header,
            "User-Agent": AGENT,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


async def _head(reader: asyncio.StreamReader) -> _Head:
    """The answer's head; what follows it may be read in part."""
    head, read = _Head(), 0
    while head.status is None:
        data = await reader.read(4096)
        read += len(data)
        if not data:
            raise _NoAnswerError("it closed the connection without an answer")
        head.feed(data)
        if head.status is None and read > MOST_BYTES:
            raise _NoAnswerError(f"the head of its answer is longer than {MOST_BYTES:,} bytes")
    return head


async def _linger(reader: asyncio.StreamReader, head: _Head) -> None:
    """Let a receiver finish a short body; how that ends changes nothing."""
    read = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while not head.complete and read < MOST_BYTES:
                data = await reader.read(4096)
                if not data:
                    return
                read += len(data)
                head.feed(data)
    except OSError:  # a timeout too
        return


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'unknown').replace('_', ' ').lower()}"
    # What the error says of itself may hold the address.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__
