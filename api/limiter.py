"""Rate limits by sliding window, in memory for one instance or in Redis for several."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from api.logs import logger
from api.settings import UNLIMITED, ApiSettings
from api.windows import Windows

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

AGAIN_SECONDS = 5.0
"""How long a Redis that failed is left alone."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit and the tier it is named for; headers follow the IETF draft on rate limit headers."""

    name: bytes
    item: RateLimitItem
    amount: int
    seconds: int
    policy: bytes

    @classmethod
    def of(cls, name: str, text: str) -> Limit | None:
        """The limit of settings; None where there is none."""
        if text == UNLIMITED:
            return None
        item = parse(text)
        amount, seconds = item.amount, item.get_expiry()
        policy = f'"{name}";q={amount};w={seconds}'.encode()
        return cls(name.encode(), item, amount, seconds, policy)

    def __str__(self) -> str:
        return f"{self.amount} requests in {self.seconds} s"


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
        self._pool: ConnectionPool | None = None
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if settings.api_limits_url != "memory":
            from limits.aio.storage import RedisStorage
            from redis.asyncio import ConnectionPool

            url = settings.api_limits_url
            self._pool = ConnectionPool.from_url(
                url.removeprefix("redis+"), socket_timeout=1.0, socket_connect_timeout=1.0
            )
            storage = RedisStorage(
                f"async+{url}",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix="sevenfold",
                connection_pool=self._pool,  # type: ignore[arg-type]
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._away_until = 0.0
        self.log = logger("limits")

    async def close(self) -> None:
        """Let the connections to Redis go."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def of_key(self, tier: str, key_id: str) -> Counted | None:
        """Count a call of a key; a tier that settings no longer name counts as standard."""
        name = tier if tier in self._tiers else "standard"
        return await self._count(self._tiers[name], f"key:{key_id}")

    async def of_address(self, address: str) -> Counted | None:
        """Count a call without a valid key."""
        return await self._count(self._address, f"address:{address}")

    async def _count(self, limit: Limit | None, who: str) -> Counted | None:
        if limit is None:
            return None
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return await self._count_shared(self._shared, limit, who)
            except StorageError as error:
                self._away_until = time.monotonic() + AGAIN_SECONDS
                self.log.warning("redis_away", error=str(error.storage_error))
        hit = self._own.hit(who, limit.amount, limit.seconds)
        return Counted(limit, hit.allowed, hit.remaining, int(hit.reset) + 1)

    @staticmethod
    async def _count_shared(
        shared: SlidingWindowCounterRateLimiter, limit: Limit, who: str
    ) -> Counted:
        allowed = await shared.hit(limit.item, who)
        stats = await shared.get_window_stats(limit.item, who)
        reset = max(1, int(stats.reset_time - time.time()) + 1)
        return Counted(limit, allowed, max(0, stats.remaining), reset)
