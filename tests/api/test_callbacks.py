"""The loop beside the API: each delivery signed, sent by one instance, retried, never lost."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric
from sqlalchemy import Engine
from standardwebhooks import Webhook as Verifier

from api.callbacks import AT_ONCE, LEASE_MARGIN, Callbacks
from ml.webhooks.retries import DELAYS, GIVE_UP
from ml.webhooks.sending import Sender
from ml.webhooks.settings import WebhookSettings
from ml.webhooks.targets import Reach
from tests.receiver import TAKEN, Received, Receiver, receiving, status
from warehouse.database import connect, reading, writing
from warehouse.events import EVENTS
from warehouse.repositories import audit, deliveries, webhooks
from warehouse.repositories.deliveries import MOST_OF_A_WEBHOOK, Delivery
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


def signed_by(secret: str, request: Received) -> bool:
    """Whether one of the signatures is that of the secret, whatever the clock says."""
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    expected = Verifier(secret).sign(request.headers["webhook-id"], at, request.body.decode())
    return expected in request.headers["webhook-signature"].split(" ")


def test_a_delivery_is_verified_by_the_standards_own_library(
    post: Post, receiver: Receiver
) -> None:
    hook, secret = post.hook(receiver.url())
    post.happened()
    post.sent()
    [request] = receiver.received
    assert Verifier(secret).verify(request.body, request.headers)["type"] == EVENT
    assert not signed_by("whsec_" + "A" * 44, request)
    delivery = post.one(hook)
    assert request.headers["webhook-id"] == delivery.id
    assert json.loads(request.body)["data"] == JOB
    assert (delivery.state, delivery.attempts[0]["status"]) == ("delivered", 204)
    post.sent()
    assert len(receiver.received) == 1
    assert post.outcomes() == {"delivered": 1}


def test_a_receiver_that_fails_is_tried_ten_times_over_three_days(
    post: Post, receiver: Receiver
) -> None:
    receiver.otherwise = status(500)
    hook, secret = post.hook(receiver.url())
    post.happened()
    began, times = post.clock.now, []
    while (delivery := post.one(hook)).state == "waiting":
        assert delivery.next_at is not None
        post.clock.now = max(post.clock.now, delivery.next_at - timedelta(seconds=1))
        if delivery.next_at > post.clock.now:
            post.sent()
            assert post.one(hook) == delivery
            post.clock.now = delivery.next_at
        times.append(post.clock.now)
        post.sent()
    waits = [after - before for before, after in pairwise(times)]
    assert len(times) == len(receiver.received) == len(DELAYS) + 1 == 10
    for wait, least in zip(waits, DELAYS, strict=True):
        assert least <= wait <= least * 1.1
    assert timedelta(hours=75) < times[-1] - began < timedelta(hours=84)
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.received}) == 10
    assert len({request.body for request in receiver.received}) == 1
    assert all(signed_by(secret, request) for request in receiver.received)
    assert delivery.state == "failed"
    assert [one["error"] for one in delivery.attempts] == ["answered 500"] * 10
    assert post.webhook(hook).disabled_at is None
    assert post.outcomes() == {"waiting": 9, "failed": 1}


def test_a_receiver_that_comes_back_gets_it(post: Post, receiver: Receiver) -> None:
    receiver.replies += [status(500), b"", TAKEN]
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    assert post.webhook(hook).failing_since == post.clock.now
    for _ in range(2):
        post.clock.now += timedelta(minutes=6)
        post.sent()
    delivery = post.one(hook)
    assert delivery.state == "delivered"
    assert [one["status"] for one in delivery.attempts] == [500, None, 204]
    assert delivery.attempts[1]["error"] == "it closed the connection without an answer"
    assert post.webhook(hook).failing_since is None


def test_a_receiver_that_asks_to_wait_is_left_alone(post: Post, receiver: Receiver) -> None:
    receiver.replies += [status(503, "Retry-After: 3600")]
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    assert post.one(hook).next_at == post.clock.now + timedelta(hours=1)


def test_a_redirect_is_a_failure_and_leads_nowhere(post: Post, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.replies += [status(307, f"Location: {elsewhere.url()}")]
        hook, _ = post.hook(receiver.url())
        post.happened()
        post.sent()
        assert elsewhere.connections == 0
    said = post.one(hook).attempts[0]["error"]
    assert said == "answered 307, a redirect, which is not followed"


def test_410_disables_the_webhook_and_what_waits_for_it_fails(
    post: Post, receiver: Receiver
) -> None:
    receiver.replies += [status(500), status(410)]
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    post.happened()
    post.clock.now += timedelta(seconds=2)
    post.sent()
    assert post.webhook(hook).disabled_why == "it answered 410 Gone"
    post.clock.now += timedelta(hours=1)
    post.sent()
    assert len(receiver.received) == 2
    assert [one.state for one in post.of(hook)] == ["failed", "failed"]
    with reading(post.engine) as connection:
        [entry] = audit.page(connection, 10)
    assert (entry.actor, entry.action, entry.subject) == ("webhooks", "webhook.disable", hook)
    post.happened()
    assert len(post.of(hook)) == 2


def test_a_webhook_that_took_nothing_for_five_days_is_disabled_with_the_reason(
    post: Post, receiver: Receiver
) -> None:
    receiver.otherwise = status(500)
    hook, _ = post.hook(receiver.url())
    began = post.clock.now

    def fails() -> None:
        with writing(post.engine) as connection:
            webhooks.publish(connection, EVENT, "ann", JOB)
        while waiting := [one.next_at for one in post.of(hook) if one.state == "waiting"]:
            post.clock.now = max(post.clock.now, *filter(None, waiting))
            post.sent()

    fails()
    assert post.clock.now - began < GIVE_UP
    assert post.webhook(hook).disabled_at is None
    fails()
    disabled = post.webhook(hook)
    assert disabled.disabled_at == post.clock.now >= began + GIVE_UP
    assert disabled.failing_since is not None
    since = f"{disabled.failing_since:%Y-%m-%d %H:%M} UTC"
    assert disabled.disabled_why == f"it took nothing since {since}"
    assert disabled.failing_since < began + timedelta(minutes=5)


def test_after_a_rotation_both_signatures_are_sent_until_the_grace_ends(
    post: Post, receiver: Receiver
) -> None:
    hook, old = post.hook(receiver.url())
    with writing(post.engine) as connection:
        new = webhooks.rotate(connection, SEAL, hook, post.clock.now, timedelta(hours=1))
    post.happened()
    post.sent()
    for secret in (old, new):
        [request] = receiver.received
        Verifier(secret).verify(request.body, request.headers)
    post.clock.now += timedelta(hours=2)
    post.happened()
    post.sent()
    last = receiver.received[-1]
    assert signed_by(new, last)
    assert not signed_by(old, last)


def test_a_replay_comes_under_the_same_id_with_a_new_time(post: Post, receiver: Receiver) -> None:
    hook, secret = post.hook(receiver.url())
    post.happened()
    post.sent()
    post.clock.now += timedelta(minutes=2)
    with writing(post.engine) as connection:
        deliveries.replay(connection, post.one(hook).id, post.clock.now)
    post.sent()
    first, second = receiver.received
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.headers["webhook-timestamp"] > first.headers["webhook-timestamp"]
    assert second.body == first.body
    Verifier(secret).verify(second.body, second.headers)


def test_of_two_instances_one_sends_each_delivery(post: Post, receiver: Receiver) -> None:
    other = post.instance()
    for number in range(6):
        post.hook(receiver.url(), owner=f"o{number}")
        post.happened(f"o{number}", 8)

    async def both() -> None:
        await asyncio.gather(post.loop.step(), other.step())

    asyncio.run(both())
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert len(ids) == len(set(ids)) == 48
    assert post.outcomes() == {"delivered": 48}


def test_what_an_instance_claimed_and_died_with_is_sent_by_another_after_the_lease(
    post: Post, receiver: Receiver
) -> None:
    hook, _ = post.hook(receiver.url())
    post.happened()
    lease = timedelta(seconds=SETTINGS.webhook_seconds) + LEASE_MARGIN
    with writing(post.engine) as connection:
        [(dead, webhook)] = deliveries.claim(connection, post.clock.now, lease, 1)
    post.sent()
    assert receiver.received == []
    post.clock.now += lease
    post.sent()
    assert post.one(hook).state == "delivered"
    assert webhook.id == dead.webhook == hook


def test_an_instance_that_is_stopped_gives_back_what_it_has_not_sent(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.callbacks.CLOSE_SECONDS", 0.1)
    came = threading.Event()

    def silent(connection: socket.socket) -> None:
        came.set()
        connection.recv(1)

    receiver.replies += [silent]
    hook, _ = post.hook(receiver.url())
    post.happened()
    stopping = post.instance()

    async def stopped() -> None:
        step = asyncio.create_task(stopping.step())
        while not came.is_set():
            await asyncio.sleep(0.01)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        await stopping.close()

    asyncio.run(stopped())
    assert post.one(hook).attempts == []
    post.sent()
    assert [one["status"] for one in post.one(hook).attempts] == [204]


@pytest.mark.parametrize(
    ("owners", "most"), [(1, MOST_OF_A_WEBHOOK), (2 * AT_ONCE // MOST_OF_A_WEBHOOK, AT_ONCE)]
)
def test_only_so_many_are_under_way_at_once(
    post: Post, receiver: Receiver, owners: int, most: int
) -> None:
    lock, now, seen = threading.Lock(), 0, []
    full = threading.Barrier(most)

    def counted(connection: socket.socket) -> None:
        nonlocal now
        with lock:
            now += 1
            seen.append(now)
        with suppress(threading.BrokenBarrierError):  # it opens where all are there at once
            full.wait(timeout=5)
        with lock:
            now -= 1
        connection.sendall(TAKEN)

    receiver.otherwise = counted
    for number in range(owners):
        post.hook(receiver.url(), owner=f"o{number}")
        post.happened(f"o{number}", MOST_OF_A_WEBHOOK)
    post.sent()
    assert max(seen) == most
    assert len(receiver.received) == owners * MOST_OF_A_WEBHOOK


def test_a_webhook_that_does_not_answer_keeps_no_other_waiting(
    post: Post, receiver: Receiver
) -> None:
    released = threading.Event()

    def silent(connection: socket.socket) -> None:
        released.wait(10)

    with receiving() as slow:
        slow.otherwise = silent
        post.hook(slow.url(), owner="bob")
        post.happened("bob", 3 * AT_ONCE)
        post.hook(receiver.url())
        post.happened("ann", 5)

        async def sent() -> None:
            step = asyncio.create_task(post.loop.step())
            while len(receiver.received) < 5:
                await asyncio.sleep(0.01)
            assert len(slow.received) <= MOST_OF_A_WEBHOOK
            slow.otherwise = TAKEN
            released.set()
            await step

        asyncio.run(asyncio.wait_for(sent(), 30))


def test_a_key_that_opens_no_secret_is_our_failure_and_is_said(
    post: Post, receiver: Receiver
) -> None:
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent(post.instance(seal=Seal(lambda: [bytes(32)])))
    [attempt] = post.one(hook).attempts
    assert "not sent: the secret of" in attempt["error"]
    assert "SEVENFOLD_SECRET_KEY" in attempt["error"]
    assert (receiver.connections, post.webhook(hook).failing_since) == (0, None)
    post.clock.now += timedelta(minutes=1)
    post.sent()
    assert post.one(hook).state == "delivered"


def test_a_target_that_is_no_longer_allowed_is_not_connected_to(
    post: Post, receiver: Receiver
) -> None:
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent(post.instance(reach=Reach(plain=True)))
    post.clock.now += timedelta(minutes=1)
    post.sent(post.instance(reach=Reach((ip_network("10.0.0.0/8"),), plain=True)))
    first, second = (one["error"] for one in post.one(hook).attempts)
    assert "expected https://" in first
    assert "127.0.0.1 stands for a loopback address" in second
    assert receiver.connections == 0


@pytest.mark.parametrize("asked", ["Fri, 31 Dec 999999999999 23:59:59 GMT", "-1", "\xff" * 50])
def test_a_hostile_answer_costs_an_attempt_and_no_more(
    post: Post, receiver: Receiver, asked: str
) -> None:
    receiver.replies += [
        f"HTTP/1.1 500 Said\r\nRetry-After: {asked}\r\n\r\n".encode("latin-1") + b"\x00" * 99
    ]
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    assert len(post.one(hook).attempts) == 1
    post.clock.now += timedelta(minutes=1)
    post.sent()
    assert Counter(one["status"] for one in post.one(hook).attempts) == {500: 1, 204: 1}


def test_old_deliveries_are_purged(post: Post, receiver: Receiver) -> None:
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    asyncio.run(post.loop.purge())
    assert len(post.of(hook)) == 1
    post.clock.now += timedelta(days=SETTINGS.webhook_keep_days, minutes=1)
    asyncio.run(post.loop.purge())
    assert post.of(hook) == []
