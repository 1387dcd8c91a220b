"""The outermost: a request id, security headers, and one log line for each request."""

from __future__ import annotations

import asyncio
import re
from ipaddress import ip_address
from secrets import token_hex

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import call as calls
from api.logs import logger
from api.settings import Network

SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
STRICT_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
FOR_JSON = [*SECURITY_HEADERS, STRICT_CSP]
QUIET = frozenset({"/api/health/live", "/api/health/ready", "/metrics"})
"""Probes that succeed write no line: they come every few seconds, from machines."""


class Logging:
    """Begins the call; a line says method, route, status, time, key id and request id."""

    def __init__(self, app: ASGIApp, proxies: tuple[Network, ...]) -> None:
        self.app = app
        self.proxies = proxies
        self.log = logger("access").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = calls.Call(_request_id(scope), client_address(scope, self.proxies))
        calls.begin(scope, call)
        tag = (b"x-request-id", call.request_id.encode())

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                headers = message["headers"]
                own = STRICT_CSP[0] in dict(headers)
                headers += (tag, *(SECURITY_HEADERS if own else FOR_JSON))
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        finally:
            if call.status >= 400 or scope["path"] not in QUIET:
                # In the loop's next round: the answer leaves at the end of this one.
                later = asyncio.get_running_loop().call_soon
                later(self._line, scope, call, call.elapsed())

    def _line(self, scope: Scope, call: calls.Call, seconds: float) -> None:
        self.log.info(
            "request",
            method=scope["method"],
            route=calls.route_of(scope),
            status=call.status,
            ms=round(seconds * 1000, 2),
            key=call.caller.key_id if call.caller else None,
            request_id=call.request_id,
        )


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is harmless in a log, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = str(value.decode("latin-1"))
            if SANE_ID.fullmatch(text):
                return text
            break
    return token_hex(16)


def client_address(scope: Scope, proxies: tuple[Network, ...]) -> str:
    """The address that a limit is counted for.

    ``X-Forwarded-For`` is read from its end, past the proxies that settings trust, since
    everything before the last trusted one is the caller's own word.
    """
    client = scope.get("client")
    peer = client[0] if client else ""
    if not proxies or not _within(peer, proxies):
        return peer
    forwarded = [
        part.strip()
        for name, value in scope["headers"]
        if name == b"x-forwarded-for"
        for part in value.decode("latin-1").split(",")
    ]
    for address in reversed(forwarded):
        if not _within(address, proxies):
            return address if _is_address(address) else peer
        peer = address
    return peer


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
