"""Rate limits by sliding window, in memory for one instance or in Redis for several."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from api.logs import logger
from api.settings import UNLIMITED, ApiSettings

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

AGAIN_SECONDS = 5.0
"""How long a Redis that failed is left alone."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A call against its limit: whether it is allowed, what is left, seconds to the reset."""

    name: str
    item: RateLimitItem
    allowed: bool
    remaining: int
    reset: int

    @property
    def policy(self) -> str:
        """The limit in words."""
        seconds = self.item.get_expiry()
        return f"{self.item.amount} requests in {seconds} s"

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the IETF draft on rate limit headers."""
        quota = f"{self.item.amount};w={self.item.get_expiry()}"
        return {
            "RateLimit-Policy": f'"{self.name}";q={quota}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset}',
        }


class Limiter:
    """Counts calls by key and tier, and by address.

    While Redis cannot be reached each instance counts for itself, so that a lost cache neither
    opens the door nor shuts it.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._tiers = {name: _item(limit) for name, limit in settings.api_tiers.items()}
        self._address = _item(settings.api_ip_limit)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
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
        return await self._count(name, self._tiers[name], f"key:{key_id}")

    async def of_address(self, address: str) -> Counted | None:
        """Count a call without a valid key."""
        return await self._count("address", self._address, f"address:{address}")

    async def _count(self, name: str, item: RateLimitItem | None, who: str) -> Counted | None:
        if item is None:
            return None
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return await _hit(self._shared, name, item, who)
            except StorageError as error:
                self._away_until = time.monotonic() + AGAIN_SECONDS
                self.log.warning("redis_away", error=str(error.storage_error))
        return await _hit(self._own, name, item, who)


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, name: str, item: RateLimitItem, who: str
) -> Counted:
    allowed = await limiter.hit(item, who)
    stats = await limiter.get_window_stats(item, who)
    reset = max(1, int(stats.reset_time - time.time()) + 1)
    return Counted(name, item, allowed, max(0, stats.remaining), reset)


def _item(limit: str) -> RateLimitItem | None:
    return None if limit == UNLIMITED else parse(limit)
