"""A desk at which tests make webhooks, tell events and claim deliveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine

from tests.warehouse.desk import Transactions
from warehouse.database import reading
from warehouse.events import EVENTS
from warehouse.repositories import deliveries, webhooks
from warehouse.repositories.deliveries import Attempt, Delivery
from warehouse.repositories.webhooks import Webhook
from warehouse.sealing import Seal

T = TypeVar("T")
LEASE = timedelta(minutes=1)
SEAL = Seal(lambda: [bytes(range(32))])
JOB = dict.fromkeys(EVENTS["job.completed"].fields)


class Desk(Transactions):
    """What tests do with webhooks and deliveries."""

    def undone(self, work: Callable[..., Any], *args: Any) -> None:
        with self.engine.connect() as connection, connection.begin() as transaction:
            work(connection, *args)
            transaction.rollback()

    def hook(self, *events: str, owner: str = "ann") -> Webhook:
        made, _ = self(
            webhooks.create,
            SEAL,
            owner,
            "https://hooks.example.com/x",
            events or ("job.completed",),
            "key:1",
        )
        return made

    def told(self, owner: str | None = "ann", times: int = 1) -> None:
        for _ in range(times):
            self(webhooks.publish, "job.completed", owner, JOB)

    def claimed(
        self, now: datetime, limit: int = 16, busy: tuple[str, ...] = ()
    ) -> list[tuple[Delivery, Webhook]]:
        return self(deliveries.claim, now, LEASE, limit, busy)

    def of(self, webhook: Webhook) -> list[Delivery]:
        with reading(self.engine) as connection:
            return deliveries.page(connection, webhook.id, 1000)

    def one(self, webhook: Webhook) -> Delivery:
        [found] = self.of(webhook)
        return found


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


@pytest.fixture
def now() -> datetime:
    """A moment after whatever the tests queue."""
    return datetime.now(UTC) + timedelta(minutes=1)


def failed(at: datetime, status: int | None = 500) -> Attempt:
    return Attempt(at, status, 12, "answered 500")
