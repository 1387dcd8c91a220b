"""The keys that a server knows: held in memory, read again as they change in the warehouse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.call import Caller
from api.threads import Threads
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import keys as stored
from warehouse.repositories.keys import ApiKey

NOT_VALID = "the key is not valid: unknown, revoked or expired"
REFRESH_SECONDS = 1.0
AGAIN_SECONDS = 0.1
"""How soon after reading the keys an unknown one makes them be read again."""


class Keys:
    """Who a key belongs to, without a query for each request.

    A revoked key stops working, and a new one works, within ``REFRESH_SECONDS`` of any instance.
    """

    def __init__(self, engine: Engine, readers: Threads, writers: Threads) -> None:
        self._engine = engine
        self._readers, self._writers = readers, writers
        self._live: Mapping[str, tuple[ApiKey, Caller]] = {}
        self._revision: tuple[int, int] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._used: dict[str, datetime] = {}

    def known(self, text: str) -> Caller | str | None:
        """Whose key that is, or why it opens nothing; None for an id that may be a moment old."""
        parsed = stored.parse(text)
        if parsed is None:
            return "the key is not of the form svf_…"
        key_id, secret = parsed
        found = self._live.get(key_id)
        if found is None:
            return None
        key, caller = found
        now = utc_now()
        if not stored.matches(key, secret) or (key.expires_at and key.expires_at <= now):
            return NOT_VALID
        self._used[key_id] = now
        return caller

    async def caller(self, text: str) -> Caller | str:
        """The same after the keys were read again, a few times a second at most."""
        await asyncio.sleep(max(0.0, self._read_at + AGAIN_SECONDS - time.monotonic()))
        await self.refresh()
        return self.known(text) or NOT_VALID

    async def refresh(self) -> None:
        """Read the keys again; those who ask meanwhile wait for the same reading."""
        asked = time.monotonic()
        async with self._reading:
            if self._read_at < asked:
                started = time.monotonic()
                await self._readers.run(self._read)
                self._read_at = started

    def _read(self) -> None:
        with reading(self._engine) as connection:
            revision = stored.revision(connection)
            if revision == self._revision:
                return
            live = stored.live(connection)
        self._live = {key.id: (key, Caller(key.id, key.owner, key.role, key.tier)) for key in live}
        self._revision = revision

    async def flush_used(self) -> None:
        """Store when keys were last used; never on the way of a request."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._writers.run(self._touch, used)
        except SQLAlchemyError:
            self._used = used | self._used
            raise

    def _touch(self, used: Mapping[str, datetime]) -> None:
        with writing(self._engine) as connection:
            stored.touch(connection, used)
