"""Deliveries to webhooks, sent beside the API: claimed when due, a bounded number at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import Counter as Metric
from sqlalchemy import Engine

from api.logs import logger
from api.threads import Threads
from ml.webhooks.delivering import Tried, attempt, conclude
from ml.webhooks.sending import Sender
from ml.webhooks.settings import WebhookSettings
from warehouse.database import reading, utc_now, writing
from warehouse.repositories import deliveries
from warehouse.repositories.deliveries import Delivery
from warehouse.repositories.webhooks import Webhook
from warehouse.sealing import Seal

POLL_SECONDS = 1.0
AT_ONCE = 16
"""Deliveries that an instance has under way."""
LEASE_MARGIN = timedelta(minutes=1)
"""How long noting an attempt may take: SQLite's lock is waited for up to 30 s."""
CLOSE_SECONDS = 3.0
"""How long attempts under way are waited for at the end."""


class Callbacks:
    """Sends what is due, leased, so that of several instances one sends each delivery.

    The database is asked in a thread of its own, so that a busy warehouse keeps no request waiting.
    """

    def __init__(
        self,
        engine: Engine,
        seal: Seal,
        sender: Sender,
        settings: WebhookSettings,
        attempts: Metric,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine, self._seal, self._sender = engine, seal, sender
        self._keep = timedelta(days=settings.webhook_keep_days)
        self._lease = timedelta(seconds=settings.webhook_seconds) + LEASE_MARGIN
        self._attempts = attempts
        self._clock = clock
        self._random = random.Random()
        self._threads = Threads("webhooks", 1)
        self._going: dict[asyncio.Task[None], tuple[Delivery, Webhook]] = {}
        self.log = logger("webhooks")

    async def step(self) -> None:
        """Send what is due, until nothing is due nor under way."""
        while True:
            claimed = await self._claimed()
            for delivery, webhook in claimed:
                task = asyncio.create_task(self._send(delivery, webhook))
                self._going[task] = (delivery, webhook)
                task.add_done_callback(self._going.pop)
            if claimed:
                continue
            if not self._going:
                return
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait(self._going, timeout=POLL_SECONDS, return_when=first)

    async def purge(self) -> None:
        """Forget old deliveries."""

        def work() -> None:
            with writing(self._engine) as connection:
                deliveries.purge(connection, self._clock() - self._keep)

        await self._threads.run(work)

    async def close(self) -> None:
        """Let attempts under way end for a moment; the others' claims are given back."""
        if self._going:
            await asyncio.wait(self._going, timeout=CLOSE_SECONDS)
        left = dict(self._going)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            if left:
                await self._threads.run(self._release, [delivery for delivery, _ in left.values()])
        finally:
            self._threads.close()

    async def _claimed(self) -> list[tuple[Delivery, Webhook]]:
        under_way = [webhook for _, webhook in self._going.values()]
        if len(under_way) >= AT_ONCE:
            return []
        counts = Counter(webhook.id for webhook in under_way)
        busy = {one.id for one in under_way if counts[one.id] >= deliveries.most_at_once(one)}
        return await self._threads.run(self._claim, AT_ONCE - len(under_way), busy)

    def _claim(self, room: int, busy: set[str]) -> list[tuple[Delivery, Webhook]]:
        now = self._clock()
        with reading(self._engine) as connection:
            if not deliveries.is_due(connection, now, busy):
                return []
        with writing(self._engine) as connection:
            return deliveries.claim(connection, now, self._lease, room, busy)

    def _release(self, unfinished: list[Delivery]) -> None:
        with writing(self._engine) as connection:
            for delivery in unfinished:
                deliveries.release(connection, delivery)

    async def _send(self, delivery: Delivery, webhook: Webhook) -> None:
        try:
            tried = await attempt(self._sender, self._seal, delivery, webhook, self._clock())
            await self._threads.run(self._note, delivery, webhook, tried)
        except Exception as error:
            # The lease ends, and it is sent again: nobody else would say why.
            self.log.error("delivery_not_noted", delivery=delivery.id, exc_info=error)

    def _note(self, delivery: Delivery, webhook: Webhook, tried: Tried) -> None:
        now, jitter = self._clock(), self._random.random()
        with writing(self._engine) as connection:
            outcome = conclude(connection, delivery, webhook, tried, now, jitter)
        self._attempts.labels(outcome).inc()
        if outcome != "delivered":
            self.log.warning(
                "webhook_failed",
                webhook=webhook.id,
                delivery=delivery.id,
                outcome=outcome,
                status=tried.answer.status,
                error=tried.answer.error,
            )
