"""One POST over real sockets: to the address that was checked, whatever the receiver does."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop

from ml.webhooks.sending import MOST_BYTES, Answer, Sender
from ml.webhooks.targets import Reach
from tests.receiver import Authority, Receiver, receiving, status

HERE = (ip_network("127.0.0.0/8"),)
BODY = b'{"type":"webhook.test"}'
HEADERS = {"webhook-id": "msg_1"}
Run = Callable[[Coroutine[Any, Any, Answer]], Answer]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """On each of both event loops; the API serves on uvloop."""
    return asyncio.run if request.param == "asyncio" else uvloop.run


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def names(**known: Sequence[str]) -> Callable[[str, int], Any]:
    """A resolver that knows hooks.example.com alone, and what it was asked."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host != "hooks.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return known["addresses"]

    return resolve


def sender(seconds: float = 10.0, **given: Any) -> Sender:
    return Sender(Reach(HERE, plain=True), seconds, **given)


def post(run: Run, url: str, sending: Sender | None = None) -> Answer:
    return run((sending or sender()).post(url, HEADERS, BODY))


def test_the_request_is_what_was_meant(run: Run, receiver: Receiver) -> None:
    answer = post(run, receiver.url(path="/a%20b?c=d"))
    assert (answer.status, answer.error, answer.retry_after) == (204, None, None)
    [got] = receiver.received
    assert got.line == "POST /a%20b?c=d HTTP/1.1"
    assert got.body == BODY
    assert got.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "Sevenfold-Webhooks",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "connection": "close",
        "webhook-id": "msg_1",
    }


@pytest.mark.parametrize("code", [200, 201, 302, 400, 410, 429, 500, 503])
def test_the_status_is_told_as_it_is_and_no_redirect_is_followed(
    run: Run, receiver: Receiver, code: int
) -> None:
    receiver.replies += [status(code, f"Location: {receiver.url()}", "Retry-After: 7", body=b"x")]
    answer = post(run, receiver.url())
    assert (answer.status, answer.retry_after, answer.error) == (code, "7", None)
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (2 * MOST_BYTES), "head of its answer is longer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, "head of its answer is longer"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(
    run: Run, receiver: Receiver, reply: bytes, words: str
) -> None:
    receiver.replies += [reply]
    answer = post(run, receiver.url())
    assert answer.status is None
    assert answer.error is not None
    assert words in answer.error


def test_announcements_before_the_answer_do_not_count(run: Run, receiver: Receiver) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    receiver.replies += [early + status(500)]
    assert post(run, receiver.url()).status == 500


def test_the_first_answer_counts_and_no_other(run: Run, receiver: Receiver) -> None:
    receiver.replies += [status(500) + status(200, "Retry-After: 9")]
    answer = post(run, receiver.url())
    assert (answer.status, answer.retry_after) == (500, None)


def test_an_answer_that_comes_byte_by_byte_is_read(run: Run, receiver: Receiver) -> None:
    def slowly(connection: socket.socket) -> None:
        for byte in status(202, "Retry-After: 3"):
            connection.sendall(bytes([byte]))

    receiver.replies += [slowly]
    answer = post(run, receiver.url())
    assert (answer.status, answer.retry_after) == (202, "3")


def test_of_a_huge_answer_a_little_is_read(run: Run, receiver: Receiver) -> None:
    sent, cut = 0, threading.Event()

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        try:
            while sent < 1 << 28:
                sent += connection.send(b"x" * 65536)
        except OSError:
            cut.set()

    receiver.replies += [flood]
    assert post(run, receiver.url()).status == 200
    assert cut.wait(10)
    assert sent < 1 << 25  # what fits in the sockets' buffers, and no quarter of a gigabyte


