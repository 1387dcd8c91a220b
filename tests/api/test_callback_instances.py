"""Instances of the loop share what is due: one sends each, and none keeps another waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network

import pytest

from api.callbacks import AT_ONCE, LEASE_MARGIN
from ml.webhooks.targets import Reach
from tests.api.callback_post import SETTINGS, Post, post, receiver
from tests.receiver import TAKEN, Receiver, receiving
from warehouse.database import writing
from warehouse.repositories import deliveries
from warehouse.repositories.deliveries import MOST_OF_A_WEBHOOK
from warehouse.sealing import Seal

__all__ = ["post", "receiver"]


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


def test_old_deliveries_are_purged(post: Post, receiver: Receiver) -> None:
    hook, _ = post.hook(receiver.url())
    post.happened()
    post.sent()
    asyncio.run(post.loop.purge())
    assert len(post.of(hook)) == 1
    post.clock.now += timedelta(days=SETTINGS.webhook_keep_days, minutes=1)
    asyncio.run(post.loop.purge())
    assert post.of(hook) == []
