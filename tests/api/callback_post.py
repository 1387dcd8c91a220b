"""A warehouse, a clock and instances of the callbacks' loop, for tests that receive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric
from sqlalchemy import Engine

from api.callbacks import Callbacks
from ml.webhooks.sending import Sender
from ml.webhooks.settings import WebhookSettings
from ml.webhooks.targets import Reach
from tests.receiver import Receiver, receiving
from warehouse.database import connect, reading, writing
from warehouse.events import EVENTS
from warehouse.repositories import deliveries, webhooks
from warehouse.repositories.deliveries import Delivery
from warehouse.scored import migrate
from warehouse.sealing import Seal

SETTINGS = WebhookSettings(webhook_allowed_networks=["127.0.0.0/8"], webhook_seconds=10)
SEAL = Seal(lambda: [bytes(range(32))])
EVENT = "job.completed"
JOB = dict.fromkeys(EVENTS[EVENT].fields)


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Post:
    """A warehouse, a clock, and as many instances of the loop as a test starts."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.clock = engine, Clock()
        self.metric = Metric("attempts", "…", ("outcome",), registry=CollectorRegistry())
        self._loops: list[Callbacks] = []
        self.loop = self.instance()

    def instance(self, seal: Seal = SEAL, reach: Reach | None = None) -> Callbacks:
        sender = Sender(reach or Reach.of(SETTINGS, "development"), SETTINGS.webhook_seconds)
        made = Callbacks(self.engine, seal, sender, SETTINGS, self.metric, self.clock)
        self._loops.append(made)
        return made

    def hook(self, url: str, owner: str = "ann") -> tuple[str, str]:
        with writing(self.engine) as connection:
            made, secret = webhooks.create(connection, SEAL, owner, url, [EVENT], "test")
        return made.id, secret

    def happened(self, owner: str = "ann", times: int = 1) -> None:
        with writing(self.engine) as connection:
            for _ in range(times):
                webhooks.publish(connection, EVENT, owner, JOB)
        self.clock.now = max(self.clock.now, datetime.now(UTC))

    def sent(self, loop: Callbacks | None = None) -> None:
        asyncio.run((loop or self.loop).step())

    def of(self, webhook_id: str) -> list[Delivery]:
        with reading(self.engine) as connection:
            return deliveries.page(connection, webhook_id, 100)

    def one(self, webhook_id: str) -> Delivery:
        [found] = self.of(webhook_id)
        return found

    def webhook(self, webhook_id: str) -> webhooks.Webhook:
        with reading(self.engine) as connection:
            return webhooks.get(connection, webhook_id)

    def outcomes(self) -> dict[str, float]:
        samples = (sample for metric in self.metric.collect() for sample in metric.samples)
        return {one.labels["outcome"]: one.value for one in samples if one.name.endswith("_total")}

    def close(self) -> None:
        for loop in self._loops:
            asyncio.run(loop.close())


@pytest.fixture
def post(warehouse_url: str) -> Iterator[Post]:
    engine = connect(warehouse_url)
    migrate(engine, [])
    made = Post(engine)
    yield made
    made.close()
    engine.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started
