"""Where a callback goes: a URL read strictly, and the addresses that its name stands for."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from ml.webhooks.addresses import Address, Network, refused_as, within
from ml.webhooks.settings import WebhookSettings

LONGEST = 2_000
DEFAULT_PORTS = {"https": 443, "http": 80}
RESOLVE_SECONDS = 5.0
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name and port; OSError where there are none."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
    r"(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class RefusedTargetError(ValueError):
    """No callback goes there; the message says why, and gives no address away."""


@dataclass(frozen=True)
class Target:
    """A URL in parts; ``host`` is a name or an address without brackets, in small letters."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """The target of a URL; RefusedTargetError for whatever two readers might read as two."""
        if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e]+", url) or len(url) > LONGEST:
            raise RefusedTargetError(
                f"expected a URL of at most {LONGEST:,} characters without spaces, backslashes or"
                " letters beyond ASCII: write a name in its xn-- form, and the rest with %"
            )
        found = _URL.fullmatch(url)
        if found is None:
            raise RefusedTargetError("expected https:// with a host, and nothing after a #")
        if "@" in found["authority"]:
            raise RefusedTargetError("a user or password in a URL is not sent: leave it out")
        parts = _AUTHORITY.fullmatch(found["authority"])
        if parts is None:
            raise RefusedTargetError("the host or port cannot be read")
        scheme = found["scheme"].lower()
        port = int(parts["port"] or DEFAULT_PORTS[scheme])
        if port not in (*DEFAULT_PORTS.values(), *range(1024, 65536)):
            raise RefusedTargetError(f"port {port} is not 80, 443 or one from 1024 to 65535")
        path = (found["path"] or "/") + (found["query"] or "")
        return cls(scheme, _host(parts["host"].lower()), port, path)

    @property
    def header(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def _host(text: str) -> str:
    if text.startswith("["):
        if "%" in text:
            raise RefusedTargetError("an address with a zone leads nowhere beyond one machine")
        try:
            return str(IPv6Address(text[1:-1]))
        except AddressValueError:
            raise RefusedTargetError("the IPv6 address in brackets cannot be read") from None
    if text.endswith("."):
        raise RefusedTargetError("write the host without a dot at its end")
    if _NUMBER.fullmatch(text.rpartition(".")[2]):
        # 2130706433, 0x7f.1, 127.1 and 0177.0.0.1 are addresses to some readers alone.
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            raise RefusedTargetError(
                "write an IPv4 address as four decimal numbers, such as 192.0.2.1"
            ) from None
    if not _NAME.fullmatch(text):
        raise RefusedTargetError("expected a host name or an address after https://")
    return text


async def resolve(host: str, port: int) -> list[str]:
    """The addresses that this machine's resolver gives for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


@dataclass(frozen=True)
class Reach:
    """What callbacks may reach: the internet by HTTPS, and the ``allowed`` networks.

    ``plain`` lets them use HTTP too, inside the allowed networks alone.
    """

    allowed: Sequence[Network] = ()
    plain: bool = False
    resolver: Resolver = resolve

    @classmethod
    def of(cls, settings: WebhookSettings, env: str) -> Reach:
        """What settings allow where this runs."""
        return cls(settings.allowed, plain=env == "development")

    async def addresses(self, target: Target) -> list[Address]:
        """Where to connect, resolved this once; RefusedTargetError if any of it may not be reached.

        Whoever connects uses these addresses and no name, so that what was checked is what is used.
        """
        if target.scheme == "http" and not (self.plain and self.allowed):
            raise RefusedTargetError(
                "expected https://; http:// goes only to SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS, in"
                " development"
            )
        found = await self._resolved(target)
        for address in found:
            kind = refused_as(address, self.allowed)
            if kind is not None:
                raise RefusedTargetError(
                    f"{target.host} stands for {kind} address, which webhooks may not reach"
                )
            if target.scheme == "http" and not within(address, self.allowed):
                raise RefusedTargetError(
                    "http:// goes only to SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS: use https://"
                )
        return found

    async def _resolved(self, target: Target) -> list[Address]:
        try:
            return [ip_address(target.host)]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self.resolver(target.host, target.port)
        except TimeoutError:
            raise RefusedTargetError(f"the name {target.host} is not resolved in time") from None
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise RefusedTargetError(f"the name {target.host} does not resolve")
        return [ip_address(address) for address in found]
