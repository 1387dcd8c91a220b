"""What a receiver sees: each delivery signed, tried again while it fails, never lost."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from standardwebhooks import Webhook as Verifier

from ml.webhooks.retries import DELAYS, GIVE_UP
from tests.api.callback_post import EVENT, JOB, SEAL, Post, post, receiver
from tests.receiver import TAKEN, Received, Receiver, receiving, status
from warehouse.database import reading, writing
from warehouse.repositories import audit, deliveries, webhooks

__all__ = ["post", "receiver"]


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