def test_a_receiver_that_says_nothing_is_given_up(run: Run, receiver: Receiver) -> None:
    given_up = threading.Event()

    def silent(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            given_up.set()

    receiver.replies += [silent]
    answer = post(run, receiver.url(), sender(seconds=0.3))
    assert (answer.status, answer.error) == (None, "no answer within 0.3 s")
    assert given_up.wait(10)


def test_headers_that_trickle_are_given_up_too(run: Run, receiver: Receiver) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:  # until the other side has gone
            connection.sendall(b"X: y\r\n")
            threading.Event().wait(0.02)

    receiver.replies += [trickle]
    assert post(run, receiver.url(), sender(seconds=0.3)).error == "no answer within 0.3 s"


def test_a_body_that_never_ends_does_not_undo_the_answer(run: Run, receiver: Receiver) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.recv(1)

    receiver.replies += [endless]
    assert post(run, receiver.url(), sender(seconds=5)).status == 200


def test_nobody_there_is_said_without_an_address(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = post(run, f"http://127.0.0.1:{port}/")
    assert answer.error == f"no connection: {os.strerror(errno.ECONNREFUSED).lower()}"


def test_a_receiver_that_resets_is_a_failure(run: Run, receiver: Receiver) -> None:
    def reset(connection: socket.socket) -> None:
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    receiver.replies += [reset]
    answer = post(run, receiver.url())
    assert answer.status is None
    assert answer.error is not None
    assert "connection" in answer.error


def test_another_address_of_the_name_is_tried(run: Run, receiver: Receiver) -> None:
    known = names(addresses=["127.0.0.2", "127.0.0.1"])
    reach = Reach(HERE, plain=True, resolver=known)
    answer = post(run, receiver.url("hooks.example.com"), Sender(reach, 10))
    assert answer.status == 204
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"


def test_a_name_is_resolved_once_and_its_checked_address_is_what_is_connected_to(
    run: Run, receiver: Receiver
) -> None:
    """DNS rebinding: whatever the name stands for after the check leads nowhere."""
    asked = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked == 1 else ["127.0.0.3"]

    reach = Reach((ip_network("127.0.0.1/32"),), plain=True, resolver=rebinding)
    sending = Sender(reach, 10)
    url = receiver.url("hooks.example.com")
    assert post(run, url, sending).status == 204
    assert asked == 1
    answer = post(run, url, sending)
    assert answer.error is not None
    assert "hooks.example.com stands for a loopback address" in answer.error
    assert (asked, receiver.connections) == (2, 1)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.2", "::1"])
def test_a_name_that_turned_bad_is_not_connected_to(run: Run, address: str) -> None:
    reach = Reach(resolver=names(addresses=["93.184.215.14", address]))
    answer = post(run, "https://hooks.example.com/", Sender(reach, 10))
    assert answer.error is not None
    assert "which webhooks may not reach" in answer.error
    assert address not in answer.error


def test_proxies_of_the_environment_are_not_asked(
    run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(path=""))
        assert post(run, receiver.url()).status == 204
        assert proxy.connections == 0


def secured(authority: Authority, *known: str, **given: Any) -> Sender:
    reach = Reach(HERE, resolver=names(addresses=list(known) or ["127.0.0.1"]))
    return Sender(reach, 10, **({"tls": authority.client()} | given))


def test_tls_asks_for_the_name_and_takes_its_certificate(run: Run, authority: Authority) -> None:
    with receiving(authority.server("hooks.example.com")) as receiver:
        answer = post(run, receiver.url("hooks.example.com"), secured(authority))
        assert (answer.status, answer.error) == (204, None)
        assert receiver.names == ["hooks.example.com"]
        assert receiver.received[0].body == BODY


def test_a_certificate_of_an_address_is_taken_for_that_address(
    run: Run, authority: Authority
) -> None:
    with receiving(authority.server("127.0.0.1")) as receiver:
        assert post(run, receiver.url(), secured(authority)).status == 204


@pytest.mark.parametrize(
    ("server", "client", "words"),
    [
        ({"names": ["other.example.com"]}, {}, "certificate does not hold: .*[Hh]ostname mismatch"),
        ({"names": ["127.0.0.1"]}, {}, "certificate does not hold"),
        ({"names": ["hooks.example.com"], "ended": True}, {}, "certificate has expired"),
        ({"names": ["hooks.example.com"]}, {"tls": None}, "certificate does not hold"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_before_anything_is_sent(
    run: Run, authority: Authority, server: dict[str, Any], client: dict[str, Any], words: str
) -> None:
    context = authority.server(*server["names"], ended=server.get("ended", False))
    with receiving(context) as receiver:
        answer = post(run, receiver.url("hooks.example.com"), secured(authority, **client))
        assert answer.status is None
        assert answer.error is not None
        assert re.search(words, answer.error), answer.error
        assert receiver.received == []


def test_a_server_without_tls_is_no_https_receiver(
    run: Run, receiver: Receiver, authority: Authority
) -> None:
    url = receiver.url("hooks.example.com").replace("http://", "https://")
    answer = post(run, url, secured(authority))
    assert answer.status is None
    assert receiver.received == []


def test_the_systems_authorities_can_be_replaced_by_a_file(
    run: Run, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml.webhooks.sending import public_tls

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "authority.pem"))
    public_tls.cache_clear()
    try:
        with receiving(authority.server("hooks.example.com")) as receiver:
            sending = secured(authority, tls=None)
            assert post(run, receiver.url("hooks.example.com"), sending).status == 204
    finally:
        public_tls.cache_clear()
