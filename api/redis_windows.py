"""Sliding windows counted in Redis, for all instances together."""

from __future__ import annotations

import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from api.windows import AwayError, Hit, Rate

ANSWER_SECONDS = 1.0


class RedisWindows:
    """The ``limits`` library's windows in one Redis."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(
            url.removeprefix("redis+"),
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
        )
        storage = RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="sevenfold",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, key: str, rate: Rate) -> Hit:
        """Count a call of ``key`` where its rate lets it through; AwayError."""
        item = RateLimitItemPerSecond(rate.amount, rate.seconds)
        try:
            allowed = await self._limiter.hit(item, key)
            stats = await self._limiter.get_window_stats(item, key)
        except StorageError as error:
            raise AwayError(str(error.storage_error)) from error
        return Hit(allowed, max(0, stats.remaining), max(0.0, stats.reset_time - time.time()))

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.disconnect()
