"""Rate limits by sliding window, in memory for one instance or in Redis for several."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from api.logs import logger
from api.settings import UNLIMITED, ApiSettings
from api.windows import AwayError, Hit, Rate, Windows
from warehouse.repositories.keys import STANDARD_TIER

if TYPE_CHECKING:
    from api.redis_windows import RedisWindows

AGAIN_SECONDS = 5.0
"""How long a Redis that failed is left alone."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate and the tier it is named for; headers follow the IETF draft on rate limit headers."""

    name: bytes
    rate: Rate
    policy: bytes

    @classmethod
    def of(cls, name: str, text: str) -> Limit | None:
        """The limit of settings; None where there is none."""
        if text == UNLIMITED:
            return None
        rate = Rate.parse(text)
        policy = f'"{name}";q={rate.amount};w={rate.seconds}'
        return cls(name.encode(), rate, policy.encode())

    def __str__(self) -> str:
        return f"{self.rate.amount} requests in {self.rate.seconds} s"


@dataclass(frozen=True, slots=True)
class Counted:
    """A call against its limit: whether it is allowed, what is left, seconds to the reset."""

    limit: Limit
    allowed: bool
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer says of the limit."""
        left = b'"%s";r=%d;t=%d' % (self.limit.name, self.remaining, self.reset)
        return [(b"ratelimit-policy", self.limit.policy), (b"ratelimit", left)]


class Limiter:
    """Counts calls by key and tier, and by address.

    While Redis cannot be reached each instance counts for itself, so that a lost cache neither
    opens the door nor shuts it.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._tiers = {name: Limit.of(name, text) for name, text in settings.api_tiers.items()}
        self._address = Limit.of("address", settings.api_ip_limit)
        self._own = Windows()
        self._shared: RedisWindows | None = None
        if settings.api_limits_url != "memory":
            from api.redis_windows import RedisWindows

            self._shared = RedisWindows(settings.api_limits_url)
        self._away_until = 0.0
        self.log = logger("limits")

    async def close(self) -> None:
        """Let the connections to Redis go."""
        if self._shared is not None:
            await self._shared.close()

    async def of_key(self, tier: str, key_id: str) -> Counted | None:
        """Count a call of a key; a tier that settings no longer name counts as standard."""
        name = tier if tier in self._tiers else STANDARD_TIER
        return await self._count(self._tiers[name], f"key:{key_id}")

    async def of_address(self, address: str) -> Counted | None:
        """Count a call without a valid key."""
        return await self._count(self._address, f"address:{_caller_of(address)}")

    async def _count(self, limit: Limit | None, who: str) -> Counted | None:
        if limit is None:
            return None
        hit = None
        if self._shared is not None and time.monotonic() >= self._away_until:
            hit = await self._hit_shared(self._shared, limit, who)
        if hit is None:
            hit = self._own.hit(who, limit.rate)
        return Counted(limit, hit.allowed, hit.remaining, int(hit.reset) + 1)

    async def _hit_shared(self, shared: RedisWindows, limit: Limit, who: str) -> Hit | None:
        try:
            return await shared.hit(who, limit.rate)
        except AwayError as error:
            self._away_until = time.monotonic() + AGAIN_SECONDS
            self.log.warning("redis_away", error=str(error))
            return None


def _caller_of(address: str) -> str:
    """The address, or an IPv6 address's /64: that much one caller has to choose from."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((int(found), 64), strict=False))
